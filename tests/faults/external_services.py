"""The external services of the site, which fail: a share of the requests all the time, every request in an outage."""

import os
import signal
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.faults.report import StoredVersion
from tests.support.ports import free_port
from tests.support.servers import ArchiveServer, S3Server, Server, running_archive


def mixed_faults(seed: int, writing: str) -> list[dict[str, Any]]:
    """One request in ten fails, in each of the ways; `writing` is the HTTP method that stores something.

    Of the others one in four is slow, so that kills often come in the middle of a request.
    """
    shares: list[tuple[float, dict[str, Any]]] = [
        (0.03, {"kind": "error", "status": 503}),
        (0.01, {"kind": "error", "status": 500}),
        (0.02, {"kind": "cut"}),
        (0.02, {"kind": "drop_answer"}),
        (0.02, {"kind": "down"}),
        (0.04, {"kind": "drop_answer", "method": writing}),
        (0.25, {"kind": "slow", "seconds": 0.4}),
    ]
    return [{**fault, "rate": share, "seed": seed + number} for number, (share, fault) in enumerate(shares)]


class FlakyService:
    """A server of the demo, and which faults it has injected so far."""

    def __init__(self, server: Server, writing: str, seed: int) -> None:
        self.server = server
        self.injected: Counter[str] = Counter()
        self._writing = writing
        self._seed = seed

    def start_faults(self) -> None:
        """Fail one request in ten, from now on."""
        self._seed += 100
        self._set(mixed_faults(self._seed, self._writing))

    def start_outage(self) -> None:
        """Close every connection immediately, from now on."""
        self._set([{"kind": "down"}])

    def stop_faults(self) -> None:
        """Inject no faults any more."""
        self._count()

    def _set(self, faults: list[dict[str, Any]]) -> None:
        self._count()
        self.server.faults(*faults)

    def _count(self) -> None:
        state = self.server.clear_faults()
        self.injected.update({kind: number for kind, number in state["injected"].items() if kind != "slow"})


class KillableArchive(FlakyService):
    """An Archive API that can be killed and started again on its port, with what it had committed."""

    server: ArchiveServer

    def __init__(self, directory: Path, seed: int, **options: Any) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._options = {**options, "port": free_port()}
        self._running = ExitStack()
        self.alive = False
        super().__init__(self._start(), "POST", seed)

    def kill(self) -> None:
        """SIGKILL: the port refuses connections from now on."""
        self._count()
        self.alive = False
        os.kill(self.server.pid, signal.SIGKILL)
        self._running.close()

    def restart(self) -> None:
        """Start it again, with faults."""
        self.server = self._start()
        self.start_faults()

    def close(self) -> None:
        """End it."""
        self._running.close()

    def _start(self) -> ArchiveServer:
        server = self._running.enter_context(running_archive(self._directory, **self._options))
        self.alive = True
        return server


class FlakyStore(FlakyService):
    """The S3 store. It keeps objects in memory, so it has outages but is never killed."""

    server: S3Server

    def __init__(self, store: S3Server, seed: int) -> None:
        super().__init__(store, "PUT", seed)


def stored_versions(store: S3Server) -> list[StoredVersion]:
    """All versions in the bucket, the newest first for each key."""
    pages = store.client().get_paginator("list_object_versions").paginate(Bucket=store.bucket)
    return [
        StoredVersion(each["Key"], each["VersionId"], each["ETag"].strip('"'))
        for page in pages
        for each in page.get("Versions", [])
    ]
