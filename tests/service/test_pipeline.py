"""The pipeline: a name on the FITS exchange becomes an archived, announced frame, or a dead letter."""

import hashlib
import json
import time
from pathlib import Path

import pytest
from kombu import Connection

from ingester_app.broker import dispatch
from ingester_demo.report import stored_keys
from ingester_demo.sample_frames import SampleFrame
from tests.support.processes import wait_until
from tests.support.servers import ArchiveServer, S3Server
from tests.support.service import WORKER, Deployment

EXAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "spec" / "examples"


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_good_frames_are_archived_stored_and_announced_and_bad_ones_become_letters(
    site: Deployment, frames: list[SampleFrame], good: list[Path], archive: ArchiveServer, store: S3Server
) -> None:
    site.start_worker()
    site.start_listener()
    site.publish(*(frame.path for frame in frames))
    letters = site.wait_for_letters(2)
    wait_until("ten announcements", lambda: len(site.take_announced()) >= len(good))

    assert {identity for identity, _ in site.announced} == {md5(path) for path in good}
    assert len(site.announced) == len(good), "nothing is announced twice when nothing went wrong"
    archived = {version["md5"]: frame for frame in archive.frames() for version in frame["version_set"]}
    keys = stored_keys(store)
    for identity, record in site.announced:
        frame = archived[identity]
        assert record["frameid"] == frame["id"]
        assert record["filename"] == frame["filename"]
        assert record["version_set"][0]["key"] in keys
        assert keys[record["version_set"][0]["key"]].endswith("/" + frame["filename"])
    by_name = {Path(letter.path): letter for letter in letters}
    for frame_made in frames:
        if not frame_made.good:
            letter = by_name[frame_made.path]
            assert letter.reason == frame_made.reason
            assert letter.step == "validate"
            assert "Traceback" in letter.traceback
            assert letter.attempts == (1 if letter.reason == "HEADER_MISSING" else letter.attempts)
            assert letter.message is not None
            assert letter.message["frame"] == {"state": "named", "path": str(frame_made.path)}
    assert next(letter for letter in letters if letter.reason == "FITS_TRUNCATED").attempts > 1


@pytest.mark.skipif(
    not EXAMPLES.is_dir(),
    reason="the observatory's real frames are not beside this checkout; the tests above use synthetic ones, and "
    "tests/library/test_records_by_rule.py covers the rules of the record",
)
def test_the_observatorys_own_frames_come_out_of_the_processed_exchange_as_expected(site: Deployment) -> None:
    paths = [path for path in sorted(EXAMPLES.iterdir()) if path.suffix != ".json"]
    site.start_worker()
    site.start_listener()
    site.publish(*paths)
    announced = dict(site.wait_for_announced(len(paths)))
    for path in paths:
        record = announced[md5(path)]
        expected = json.loads(Path(f"{path}.json").read_text())["record"]
        differing = {key for key in expected if key not in ("area", "version_set") and record.get(key) != expected[key]}
        assert not differing
        extra = set(record) - set(expected) - {"version_set", "frameid", "filename", "url"}
        assert not extra


@pytest.mark.parametrize("form", ["path", "filename", "json string", "bare text"])
def test_every_form_of_a_body_that_names_a_file_is_understood(site: Deployment, good: list[Path], form: str) -> None:
    path = str(good[0])
    site.start_worker(concurrency=1)
    site.start_listener()
    if form == "bare text":
        site.publish(path, serializer="raw", content_type="text/plain", content_encoding="utf-8")
    elif form == "json string":
        site.publish(path, serializer="json")
    else:
        site.publish({form: path}, serializer="json")
    site.wait_for_announced(1)


