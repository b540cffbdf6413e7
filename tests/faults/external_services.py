"""The site's neighbours, made to fail: a share of their requests all the time, and all of them in an outage."""

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
    """One request in ten fails, in every way there is; `writing` is the method by which something is stored.

    Of the others one in four is slow, so that there is something to be killed in the middle of.
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


class Neighbour:
    """A server of the demo's and what was injected into it so far."""

    def __init__(self, server: Server, writing: str, seed: int) -> None:
        self.server = server
        self.injected: Counter[str] = Counter()
        self._writing = writing
        self._seed = seed

    def be_flaky(self) -> None:
        """Fail one request in ten, from now on."""
        self._seed += 100
        self._set(mixed_faults(self._seed, self._writing))

    def be_away(self) -> None:
        """Close every connection at once."""
        self._set([{"kind": "down"}])

    def be_healthy(self) -> None:
        """No faults any more."""
        self._count()

    def _set(self, faults: list[dict[str, Any]]) -> None:
        self._count()
        self.server.faults(*faults)

    def _count(self) -> None:
        state = self.server.clear_faults()
        self.injected.update({kind: number for kind, number in state["injected"].items() if kind != "slow"})


class KillableArchive(Neighbour):
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
        """SIGKILL: from now on connections are refused."""
        self._count()
        self.alive = False
        os.kill(self.server.pid, signal.SIGKILL)
        self._running.close()

    def restart(self) -> None:
        """Be back, and flaky."""
        self.server = self._start()
        self.be_flaky()

    def close(self) -> None:
        """End it for good."""
        self._running.close()

    def _start(self) -> ArchiveServer:
        server = self._running.enter_context(running_archive(self._directory, **self._options))
        self.alive = True
        return server


class FlakyStore(Neighbour):
    """The S3 store; it lives in memory, so that it can be away, but not killed."""

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
