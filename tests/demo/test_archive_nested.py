"""The demo's Archive API of nested records, over HTTP, behaves as running archives were observed to behave."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.servers import ArchiveServer, running_archive

NUMBERS = count(1)
FLAT = {"DAY-OBS": "20261122", "DATE-OBS": "2026-11-22T09:30:00"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveServer]:
    with running_archive(tmp_path_factory.mktemp("archive"), record_format="ocs", extensions=[".dat"]) as server:
        yield server


def record(**changes: Any) -> dict[str, Any]:
    """A record that the archive accepts, each time a different one."""
    number = next(NUMBERS)
    made = {
        "basename": f"coj1m011-fa12-20261122-{number:04d}-e00",
        "area": None,
        "version_set": [{"key": f"{number:032x}", "md5": f"{number + 2**64:032x}", "extension": ".fits"}],
        "headers": {"SITEID": "coj", "OBJECT": "M 83"},
        "reduction_level": 0,
        "observation_day": "20261122",
        "observation_date": "2026-11-22T09:30:00.123",
        "proposal_id": "",
        "instrument_id": "fa12",
        "target_name": "M 83",
        "site_id": "coj",
        "telescope_id": "1m0a",
        "exposure_time": 30.0,
        "primary_optical_element": "rp",
        "public_date": None,
        "configuration_type": "EXPOSE",
        "observation_id": None,
        "request_id": None,
        "related_frame_filenames": [],
        "frame_basename": None,
        "size": "",
    }
    return made | changes


def post(archive: ArchiveServer, body: Any, path: str = "frames/") -> requests.Response:
    return requests.post(archive.url + path, json=body, headers=archive.headers, timeout=10)


def test_a_frame_is_answered_201_and_shown_by_the_nested_names(archive: ArchiveServer) -> None:
    sent = record()
    answer = post(archive, sent)
    assert answer.status_code == 201
    [shown] = [frame for frame in archive.frames() if frame["basename"] == sent["basename"]]
    assert shown.items() >= {"id": answer.json()["id"], "target_name": "M 83", "observation_id": None}.items()
    assert "coj/fa12/20261122/raw/" in shown["url"]
    headers = requests.get(f"{archive.url}frames/{shown['id']}/headers/", timeout=10).json()
    assert headers == {"data": sent["headers"]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("headers", None),
        ("observation_day", None),
        ("observation_day", "2026"),
        ("observation_date", ""),
        ("observation_date", "2026-11-22T09:30:60"),
        ("public_date", ""),
        ("target_name", None),
        ("configuration_type", ""),
        ("configuration_type", "SELFIE"),
        ("related_frame_filenames", None),
        ("related_frame_filenames", ["a", ""]),
        ("related_frame_filenames", [None]),
        ("exposure_time", "long"),
        ("observation_id", ""),
    ],
)
def test_a_wrong_field_is_named(archive: ArchiveServer, field: str, value: Any) -> None:
    answer = post(archive, record(**{field: value}))
    assert (answer.status_code, set(answer.json())) == (400, {field})


def test_a_flat_record_is_refused_for_the_fields_that_it_lacks(archive: ArchiveServer) -> None:
    flat = {name: record()[name] for name in ("basename", "area", "version_set")} | FLAT
    answer = post(archive, flat)
    lacking = {"headers", "observation_day", "configuration_type", "related_frame_filenames"}
    assert (answer.status_code, set(answer.json())) == (400, lacking)


def test_an_archive_of_flat_records_refuses_a_nested_one_for_its_day_and_has_no_thumbnails(tmp_path: Path) -> None:
    with running_archive(tmp_path) as flat:
        answer = post(flat, record())
        assert (answer.status_code, set(answer.json())) == (400, {"DAY_OBS"})
        assert post(flat, record(), "thumbnails/").status_code == 404


def test_a_repeated_md5_is_refused_as_in_flat_archives(archive: ArchiveServer) -> None:
    sent = record()
    post(archive, sent)
    answer = post(archive, sent)
    assert (answer.status_code, list(answer.json()["version_set"][0])) == (400, ["key", "md5"])


def test_an_extension_that_it_does_not_know_is_stored_and_answered_500(archive: ArchiveServer) -> None:
    for extension, status in ((".txt", 500), (".dat", 201), (".pdf", 201)):
        sent = record()
        sent["version_set"][0]["extension"] = extension
        assert post(archive, sent).status_code == status
        assert sent["basename"] in [frame["basename"] for frame in archive.frames()]


def thumbnail(frame_basename: str, **changes: Any) -> dict[str, Any]:
    made = record(frame_basename=frame_basename, size="small", basename=f"{frame_basename}-small")
    made["version_set"][0]["extension"] = ".jpg"
    return made | changes


def test_a_thumbnail_has_no_id_is_replaced_by_the_next_one_and_is_not_a_version(archive: ArchiveServer) -> None:
    frame = post(archive, record()).json()
    sent = thumbnail(frame["basename"])
    answer = post(archive, sent, "thumbnails/")
    assert answer.status_code == 201
    shown = answer.json()
    assert set(shown) == {"frame", "size", "basename", "url", "key", "extension"}
    assert (shown["frame"], shown["size"]) == (frame["id"], "small")
    again = post(archive, thumbnail(frame["basename"]), "thumbnails/").json()
    assert (again["basename"], again["key"] != shown["key"]) == (shown["basename"], True)
    md5 = sent["version_set"][0]["md5"]
    versions = requests.get(f"{archive.url}versions/?md5={md5}", headers=archive.headers, timeout=10).json()
    assert versions["results"] == []


def test_a_thumbnail_of_an_unknown_frame_creates_the_frame(archive: ArchiveServer) -> None:
    shown = post(archive, thumbnail("a-frame-to-come"), "thumbnails/").json()
    assert shown["frame"] in [frame["id"] for frame in archive.frames() if frame["basename"] == "a-frame-to-come"]


@pytest.mark.parametrize("changes", [{"size": "tiny"}, {"size": ""}, {"frame_basename": None}])
def test_a_thumbnail_without_a_valid_size_or_frame_is_refused(archive: ArchiveServer, changes: dict[str, Any]) -> None:
    answer = post(archive, thumbnail("a-e00") | changes, "thumbnails/")
    assert (answer.status_code, set(answer.json())) == (400, set(changes))
