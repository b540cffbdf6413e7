"""A rolling upgrade: processes of the last release and of this one share the queues, and no frame is lost."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from ingester_demo.sample_frames import make_frames
from tests.service.conftest import NIGHT
from tests.support.processes import Program, wait_until
from tests.support.rabbitmq import RabbitNode
from tests.support.releases import unpack_release
from tests.support.servers import ArchiveServer, S3Server
from tests.support.service import ROOT, Deployment, deployed

pytestmark = pytest.mark.timeout(300)

FRAMES = 96
AGAIN = "begun again: the settings have changed"


@pytest.fixture
def last_release(tmp_path: Path) -> Path:
    return unpack_release("3.0.0", tmp_path / "releases")


@pytest.fixture
def upgraded(tmp_path: Path, rabbit: RabbitNode, archive: ArchiveServer, store: S3Server) -> Iterator[Deployment]:
    """A site whose frames are retried soon, and never become dead letters because a server fails."""
    with deployed(tmp_path / "upgraded", rabbit.url, archive, store, RETRY_SERVER_LONGEST="1") as site:
        yield site
    store.clear_faults()


@dataclass(frozen=True)
class Event:
    """One line of a worker's log about one frame."""

    time: str
    frame: str
    worker: str
    text: str
    is_retry: bool


def events_of(worker: Program, name: str) -> list[Event]:
    """What a worker has logged about frames."""
    lines = [line for line in worker.logged().splitlines() if line.startswith("{")]
    entries = [entry for line in lines if "frame" in (entry := json.loads(line))]
    return [
        Event(
            entry["timestamp"],
            entry["frame"],
            name,
            entry["event"],
            "retry_in" in entry or entry["event"] == AGAIN,
        )
        for entry in entries
    ]


def taken_over(events: list[Event]) -> list[tuple[str, str]]:
    """Writer and reader of each retry message that another worker read than the one that wrote it."""
    by_frame: dict[str, list[Event]] = {}
    for event in sorted(events, key=lambda event: event.time):
        by_frame.setdefault(event.frame, []).append(event)
    return [
        (before.worker, after.worker)
        for history in by_frame.values()
        for before, after in pairwise(history)
        if before.is_retry and before.worker != after.worker
    ]


def has_dispatched(listener: Program, count: int) -> bool:
    return listener.logged().count('"dispatched"') >= count


def test_the_workers_and_listeners_of_two_releases_share_the_queues_and_every_frame_is_archived_once(
    upgraded: Deployment, tmp_path: Path, last_release: Path, archive: ArchiveServer, store: S3Server
) -> None:
    site = upgraded
    made = make_frames(tmp_path / "night", FRAMES * 7 // 6, NIGHT, pixels=40)
    good = [frame.path for frame in made if frame.good][:FRAMES]
    archive.faults({"kind": "error", "rate": 0.25}, {"kind": "drop_answer", "method": "POST", "rate": 0.1})
    store.faults(kind="error", method="PUT", rate=0.2)
    workers = {
        "3.0.0": site.start_worker(2, code=last_release),
        "current": site.start_worker(2),
    }
    listeners = {}
    for code, paths in ((last_release, good[: FRAMES // 2]), (ROOT, good[FRAMES // 2 :])):
        listener = listeners[code] = site.start_listener(code=code)
        site.publish(*paths)
        wait_until("all names dispatched", partial(has_dispatched, listener, FRAMES // 2))
        listener.end()

    site.wait_for_announced(len(good), 200)
    wait_until("an empty queue", lambda: site.frames_waiting() == 0)

    assert site.letters() == []
    archive.clear_faults()
    archived = {frame["filename"]: frame["version_set"] for frame in archive.frames()}
    assert sorted(archived) == sorted(path.name for path in good)
    assert all(len(versions) == 1 for versions in archived.values())
    events = [event for name, worker in workers.items() for event in events_of(worker, name)]
    for name in workers:
        assert sum(event.worker == name and event.text == "archived" for event in events) > FRAMES // 10
    crossings = taken_over(events)
    assert crossings.count(("3.0.0", "current")) > 5
    assert crossings.count(("current", "3.0.0")) > 5
    assert all(worker.process.poll() is None for worker in workers.values())


def test_the_process_of_the_last_release_runs_its_own_code(last_release: Path, upgraded: Deployment) -> None:
    """Else the tests of this file would compare this release with itself."""
    answer = run(upgraded, "-c", "import tasks, ingester_app.monitor; print(tasks.__file__)", code=last_release)
    assert answer.stdout.strip() == str(last_release / "tasks.py"), answer.stderr
    assert run(upgraded, "-c", "import ingester_app.monitor").returncode == 1


def test_dead_letters_of_the_last_release_are_listed_and_replayed(
    site: Deployment, last_release: Path, good: list[Path], tmp_path: Path, archive: ArchiveServer
) -> None:
    unposted, truncated = good[0], tmp_path / good[1].name
    truncated.write_bytes(good[1].read_bytes()[:9000])
    archive.faults(kind="error", method="POST")
    worker = site.start_worker(1, code=last_release, RETRY_SERVER_PATIENCE="1")
    site.start_listener(code=last_release)
    site.publish(unposted, truncated)
    letters = {letter.path: letter for letter in site.wait_for_letters(2)}
    worker.end()
    assert {letter.version for letter in letters.values()} == {1}
    message = letters[str(unposted)].message
    assert message is not None
    assert message["frame"]["state"] == "uploaded"

    listed = ingester(site, "list").stdout
    assert {tuple(line.split()[3:5]) for line in listed.splitlines()} == {
        ("post", "ARCHIVE_FAILED"),
        ("validate", "FITS_TRUNCATED"),
    }
    archive.clear_faults()
    truncated.write_bytes(good[1].read_bytes())
    assert ingester(site, "replay", "--all").returncode == 0
    site.start_worker(1)
    site.wait_for_announced(2)
    assert {frame["filename"] for frame in archive.frames()} == {unposted.name, truncated.name}
    assert site.letters() == []


def test_the_last_release_leaves_dead_letters_of_this_one_where_they_are(
    site: Deployment, last_release: Path, good: list[Path], tmp_path: Path
) -> None:
    """A downgrade: docs/messages.md says so, and that the newer command is to be used."""
    missing = tmp_path / "later" / good[0].name
    site.start_worker(1)
    site.start_listener()
    site.publish(missing)
    site.wait_for_letters(1)
    assert "MESSAGE_UNREADABLE" in ingester(site, "list", code=last_release).stdout
    assert ingester(site, "replay", "--all", code=last_release).returncode == 1
    [letter] = site.letters()
    assert (letter.path, letter.reason) == (str(missing), "FILE_MISSING")


def ingester(site: Deployment, *arguments: str, code: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """`ingester letters …` of a release."""
    return run(site, "-m", "ingester_app.cli", "letters", *arguments, code=code)


def run(site: Deployment, *arguments: str, code: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *arguments]
    environment = site.environment()
    return subprocess.run(command, cwd=code, env=environment, capture_output=True, text=True, check=False, timeout=60)