def test_ignored_names_are_acknowledged_and_not_dispatched(
    site: Deployment, tmp_path: Path, good: list[Path], archive: ArchiveServer
) -> None:
    ignored = tmp_path / "coj1m011-fa12-20261101-0001-l00.fits"
    ignored.write_bytes(good[0].read_bytes())
    listener = site.start_listener()
    site.start_worker(concurrency=1)
    site.publish(ignored, good[1])
    site.wait_for_announced(1)
    assert str(ignored) in listener.logged()
    assert listener.logged().count('"event": "ignored"') == 1
    assert [frame["basename"] for frame in archive.frames()] == [good[1].name.partition(".")[0]]
    assert site.names_waiting() == 0


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"\xff\xfe", "UTF-8"),
        (b'{"something": 1}', '"path"'),
        (b'{"path": 7}', "int"),
        (b'{"path": ""}', "empty"),
        (b"[1, 2]", "list"),
        (b'{"path": "/data/x.fits"', "not an absolute path"),
        (b"", "empty"),
    ],
)
def test_a_body_that_names_no_file_becomes_a_letter_that_says_why(site: Deployment, body: bytes, why: str) -> None:
    site.start_listener()
    site.publish(body, content_type="application/octet-stream", content_encoding="binary")
    [letter] = site.wait_for_letters(1)
    assert letter.reason == "MESSAGE_UNREADABLE"
    assert letter.step == "listen"
    assert why in letter.text
    assert site.names_waiting() == 0


def test_a_file_outside_the_data_roots_is_never_read(
    tmp_path: Path, site: Deployment, good: list[Path], archive: ArchiveServer
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    inside = root / good[0].name
    inside.write_bytes(good[0].read_bytes())
    link = root / good[1].name
    link.symlink_to(good[1])
    site.variables["DATA_ROOTS"] = str(root)
    site.start_worker(concurrency=1)
    site.start_listener()
    site.publish(inside, link, root / ".." / good[2].relative_to(tmp_path))
    letters = site.wait_for_letters(2)
    wait_until("the one inside", lambda: site.take_announced())
    assert {letter.reason for letter in letters} == {"OUTSIDE_DATA_ROOTS"}
    assert [frame["basename"] for frame in archive.frames()] == [inside.name.partition(".")[0]]


def test_the_same_name_published_again_is_neither_archived_nor_announced_again(
    site: Deployment, good: list[Path], archive: ArchiveServer, store: S3Server
) -> None:
    site.start_worker(concurrency=1)
    site.start_listener()
    site.publish(good[0])
    site.wait_for_announced(1)
    site.publish(good[0], good[1])
    site.wait_for_announced(2)
    assert len(site.announced) == 2
    assert all(len(frame["version_set"]) == 1 for frame in archive.frames())
    versions = store.client().list_object_versions(Bucket=store.bucket)["Versions"]
    assert sum(version["Key"].endswith(good[0].name) for version in versions) >= 1


def test_no_secret_is_in_a_message_or_a_log(site: Deployment, frames: list[SampleFrame]) -> None:
    listener = site.start_listener()
    site.publish(frames[0].path)
    wait_until("the task", lambda: site.frames_waiting() == 1)
    with Connection(site.settings.broker_url.get_secret_value()) as connection:
        message = connection.default_channel.basic_get(site.settings.ingest_queue)
        told = f"{message.body!r} {message.headers} {message.properties}"
        assert message.headers["argsrepr"] == frames[0].path.name
        message.channel.basic_reject(message.delivery_tag, requeue=True)
    worker = site.start_worker(concurrency=1, LOG_LEVEL="DEBUG")
    site.publish(*(frame.path for frame in frames))
    site.wait_for_letters(2)
    told += listener.logged() + worker.logged() + "".join(letter.traceback for letter in site.letters())
    for secret in (site.variables["AUTH_TOKEN"], site.variables["AWS_SECRET_ACCESS_KEY"], "guest:guest"):
        assert secret not in told


def test_a_message_of_a_later_release_waits_and_harms_neither_worker_nor_other_frames(
    site: Deployment, good: list[Path]
) -> None:
    worker = site.start_worker(concurrency=1)
    later = {"frame": {"state": "planned", "path": "/x"}, "version": 99, "first_time": time.time()}
    dispatch(site.app(), later, "")
    worker.wait_for("left to a worker of a later release")
    site.start_listener()
    site.publish(good[0])
    site.wait_for_announced(1)
    assert worker.process.poll() is None
    dispatch(site.app(), {**later, "first_time": 1.0}, "")
    [letter] = site.wait_for_letters(1)
    assert (letter.path, letter.message) == ("/x", {**later, "first_time": 1.0})


def test_a_wrong_argument_of_celerys_gives_its_exit_code(site: Deployment) -> None:
    worker = site.start(*WORKER, "--", "--nonsense")
    assert worker.process.wait(20) == 2
    assert "No such option" in worker.logged()
