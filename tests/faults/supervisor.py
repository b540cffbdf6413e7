"""Keeps the service's processes alive, as an operator's init system would, and kills them when told to."""

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from tests.faults import plan
from tests.support.processes import Program
from tests.support.service import LISTENER, Deployment, celery_worker

DEAF_AFTER = 60.0  # seconds after which a process that does not end on SIGTERM is killed


@dataclass
class Place:
    """One process of the service, whoever fills it at the moment."""

    name: str
    command: tuple[str, ...]
    program: Program
    ending_since: float | None = None
    killed: bool = False


class Supervisor:
    """Listener and workers of a site: started again when they end, for whatever reason."""

    def __init__(self, site: Deployment, workers: int, concurrency: int, seed: int) -> None:
        self.kills: Counter[str] = Counter()
        self.starts: Counter[str] = Counter()
        self.exits: Counter[str] = Counter()
        self._site = site
        self._chance = random.Random(seed)
        queue = site.settings.ingest_queue
        worker = (*celery_worker("tests.faults.observed_tasks"), "-Q", queue, "-c", str(concurrency))
        self.places = [
            self._filled("listener", LISTENER),
            *(self._filled(f"worker {n}", (*worker, "-n", f"w{n}@%h")) for n in range(workers)),
        ]

    def wait_until_ready(self) -> None:
        """Wait for the first of each."""
        for place in self.places:
            place.program.wait_for("listening on queue" if place.name == "listener" else " ready.", 90)

    def keep(self) -> None:
        """Fill the place of each process that has ended; to be called often."""
        for place in self.places:
            code = place.program.process.poll()
            if code is None:
                self._end_the_deaf(place)
                continue
            self._note_exit(place, code)
            place.program = self._start(place.name, place.command)
            place.ending_since, place.killed = None, False

    def do(self, what: str, which: int) -> bool:
        """Kill or end a process as the plan says; False if there is none of this kind just now."""
        if what in (plan.KILL_LISTENER, plan.END_LISTENER):
            place = self.places[0]
        else:
            place = self.places[1 + which % (len(self.places) - 1)]
        if place.program.process.poll() is not None or place.ending_since is not None:
            return False
        if what in (plan.END_WORKER, plan.END_LISTENER):
            place.ending_since = time.monotonic()
            place.program.process.send_signal(signal.SIGTERM)
        elif what == plan.KILL_CHILD:
            children = place.program.children()
            if not children:
                return False
            with suppress(ProcessLookupError):
                os.kill(self._chance.choice(children), signal.SIGKILL)
        else:
            place.killed = True
            (place.program.process.kill if what == plan.KILL_MAIN else place.program.kill)()
        self.kills[what] += 1
        return True

    def end(self, seconds: float = 30.0) -> list[str]:
        """SIGTERM to all; the names of those that did not end by themselves in time."""
        for place in self.places:
            place.program.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(place.program.process.poll() is None for place in self.places):
            time.sleep(0.1)
        deaf = [place.name for place in self.places if place.program.process.poll() is None]
        for place in self.places:
            place.program.kill()
        return deaf

    def _filled(self, name: str, command: tuple[str, ...]) -> Place:
        return Place(name, command, self._start(name, command))

    def _start(self, name: str, command: tuple[str, ...]) -> Program:
        self.starts[name] += 1
        # The site's workers put back, on SIGTERM, what takes longer than SOFT_SHUTDOWN_SECONDS.
        return self._site.start(*command, **({"REMAP_SIGTERM": "SIGQUIT"} if name != "listener" else {}))

    def _note_exit(self, place: Place, code: int) -> None:
        kind = place.name.split()[0]
        if place.killed:
            return
        if place.ending_since is not None:
            self.exits[f"{kind} on SIGTERM: {code}"] += 1
        elif not (kind == "listener" and code == -signal.SIGKILL):
            self.exits[f"{kind} by itself: {code}"] += 1

    def _end_the_deaf(self, place: Place) -> None:
        if place.ending_since is not None and time.monotonic() - place.ending_since > DEAF_AFTER:
            self.exits[f"{place.name.split()[0]} deaf to SIGTERM for {DEAF_AFTER:.0f} s"] += 1
            place.killed = True
            place.program.kill()
