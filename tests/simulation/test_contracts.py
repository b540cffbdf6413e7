"""The simulated services behave like the real ones: S3 (moto), the demo's Archive API, a private RabbitMQ."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ingester_app.dead_letters import letter_for
from ingester_app.settings import ServiceSettings
from lco_ingester.archive import Archive, DuplicateVersion, Posted
from lco_ingester.exceptions import ArchiveDeploymentError, FileChangedError
from lco_ingester.frame import Record
from lco_ingester.record.stored_object import StoredObject
from lco_ingester.settings import load_settings
from lco_ingester.store import StoredVersion, open_store
from tests.simulation.archive import SimulatedArchive
from tests.simulation.brokers import FRAMES, LETTERS, NAMES, Real, Simulated
from tests.simulation.store import SimulatedStore
from tests.support.servers import running_archive
from tests.support.synthetic import CARDS, new_basename

NUMBERS = count(1)
LIMIT = 2
FRAME = {"frame": {"state": "named", "path": "/data/a-e00.fits"}, "first_time": 1_600_000_000.0}
both = pytest.fixture(params=["simulated", "real"])


# The store


@both
def store(request: pytest.FixtureRequest) -> Any:
    if request.param == "simulated":
        return SimulatedStore()
    server = request.getfixturevalue("s3")
    named: dict[str, Any] = {"access_key_id": "demo", "secret_access_key": "demo-secret", "region": "us-east-1"}
    return open_store(server.bucket, endpoint_url=server.url, **named)


@pytest.fixture
def target() -> StoredObject:
    """A key that no other test has."""
    name = f"contract{next(NUMBERS)}.fits"
    return StoredObject(f"coj/fa12/20200101/raw/{name}", "image/fits", f"attachment; filename={name}", "STANDARD")


def put(store: Any, content: bytes, target: StoredObject, md5: str | None = None) -> str:
    md5 = md5 or hashlib.md5(content).hexdigest()
    return str(store.put(io.BytesIO(content), len(content), md5, target))


def test_a_key_without_a_version_has_no_current_one(store: Any, target: StoredObject) -> None:
    assert store.current_version(target.key) is None


def test_each_put_makes_a_version_even_of_the_same_bytes(store: Any, target: StoredObject) -> None:
    versions = {put(store, content, target) for content in (b"first", b"first", b"second")}
    assert len(versions) == 3


def test_the_current_version_is_the_one_put_last(store: Any, target: StoredObject) -> None:
    put(store, b"a longer first", target)
    last = put(store, b"second", target)
    assert store.current_version(target.key) == StoredVersion(last, hashlib.md5(b"second").hexdigest(), 6)


def test_bytes_of_another_md5_are_refused_and_leave_nothing(store: Any, target: StoredObject) -> None:
    with pytest.raises(FileChangedError):
        put(store, b"other", target, md5=hashlib.md5(b"first").hexdigest())
    assert store.current_version(target.key) is None


# The archive


@both
def archive_api(request: pytest.FixtureRequest) -> Any:
    if request.param == "simulated":
        return SimulatedArchive()
    server = request.getfixturevalue("archive")
    return Archive(server.url, server.token, 10.0)


def record(basename: str = "", key: str = "", md5: str = "") -> Record:
    """A record whose basename and version are no other's, if they are not given."""
    number = next(NUMBERS)
    version = {"key": key or f"{number:032d}", "md5": md5 or f"{number + 10**12:032x}", "extension": ".fits"}
    return {**CARDS, "basename": basename or new_basename(), "area": None, "version_set": [version]}


def version_of(posted: Record) -> dict[str, str]:
    [version] = posted["version_set"]
    return dict(version)


def test_a_new_frame_is_posted_and_found(archive_api: Any) -> None:
    new = record()
    posted = archive_api.post_frame(new)
    assert isinstance(posted, Posted)
    assert posted.answer["filename"] == f"{new['basename']}.fits"
    assert archive_api.has_version(version_of(new)["md5"])
    found = archive_api.find_frame(new["basename"])
    assert (found["id"], found["filename"]) == (posted.answer["id"], posted.answer["filename"])
    assert [(each["key"], each["md5"]) for each in found["version_set"]] == [
        (version_of(new)["key"], version_of(new)["md5"])
    ]


def test_what_was_not_posted_is_not_found(archive_api: Any) -> None:
    archive_api.post_frame(new := record())
    assert not archive_api.has_version(version_of(record())["md5"])
    assert archive_api.find_frame(new["basename"][:-1]) is None


