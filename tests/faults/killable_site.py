"""A site whose processes die, hang or wait at hooks, and questions about its frames."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingester_app.broker import dispatch
from tests.faults.external_services import stored_versions
from tests.faults.hooks import Hook, Hooks
from tests.faults.logged_events import read_events
from tests.faults.report import md5
from tests.support.processes import Program, wait_until
from tests.support.rabbitmq import RabbitNode
from tests.support.servers import ArchiveServer, S3Server
from tests.support.service import Deployment, celery_worker, deployed

KILLABLE_LISTENER = (sys.executable, "-m", "tests.faults.killable_listener")
KILLABLE_WORKER = celery_worker("tests.faults.killable_tasks")
QUIET_SECONDS = 2.0  # without a line in any log: longer than the wait before a retry


@dataclass
class KillableSite:
    """A site of the tests of the promise."""

    site: Deployment
    hooks: Hooks
    archive: ArchiveServer
    store: S3Server

    def start_worker(self, concurrency: int = 2, **variables: str) -> Program:
        """Start a worker, and do not wait for it."""
        queue = self.site.settings.ingest_queue
        name = f"{queue}-{len(self.site.programs)}@%h"
        return self.site.start(*KILLABLE_WORKER, "-Q", queue, "-c", str(concurrency), "-n", name, **variables)

    def start_listener(self, **variables: str) -> Program:
        """Start a listener, and wait until it listens."""
        listener = self.site.start(*KILLABLE_LISTENER, **variables)
        listener.wait_for("listening on queue", 60)
        return listener

    def dispatch(self, *paths: Path, **fields: Any) -> None:
        """Dispatch these names as the listener does, after declaring the queues."""
        self.site.declare_ingest_queue()
        self.send(*paths, **fields)

    def send(self, *paths: Path, **fields: Any) -> None:
        """Dispatch these names to queues that exist."""
        app = self.site.app()
        for path in paths:
            message = {"frame": {"state": "named", "path": str(path)}, "first_time": time.time(), **fields}
            dispatch(app, message, str(path))

    def wait_for_quiet(self, seconds: float = 60.0) -> None:
        """Wait until the queues are empty and no process logs anything more."""
        logged, since = -1, time.monotonic()

        def quiet() -> bool:
            nonlocal logged, since
            size = sum(program.log.stat().st_size for program in self.site.programs)
            if size != logged:
                logged, since = size, time.monotonic()
            silent = time.monotonic() - since > QUIET_SECONDS
            return silent and self.site.frames_waiting() == 0 and self.site.names_waiting() == 0

        wait_until("quiet", quiet, seconds)
        self.site.take_announced()

    def wait_for_hook(self, point: str, path: Path, times: int = 1) -> None:
        """Wait until a hook was reached `times` times."""
        wait_until(f"{point} of {path.name}", lambda: self.hooks.times_reached(point, path.name) >= times, 60)

    def wait_until_logged(self, path: Path, text: str) -> None:
        """Wait until a line about this file has `text` in it."""
        wait_until(f"{text} about {path.name}", lambda: text in self.logged(path), 60)

    def logged(self, path: Path) -> str:
        """All that was logged about a file."""
        events = read_events(program.log for program in self.site.programs)
        return "\n".join(str(event) for event in events if path.name in str(event))

    def archived_md5s(self, path: Path) -> list[str]:
        """The md5s under which the archive holds a file's basename; one frame at the most."""
        frames = [frame for frame in self.archive.frames() if frame["basename"] == path.name.partition(".")[0]]
        assert len(frames) < 2
        return [version["md5"] for frame in frames for version in frame["version_set"]]

    def announced(self, digest: str) -> list[dict[str, Any]]:
        """The records that were announced for these bytes."""
        return [record for identity, record in self.site.take_announced() if identity == digest]

    def versions(self, path: Path) -> list[str]:
        """The md5s of a file's versions in S3, the newest first."""
        return [each.etag for each in stored_versions(self.store) if each.key.endswith(f"/{path.name}")]

    def assert_archived_once_and_announced(self, path: Path, digest: str = "") -> None:
        """The promise: one frame with one version of the file's bytes, and an announcement that speaks of it."""
        digest = digest or md5(path)
        assert self.archived_md5s(path) == [digest], self.logged(path)
        records = self.announced(digest)
        assert records, f"{path.name} was not announced:\n{self.logged(path)}"
        frame = next(frame for frame in self.archive.frames() if frame["basename"] == records[0]["basename"])
        for record in records:
            assert record["frameid"] == frame["id"]
            assert record["version_set"][0]["key"] == frame["version_set"][0]["key"]


@contextmanager
def killable_site(
    directory: Path,
    node: RabbitNode,
    archive: ArchiveServer,
    store: S3Server,
    hooks: Sequence[Hook] = (),
    without: str = "",
    **settings: str,
) -> Iterator[KillableSite]:
    """A site with nothing started yet; its processes end with the block."""
    at = Hooks(directory / "marks", *hooks)
    variables = {**at.variables(), "WITHOUT": without, "LOG_LEVEL": "INFO", **settings}
    names = {name: value for name, value in variables.items() if name not in ("MARKS", "HOOKS", "WITHOUT")}
    with deployed(directory / "site", node.url, archive, store, **names) as site:
        site.variables.update(variables)
        yield KillableSite(site, at, archive, store)
