"""Keeps the service's processes running, as an init system does, and kills them as the plan says."""

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

SIGTERM_TIMEOUT = 60.0  # seconds after which a process that does not end on SIGTERM is killed


@dataclass
class SupervisedProcess:
    """One process of the service, started again under the same name whenever it ends."""

    name: str
    command: tuple[str, ...]
    program: Program
    ending_since: float | None = None
    killed: bool = False


class Supervisor:
    """Listener and workers of a site: started again whenever they end."""

    def __init__(self, site: Deployment, workers: int, concurrency: int, seed: int) -> None:
        self.kills: Counter[str] = Counter()
        self.starts: Counter[str] = Counter()
        self.exits: Counter[str] = Counter()
        self._site = site
        self._chance = random.Random(seed)
        queue = site.settings.ingest_queue
        worker = (*celery_worker("tests.faults.observed_tasks"), "-Q", queue, "-c", str(concurrency))
        self.processes = [
            self._started("listener", LISTENER),
            *(self._started(f"worker {n}", (*worker, "-n", f"w{n}@%h")) for n in range(workers)),
        ]

    def wait_until_ready(self) -> None:
        """Wait until all are ready for the first time."""
        for process in self.processes:
            process.program.wait_for("listening on queue" if process.name == "listener" else " ready.", 90)

    def restart_ended(self) -> None:
        """Start each process again that has ended; to be called often."""
        for process in self.processes:
            code = process.program.process.poll()
            if code is None:
                self._kill_if_hung(process)
                continue
            self._note_exit(process, code)
            process.program = self._start(process.name, process.command)
            process.ending_since, process.killed = None, False

    def do(self, what: str, which: int) -> bool:
        """Kill or end a process as the plan says; False if no such process runs now."""
        if what in (plan.KILL_LISTENER, plan.END_LISTENER):
            process = self.processes[0]
        else:
            process = self.processes[1 + which % (len(self.processes) - 1)]
        if process.program.process.poll() is not None or process.ending_since is not None:
            return False
        if what in (plan.END_WORKER, plan.END_LISTENER):
            process.ending_since = time.monotonic()
            process.program.process.send_signal(signal.SIGTERM)
        elif what == plan.KILL_CHILD:
            children = process.program.children()
            if not children:
                return False
            with suppress(ProcessLookupError):
                os.kill(self._chance.choice(children), signal.SIGKILL)
        else:
            process.killed = True
            (process.program.process.kill if what == plan.KILL_MAIN else process.program.kill)()
        self.kills[what] += 1
        return True

    def end(self, seconds: float = 30.0) -> list[str]:
        """SIGTERM to all; the names of those that did not end in time."""
        for process in self.processes:
            process.program.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(process.program.process.poll() is None for process in self.processes):
            time.sleep(0.1)
        not_ended = [process.name for process in self.processes if process.program.process.poll() is None]
        for process in self.processes:
            process.program.kill()
        return not_ended

    def _started(self, name: str, command: tuple[str, ...]) -> SupervisedProcess:
        return SupervisedProcess(name, command, self._start(name, command))

    def _start(self, name: str, command: tuple[str, ...]) -> Program:
        self.starts[name] += 1
        # On SIGTERM the site's workers put back the frames that take longer than SOFT_SHUTDOWN_SECONDS.
        return self._site.start(*command, **({"REMAP_SIGTERM": "SIGQUIT"} if name != "listener" else {}))

    def _note_exit(self, process: SupervisedProcess, code: int) -> None:
        kind = process.name.split()[0]
        if process.killed:
            return
        if process.ending_since is not None:
            self.exits[f"{kind} on SIGTERM: {code}"] += 1
        elif not (kind == "listener" and code == -signal.SIGKILL):
            self.exits[f"{kind} by itself: {code}"] += 1

    def _kill_if_hung(self, process: SupervisedProcess) -> None:
        if process.ending_since is not None and time.monotonic() - process.ending_since > SIGTERM_TIMEOUT:
            self.exits[f"{process.name.split()[0]} did not end on SIGTERM for {SIGTERM_TIMEOUT:.0f} s"] += 1
            process.killed = True
            process.program.kill()