@pytest.mark.parametrize("same_basename", [True, False])
@pytest.mark.parametrize("same_key", [True, False])
def test_an_md5_is_refused_the_second_time_under_whatever_name(
    archive_api: Any, same_basename: bool, same_key: bool
) -> None:
    archive_api.post_frame(new := record())
    key, md5 = version_of(new)["key"], version_of(new)["md5"]
    again = record(new["basename"] if same_basename else "", key if same_key else "", md5)
    assert archive_api.post_frame(again) == DuplicateVersion()
    assert len(archive_api.find_frame(new["basename"])["version_set"]) == 1


def test_a_key_with_another_md5_waits(archive_api: Any) -> None:
    archive_api.post_frame(new := record())
    with pytest.raises(ArchiveDeploymentError):
        archive_api.post_frame(record(new["basename"], key=version_of(new)["key"]))


def test_a_new_version_of_a_known_frame_keeps_its_id_and_its_older_version(archive_api: Any) -> None:
    first = archive_api.post_frame(new := record())
    second = archive_api.post_frame(newer := record(new["basename"]))
    assert second.answer["id"] == first.answer["id"]
    found = archive_api.find_frame(new["basename"])
    assert {each["md5"] for each in found["version_set"]} == {version_of(new)["md5"], version_of(newer)["md5"]}


@pytest.mark.parametrize("which", ["simulated", "real"])
def test_a_lagging_replica_does_not_show_what_a_post_is_refused_for(which: str, tmp_path: Path) -> None:
    if which == "simulated":
        simulated = SimulatedArchive(lag=60.0)
        _lags(simulated.post_frame, lambda name: simulated.find_frame(name, stale=True))
        return
    with running_archive(tmp_path, lag_seconds=60.0) as server:
        api = Archive(server.url, server.token, 10.0)
        _lags(api.post_frame, api.find_frame)


def _lags(post_frame: Callable[[Record], Any], find_frame: Callable[[str], Record | None]) -> None:
    assert isinstance(post_frame(new := record()), Posted)
    assert find_frame(new["basename"]) is None
    assert post_frame(new) == DuplicateVersion()


# The broker


@both
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "simulated":
        yield Simulated(LIMIT)
        return
    url, mark = request.getfixturevalue("rabbit").url, f"contract{next(NUMBERS)}"
    queues = {"fits_queue": f"names_{mark}", "ingest_queue": f"frames_{mark}", "dead_letter_queue": f"letters_{mark}"}
    own = {"fits_broker": url, "broker_url": url, "delivery_limit": LIMIT, "crawler_exchange_name": f"fits_{mark}"}
    yield Real(load_settings(ServiceSettings, **queues, **own))


def test_what_a_dead_consumer_held_comes_back_as_redelivered(broker: Any) -> None:
    broker.publish_frame(FRAME)
    body, redelivered = broker.take(FRAMES)
    assert not redelivered
    broker.die(FRAMES)
    assert broker.take(FRAMES) == (body, True)


def test_a_frame_that_comes_back_too_often_is_a_dead_letter(broker: Any) -> None:
    broker.publish_frame(FRAME)
    for _ in range(LIMIT + 1):
        assert broker.take(FRAMES) is not None
        broker.die(FRAMES)
    [letter] = broker.letters()
    assert (letter.reason, letter.path, letter.message) == ("DELIVERY_LIMIT", "/data/a-e00.fits", FRAME)


def test_a_name_comes_back_however_often(broker: Any) -> None:
    broker.publish_name("/data/a-e00.fits")
    for number in range(LIMIT + 3):
        body, redelivered = broker.take(NAMES)
        assert (json.loads(body), redelivered) == ({"path": "/data/a-e00.fits"}, number > 0)
        broker.die(NAMES)


def test_a_delayed_frame_does_not_come_before_its_time(broker: Any) -> None:
    broker.publish_frame(FRAME, delay=3)
    broker.publish_frame({**FRAME, "attempts": 1})
    assert '"attempts": 1' in broker.take(FRAMES)[0]
    broker.wait(1)
    assert broker.take_now(FRAMES) is None
    broker.wait(2)
    body, redelivered = broker.take(FRAMES)
    assert "attempts" not in body
    assert not redelivered


def test_a_letter_that_its_reader_did_not_remove_comes_back(broker: Any) -> None:
    letter = letter_for(
        ValueError("why"),
        path="/data/a-e00.fits",
        md5=None,
        step="validate",
        reason="PROGRAM_ERROR",
        attempts=1,
        first_time=0.0,
        now=0.0,
        worker="",
        message=FRAME,
    )
    broker.publish_letter(letter)
    for _ in range(LIMIT + 3):
        assert broker.take(LETTERS) is not None
        broker.die(LETTERS)
    [found] = broker.letters()
    assert (found.path, found.reason, found.message) == ("/data/a-e00.fits", "PROGRAM_ERROR", FRAME)
