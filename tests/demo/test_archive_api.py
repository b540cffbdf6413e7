"""The demo's Archive API, over HTTP, behaves as running archives were observed to behave."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.servers import ArchiveServer, running_archive

NUMBERS = count(1)
SQUARE = [[359.9, 1.0], [0.1, 1.0], [0.1, 1.2], [359.9, 1.2], [359.9, 1.0]]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveServer]:
    with running_archive(tmp_path_factory.mktemp("archive")) as server:
        yield server


def record(**changes: Any) -> dict[str, Any]:
    """A record that the archive accepts, each time a different one; `changes` names keywords with `_` for `-`."""
    number = next(NUMBERS)
    made = {
        "basename": f"coj1m011-fa12-20261122-{number:04d}-e00",
        "area": None,
        "version_set": [{"key": f"{number:032x}", "md5": f"{number + 2**64:032x}", "extension": ".fits"}],
        "DAY-OBS": "20261122",
        "DATE-OBS": "2026-11-22T09:30:00.123",
        "SITEID": "coj",
        "INSTRUME": "fa12",
        "TELID": "1m0a",
        "FILTER": "rp",
        "EXPTIME": 30.0,
        "RLEVEL": 0,
        "OBSTYPE": "EXPOSE",
        "PROPID": "LCO2026B-004",
        "L1PUBDAT": "2027-11-22T09:30:00.123",
    }
    return made | {name.replace("_OBS", "-OBS"): value for name, value in changes.items()}


def another_version_of(known: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return known | {"version_set": record()["version_set"]} | changes


def post(archive: ArchiveServer, body: Any, path: str = "frames/") -> requests.Response:
    return requests.post(archive.url + path, json=body, headers=archive.headers, timeout=10)


def get(archive: ArchiveServer, path: str, **query: Any) -> Any:
    answer = requests.get(archive.url + path, params=query, headers=archive.headers, timeout=10)
    answer.raise_for_status()
    return answer.json()


def test_a_new_frame_is_answered_201_and_can_be_found(archive: ArchiveServer) -> None:
    sent = record(area={"type": "Polygon", "coordinates": [SQUARE]})
    answer = post(archive, sent)
    assert answer.status_code == 201
    frame = answer.json()
    assert (frame["basename"], frame["filename"]) == (sent["basename"], sent["basename"] + ".fits")
    assert frame["version_set"][0].items() >= sent["version_set"][0].items()
    assert (frame["DAY_OBS"], frame["PROPID"], frame["RLEVEL"]) == ("20261122", "LCO2026B-004", 0)
    shown = get(archive, f"frames/{frame['id']}/")
    assert shown["id"] == frame["id"]
    assert shown["url"] != frame["url"], "a presigned link changes at each GET"
    assert shown["area"]["coordinates"][0][0] == pytest.approx([-0.1, 1.0]), "right ascensions in -180..180"


def test_a_new_version_of_a_known_basename_keeps_the_id_and_replaces_the_headers(
    archive: ArchiveServer,
) -> None:
    first = record(OLDKEY="gone", OBJECT="M 83")
    second = another_version_of(first, NEWKEY="here", RLEVEL=91)
    del second["OLDKEY"], second["OBJECT"]
    frame_id = post(archive, first).json()["id"]
    answer = post(archive, second)
    assert (answer.status_code, answer.json()["id"]) == (201, frame_id)
    assert [each["key"] for each in answer.json()["version_set"]] == [
        second["version_set"][0]["key"],
        first["version_set"][0]["key"],
    ]
    headers = get(archive, f"frames/{frame_id}/headers/")["data"]
    assert headers["NEWKEY"] == "here"
    assert "OLDKEY" not in headers
    assert (answer.json()["RLEVEL"], answer.json()["OBJECT"]) == (91, "M 83"), "a field not sent stays"


def test_a_repeated_md5_key_or_both_are_refused_by_name(archive: ArchiveServer) -> None:
    known, other = record(), record()
    post(archive, known)
    [there], [fresh] = known["version_set"], other["version_set"]
    for repeated in (["key", "md5"], ["md5"], ["key"]):
        version = fresh | {name: there[name] for name in repeated}
        answer = post(archive, other | {"version_set": [version]})
        assert answer.status_code == 400
        expected = {name: [f"version with this {name} already exists."] for name in repeated}
        assert answer.json() == {"version_set": [expected]}
    assert get(archive, "frames/", basename_exact=other["basename"])["count"] == 0, "nothing is half stored"


def test_of_identical_posts_at_the_same_moment_one_is_accepted(archive: ArchiveServer) -> None:
    for _ in range(3):
        sent = record()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(post, [archive] * 8, [sent] * 8))
        assert sorted(each.status_code for each in answers) == [201] + [400] * 7
        assert get(archive, "versions/", md5=sent["version_set"][0]["md5"])["count"] == 1


def test_a_post_without_the_trailing_slash_becomes_a_get_that_answers_200(archive: ArchiveServer) -> None:
    sent = record()
    answer = post(archive, sent, "frames")
    assert [each.status_code for each in (*answer.history, answer)] == [301, 200]
    assert "results" in answer.json()
    assert get(archive, "frames/", basename_exact=sent["basename"])["results"] == []


def test_a_missing_token_is_refused_where_one_is_needed_and_a_wrong_one_everywhere(
    archive: ArchiveServer,
) -> None:
    bad = {"Authorization": "Token nonsense"}
    answers = [
        requests.post(archive.url + "frames/", json=record(), timeout=10),
        requests.get(archive.url + "versions/", timeout=10),
        requests.post(archive.url + "frames/", json=record(), headers=bad, timeout=10),
        requests.get(archive.url + "frames/", headers=bad, timeout=10),
    ]
    assert [each.status_code for each in answers] == [401] * 4
    assert all(set(each.json()) == {"detail"} for each in answers)
    assert requests.get(archive.url + "frames/", timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(field, "") for field in ("FILTER", "INSTRUME", "SITEID", "TELID")],
        ("FILTER", None),
        ("SITEID", "coj1"),
        ("TELID", "1m0ab"),
        ("EXPTIME", 0.30000000000000004),
        ("EXPTIME", 1e-07),
        ("EXPTIME", 12345678),
        ("EXPTIME", "Infinity"),
        ("BLKUID", -1),
        ("BLKUID", 2147483648),
        ("REQNUM", "N/A"),
        ("REQNUM", ""),
        ("DATE_OBS", ""),
        ("DATE_OBS", "last night"),
        ("DAY_OBS", ""),
        ("area", {"type": "Polygon", "coordinates": [SQUARE[:4]]}),
        ("area", {"type": "Polygon", "coordinates": [[*SQUARE[:4], [359.9, 1.1]]]}),
        ("area", {"type": "Polygon", "coordinates": [[[400, 0], [401, 0], [401, 1], [400, 0]]]}),
    ],
)
def test_a_field_that_breaks_its_rule_is_refused_by_name(archive: ArchiveServer, field: str, value: Any) -> None:
    answer = post(archive, record(**{field: value}))
    assert (answer.status_code, list(answer.json())) == (400, [field])
    assert all(isinstance(message, str) for message in answer.json()[field])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("EXPTIME", 1234567.123456),
        ("EXPTIME", None),
        ("BLKUID", "0000296263"),
        ("BLKUID", None),
        ("REQNUM", 2147483647),
        ("OBJECT", ""),
        ("area", {"type": "Polygon", "coordinates": [SQUARE]}),
    ],
)
def test_a_field_at_the_limit_of_its_rule_is_accepted(archive: ArchiveServer, field: str, value: Any) -> None:
    answer = post(archive, record(**{field: value}))
    assert answer.status_code == 201, answer.text


def test_a_missing_required_field_is_refused_by_name(archive: ArchiveServer) -> None:
    nested = {"basename": "b", "area": None, "version_set": record()["version_set"], "headers": {}}
    assert list(post(archive, nested).json()) == ["DAY_OBS"], "as for a record of the other generation"
    for name in ("basename", "area"):
        sent = record()
        del sent[name]
        assert post(archive, sent).json() == {name: ["This field is required."]}


def test_texts_that_may_not_be_empty_may_be_left_out(archive: ArchiveServer) -> None:
    sent = record()
    for name in ("FILTER", "INSTRUME", "SITEID", "TELID"):
        del sent[name]
    assert post(archive, sent).status_code == 201


def test_a_version_with_a_key_or_md5_over_32_characters_is_refused(archive: ArchiveServer) -> None:
    for name in ("key", "md5"):
        sent = record()
        sent["version_set"][0][name] = "24f4b3d9-fbda-40a3-ae1b-bd3b9ba1285d"
        answer = post(archive, sent)
        assert answer.status_code == 400
        assert list(answer.json()["version_set"][0]) == [name]


def test_records_on_which_the_real_archive_fails_are_answered_500_with_a_page(
    archive: ArchiveServer,
) -> None:
    without_versions = record()
    del without_versions["version_set"]
    half_the_sky = [[10, 0], [190, 0], [190, 1], [10, 1], [10, 0]]
    broken = [
        without_versions,
        record(**{"": "value"}),
        record(basename="b" * 1001),
        record(OBJECT="M\0 83"),
        record(area={"type": "Point", "coordinates": [1, 2]}),
        record(area={"type": "Polygon", "coordinates": [half_the_sky]}),
    ]
    for sent in broken:
        answer = post(archive, sent)
        assert answer.status_code == 500
        assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("body", ['{"EXPTIME": NaN}', '{"EXPTIME": -Infinity}', "{", "[]", "null", ""])
def test_a_body_that_is_not_a_json_object_is_refused(archive: ArchiveServer, body: str) -> None:
    headers = archive.headers | {"Content-Type": "application/json"}
    answer = requests.post(archive.url + "frames/", data=body, headers=headers, timeout=10)
    assert answer.status_code == 400
    assert answer.json()


def test_every_4xx_has_a_json_body(archive: ArchiveServer) -> None:
    answers = [
        requests.get(archive.url + "nowhere/", timeout=10),
        requests.get(archive.url + "frames/123456789/", timeout=10),
        requests.put(archive.url + "frames/", json={}, timeout=10),
        requests.post(archive.url + "frames/", data="basename=b", headers=archive.headers, timeout=10),
    ]
    assert [each.status_code for each in answers] == [404, 404, 405, 415]
    assert all(set(each.json()) == {"detail"} for each in answers)


def test_a_frame_without_a_date_of_observation_is_accepted_and_never_shown(archive: ArchiveServer) -> None:
    sent = record()
    del sent["DATE-OBS"]
    answer = post(archive, sent)
    assert answer.status_code == 201
    assert get(archive, "frames/", basename_exact=sent["basename"])["results"] == []
    assert requests.get(f"{archive.url}frames/{answer.json()['id']}/", timeout=10).status_code == 404
    assert post(archive, sent).status_code == 400, "its md5 is stored nevertheless"


def test_basename_matches_a_part_and_basename_exact_the_whole(archive: ArchiveServer) -> None:
    name = record()["basename"]
    for suffix in ("", "_cat"):
        post(archive, record(basename=name + suffix))
    found = get(archive, "frames/", basename=name)["results"]
    assert {each["basename"] for each in found} == {name, f"{name}_cat"}
    [exact] = get(archive, "frames/", basename=name, basename_exact=name)["results"]
    assert exact["basename"] == name


def test_lists_have_pages_that_link_to_each_other(archive: ArchiveServer) -> None:
    names = [f"paged-{number}" for number in range(5)]
    for name in names:
        post(archive, record(basename=name))
    page = get(archive, "frames/", basename="paged-", limit=2)
    assert (page["count"], page["previous"]) == (5, None)
    seen = [each["basename"] for each in page["results"]]
    while page["next"]:
        page = requests.get(page["next"], timeout=10).json()
        seen += [each["basename"] for each in page["results"]]
    assert seen == names[::-1]
    assert "offset=2" in page["previous"]


def test_versions_are_found_by_md5(archive: ArchiveServer) -> None:
    sent = record()
    post(archive, sent)
    answer = get(archive, "versions/", md5=sent["version_set"][0]["md5"])
    [found] = answer["results"]
    assert found.items() >= sent["version_set"][0].items()
    assert set(found) == {"id", "created", "key", "md5", "extension", "url"}
    assert get(archive, "versions/", md5="0" * 31 + "f")["results"] == []
    assert get(archive, "versions/", md5=found["md5"].upper() + "A")["results"] == []


def test_the_front_page_lists_the_frames_newest_first_and_loads_nothing_else(
    archive: ArchiveServer,
) -> None:
    older, newer = record(PROPID="<b>bold</b>"), record()
    for sent in (older, newer):
        post(archive, sent)
    answer = requests.get(archive.url, timeout=10)
    page = answer.text
    assert answer.headers["Content-Type"].startswith("text/html")
    assert page.index(newer["basename"]) < page.index(older["basename"])
    assert "&lt;b&gt;bold" in page
    assert re.search(r"<(script|img|link|iframe)\b|@import|url\(", page) is None


def test_a_get_on_an_open_connection_takes_less_than_forty_milliseconds(archive: ArchiveServer) -> None:
    with requests.Session() as session:
        session.get(f"{archive.url}frames/?limit=1", timeout=10)
        took = []
        for _ in range(21):
            began = time.perf_counter()
            session.get(f"{archive.url}frames/?limit=1", timeout=10)
            took.append(time.perf_counter() - began)
    # About 1.5 ms each. A delayed ACK would make every request take 40 ms; a busy machine slows only some.
    assert sorted(took)[10] < 0.02


def test_an_archive_keeps_its_frames_over_a_restart_and_can_behave_as_other_releases_do(tmp_path: Path) -> None:
    known, other = record(), record()
    with running_archive(tmp_path) as server:
        post(server, known)
    with running_archive(
        tmp_path,
        ignores_md5_filter=True,
        ignores_basename_exact=True,
        dict_refusals=True,
        store_url="http://s3/frames",
    ) as server:
        refusal = post(server, another_version_of(known) | {"version_set": known["version_set"]})
        assert set(refusal.json()["version_set"]) == {"0"}
        assert set(refusal.json()["version_set"]["0"]) == {"key", "md5"}
        post(server, other)
        assert get(server, "versions/", md5="f" * 32)["count"] == 2
        assert get(server, "frames/", basename_exact="another")["count"] == 2
        assert server.frames()[0]["url"].startswith(
            f"http://s3/frames/coj/fa12/20261122/raw/{other['basename']}.fits?versionId=00000000-"
        )


def test_a_lagging_archive_shows_frames_late_but_refuses_repeats_at_once(tmp_path: Path) -> None:
    sent = record()
    with running_archive(tmp_path, lag_seconds=0.6) as server:
        frame_id = post(server, sent).json()["id"]
        assert post(server, sent).status_code == 400
        assert get(server, "frames/", basename_exact=sent["basename"])["results"] == []
        assert get(server, "versions/", md5=sent["version_set"][0]["md5"])["results"] == []
        time.sleep(0.7)
        assert get(server, "frames/", basename_exact=sent["basename"])["results"][0]["id"] == frame_id
