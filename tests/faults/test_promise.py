"""The promise, case by case: a process is killed at this point of the code, and no frame is lost or archived twice."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.hooks import Hook
from tests.faults.killable_site import KillableSite, killable_site
from tests.faults.report import md5
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitNode
from tests.support.servers import ArchiveServer, S3Server

pytestmark = pytest.mark.timeout(180)

# Each has a frame of its own in one run of the service.
CHILD_DEATHS = (
    ("before:upload", "die"),
    ("after:put", "die"),
    ("before:post", "die"),
    ("after:post", "die"),
    ("after:republish", "die"),
    ("before:ack", "die"),
    ("after:retry", "die"),
)
# These follow one after another, when no other frame is being ingested.
OTHER_DEATHS = (
    ("after:put", "die all"),
    ("after:post", "die main"),
    ("before:dispatch", "die"),
    ("after:dispatch", "die"),
)
DEATHS = (*CHILD_DEATHS, *OTHER_DEATHS)


class Killed:
    """A site after a run in which each of these deaths happens to a frame of its own."""

    def __init__(self, site: KillableSite, frames: dict[tuple[str, str], Path]) -> None:
        self.site = site
        self.frames = frames
        self._worker = site.start_worker(len(CHILD_DEATHS))
        self._listener = site.start_listener()

    def run(self) -> None:
        """Publish all frames; each test then checks its own."""
        late = self.frames["after:retry", "die"]
        hidden = late.rename(late.with_suffix(".hidden"))
        self.site.site.publish(*(self.frames[death] for death in CHILD_DEATHS))
        self.site.wait_for_hook("after:retry", late)
        hidden.rename(late)
        self._wait_for(*CHILD_DEATHS)
        for death in OTHER_DEATHS:
            self.site.site.publish(self.frames[death])
            self._wait_for(death)
        self.site.wait_for_quiet()

    def _wait_for(self, *deaths: tuple[str, str]) -> None:
        """Wait for announcements, and start again what has died."""
        expected = {md5(self.frames[death]) for death in deaths}

        def announced() -> bool:
            if self._worker.process.poll() is not None:
                self._worker = self.site.start_worker(2)
            if self._listener.process.poll() is not None:
                self._listener = self.site.start_listener()
            return {identity for identity, _ in self.site.site.take_announced()} >= expected

        with suppress(AssertionError):
            wait_until(f"{deaths}", announced, 40)


@pytest.fixture(scope="module")
def killed(
    tmp_path_factory: pytest.TempPathFactory,
    node: RabbitNode,
    api: ArchiveServer,
    bucket: S3Server,
    new_files: Callable[[int], list[Path]],
) -> Iterator[Killed]:
    frames = dict(zip(DEATHS, new_files(len(DEATHS)), strict=True))
    hooks = [Hook(point, path.name, (do,)) for (point, do), path in frames.items()]
    directory = tmp_path_factory.mktemp("killed")
    with killable_site(directory, node, api, bucket, hooks, RETRY_FILE_PATIENCE="60") as site:
        after_run = Killed(site, frames)
        after_run.run()
        yield after_run


@pytest.mark.parametrize("death", DEATHS, ids=" ".join)
def test_a_frame_whose_process_dies_at_this_point_is_archived_once_and_announced(
    killed: Killed, death: tuple[str, str]
) -> None:
    site, frames = killed.site, killed.frames
    assert site.hooks.times_reached(death[0], frames[death].name) == 1, "it died there"
    site.assert_archived_once_and_announced(frames[death])
    assert site.site.letters() == []


@pytest.mark.parametrize(
    "death", [("after:put", "die"), ("after:put", "die all"), ("before:post", "die")], ids=" ".join
)
def test_the_bytes_that_were_put_before_a_death_are_not_put_again(killed: Killed, death: tuple[str, str]) -> None:
    site, frames = killed.site, killed.frames
    assert len(site.versions(frames[death])) == 1


@pytest.mark.parametrize("death", [("after:republish", "die"), ("before:ack", "die")], ids=" ".join)
def test_a_frame_announced_before_a_death_is_announced_again_with_the_same_message_id(
    killed: Killed, death: tuple[str, str]
) -> None:
    site, frames = killed.site, killed.frames
    records = site.announced(md5(frames[death]))
    assert len(records) == 2
    first, second = ({**record, "url": ""} for record in records)  # each answer of the archive has a new link
    assert first == second


def test_a_name_that_was_dispatched_twice_is_announced_once(killed: Killed) -> None:
    site, frames = killed.site, killed.frames
    path = frames["after:dispatch", "die"]
    assert site.logged(path).count("run begins") == 2
    assert len(site.announced(md5(path))) == 1


def test_two_messages_of_one_frame_after_a_retry_are_harmless(killed: Killed) -> None:
    site, frames = killed.site, killed.frames
    path = frames["after:retry", "die"]
    assert site.logged(path).count("'redelivered': True") >= 1
    assert len(site.versions(path)) <= 2
