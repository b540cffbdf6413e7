"""The world: external services, files, clock and processes, and the world after each choice."""

import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from lco_ingester.archive import DuplicateVersion, Posted
from lco_ingester.frame import Fingerprint, Record
from lco_ingester.record.stored_object import StoredObject
from tests.simulation import clock
from tests.simulation.archive import SimulatedArchive
from tests.simulation.broker import Announcement, Message, SimulatedBroker
from tests.simulation.copied import Copied
from tests.simulation.files import SimulatedFiles, basename_of, md5_of
from tests.simulation.observer import Observer
from tests.simulation.process import Process, Run
from tests.simulation.scenario import Scenario
from tests.simulation.store import SimulatedStore

Body = Callable[[Run, "World"], None]


class World(Copied):
    """One state of everything. `choices` gives what is possible next, `after` the world that follows.

    A choice is a text: `a:put` is worker a's pending put, answered; `a:put!error` refused with nothing done,
    `a:put!lost` done and the answer lost; `a:find_frame?stale` answered by a replica that lags; `a:put!killed` the
    worker dies before it; `wait` until the next delay ends; `file 0` the first event; `replay` an operator
    takes a letter.
    """

    def __init__(self, scenario: Scenario, bodies: Mapping[str, Body]) -> None:
        self.scenario = scenario
        self.now = clock.START
        self.faults = scenario.faults
        self.replays = scenario.replays
        self.events = 0
        self.store = SimulatedStore()
        self.archive = SimulatedArchive(scenario.lag, scenario.page)
        self.files = SimulatedFiles(dict(scenario.files))
        self.broker = SimulatedBroker(scenario.delivery_limit)
        self.processes: tuple[Process, ...] = ()
        self.observer = Observer()
        self._bodies = bodies
        for number, (basename, content) in enumerate(scenario.others):
            version = {"key": f"other{number}", "md5": md5_of(content), "extension": ".fits"}
            self.archive.post_frame({"basename": basename, "version_set": [version]}, by_other=True)
        if scenario.listens:
            self.broker.names = tuple(Message(json.dumps({"path": path})) for path in scenario.names)
        else:
            for path in scenario.names:
                self.broker.publish_frame({"frame": {"state": "named", "path": path}, "first_time": clock.START})
        self._start_idle()

    @property
    def key(self) -> int:
        """Equal for equal states (two of a million differing ones are taken for one with a chance of 3 in 10^8)."""
        now = self.now
        processes = [(_role(each), each.key(now), self.observer.key_of(each.name)) for each in self.processes]
        return hash((
            self.faults,
            self.replays,
            self.events,
            self.store.key,
            self.archive.key(now),
            self.files.key,
            self.broker.key(now),
            frozenset(Counter(processes).items()),  # whether it is worker a or b does not matter
            self.observer.key,
        ))  # fmt: skip

    @property
    def end(self) -> tuple[Any, ...]:
        """The result: archive, announcements and dead letters."""
        letters = sorted((letter.path, letter.reason) for letter in self.broker.read_letters())
        return self.archive.key(self.now)[0], self.broker.announced, tuple(letters)

    def __str__(self) -> str:
        """One line for people."""
        rows = [f"{row.basename} {row.md5[:4]}" for row in self.archive.rows]
        said = [f"{each.basename} {each.md5[:4]}" for each in self.broker.announced]
        letters = [letter.reason for letter in self.broker.read_letters()]
        return f"t={self.now - clock.START:g} archive={rows} announced={said} letters={letters}"

    @property
    def is_changing(self) -> bool:
        """Whether a file may still change."""
        return self.events < len(self.scenario.events)

    @property
    def is_at_rest(self) -> bool:
        """Whether all messages are gone, so no process acts any more."""
        return not (self.processes or self.broker.names or self.broker.frames or self.broker.delayed)

    def after(self, choice: str) -> "World":
        """The world after this choice."""
        world = self.copy()
        if choice == "wait":
            world.now = max(world.now, world.broker.end_of_next_delay())
        elif choice.startswith("file "):
            world.files.apply(world.scenario.events[world.events])
            world.events += 1
        elif choice == "replay":
            world.replays -= 1
            letter, *left = world.broker.letters
            world.broker.letters = tuple(left)
            world._resume(Process("operator", letter), None)
        else:
            world._continue(choice)
        world._start_idle()
        return world

    def look(self, who: str, path: str) -> Fingerprint | None:
        """A process looks at a file."""
        self.observer.looked(who, basename_of(path), self.files.held(path))
        return self.files.look(path)

    def put(self, who: str, content: bytes, size: int, md5: str, target: StoredObject) -> str:
        """A process puts."""
        version_id = self.store.put(io.BytesIO(content), size, md5, target)
        self.observer.put(who, basename_of(target.key), md5)
        return version_id

    def post(self, who: str, record: Record) -> Posted | DuplicateVersion:
        """A process posts."""
        answer = self.archive.post_frame(record, self.now)
        if isinstance(answer, Posted):
            basename, [version] = record["basename"], record["version_set"]
            paths = [path for path in self.scenario.files if basename_of(path) == basename]
            meant = {self.files.meant(path) for path in paths}
            gone = all(self.files.held(path) is None for path in paths)
            self.observer.posted(who, basename, version["md5"], meant, gone=gone)
        return answer

    def announce(self, record: Record, message_id: str) -> None:
        """A processed message goes out."""
        said = Announcement.of(record, message_id)
        self.broker.announced |= {said}
        self.observer.announced(said, self.archive.version(said.md5))

    def copy(self) -> "World":
        """An independent world, equal to this one."""
        world = super().copy()
        world.store, world.archive = self.store.copy(), self.archive.copy()
        world.files, world.broker = self.files.copy(), self.broker.copy()
        world.observer = self.observer.copy()
        return world

    def _continue(self, choice: str) -> None:
        name, _, step = choice.partition(":")
        process = next(process for process in self.processes if process.name == name)
        call, _, outcome = step.replace("?", "!").partition("!")
        if process.pending is None or process.pending.name != call:
            raise ValueError(f"{choice}: {name} is before {process.pending}")
        self.faults -= outcome in ("error", "lost", "killed")
        if outcome == "killed":
            self._end(process)
            if not process.has_acknowledged:
                self._give_back(process)
        else:
            self._resume(process, outcome)

    def _resume(self, process: Process, outcome: str | None) -> None:
        body = self._bodies[_role(process)]
        gone_on = Run(process, outcome).finish(lambda run: body(run, self))
        self._end(process, keep_looks=gone_on is not None)
        if gone_on is not None:
            self.processes = tuple(sorted((*self.processes, gone_on), key=lambda each: each.name))

    def _end(self, process: Process, *, keep_looks: bool = False) -> None:
        self.processes = tuple(each for each in self.processes if each.name != process.name)
        if not keep_looks:
            self.observer.ended(process.name)

    def _give_back(self, process: Process) -> None:
        if process.name == "listener":
            self.broker.give_back_name(process.hand)
        elif process.name == "operator":
            self.broker.give_back_letter(process.hand)
        else:
            self.broker.give_back_frame(process.hand)

    def _start_idle(self) -> None:
        """An idle process takes the next message at once; the search decides how long it then pauses."""
        names = {process.name for process in self.processes}
        if self.broker.names and "listener" not in names:
            name, *names_left = self.broker.names
            self.broker.names = tuple(names_left)
            self._resume(Process("listener", name), None)
        for worker in "abcdefgh"[: self.scenario.workers]:
            if self.broker.frames and worker not in names:
                frame, *frames_left = self.broker.frames
                self.broker.frames = tuple(frames_left)
                self._resume(Process(worker, frame), None)


def _role(process: Process) -> str:
    return process.name if process.name in ("listener", "operator") else "worker"
