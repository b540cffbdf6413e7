"""The world: neighbours, files, clock and processes; what may happen next in it, and what it is then."""

import copy
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

from ingester_app.retry import Patiences
from lco_ingester.archive import DuplicateVersion, Posted
from lco_ingester.frame import Fingerprint, Record
from lco_ingester.store import StoredObject
from tests.simulation import clock
from tests.simulation.archive import SimulatedArchive
from tests.simulation.broker import Announcement, Message, SimulatedBroker
from tests.simulation.files import Event, SimulatedFiles, md5_of
from tests.simulation.process import Process, Run
from tests.simulation.store import SimulatedStore

Body = Callable[[Run, "World"], None]
READS = frozenset(("has_version", "find_frame", "head"))
PRIVATE = frozenset(("ack", "give back", "announce", "bury"))
WRITES = frozenset(("put", "post", "announce", "publish", "bury"))


@dataclass(frozen=True)
class Scenario:
    """What a world begins with, and what may happen in it.

    `files` are paths and the names of their bytes, `names` what is published on the FITS exchange, `events` happen to
    files in this order, each at any time or never. `others` are (basename, content) that someone else has archived.
    `lag` and `page` are the archive's, see there; `listens`: the names go by way of the listener, which may die. `reasons` are those that a dead letter may have here.
    """

    name: str
    names: tuple[str, ...]
    files: Mapping[str, str]
    faults: int = 2
    events: tuple[Event, ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    replays: int = 0
    workers: int = 2
    lag: float = 0.0
    page: int | None = None
    delivery_limit: int = 20
    listens: bool = True
    patiences: Patiences = field(default_factory=lambda: clock.PATIENCES)
    reasons: frozenset[str] = frozenset()


class World:
    """One state of everything. `choices` says what may happen next, `after` what the world is then.

    A choice is a text: `a:put` is worker a's pending put, answered; `a:put!error` refused with nothing done,
    `a:put!lost` done and the answer lost; `a:find_frame?stale` answered by a replica that lags; `a:put!killed` the worker
    dies before it; `wait` until the next delay ends; `file 0` the first event; `replay` an operator takes a letter.
    """

    saves_time = True

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
        self.fresh: frozenset[tuple[str, str, str | None]] = frozenset()  # who has looked, at which basename, and saw what
        self.behind: frozenset[str] = frozenset()  # who has looked, and another has put since
        self.overtaken: frozenset[str] = frozenset()  # who has looked, and another has posted since
        self.late_puts: frozenset[str] = frozenset()  # the md5s that were put by whom was behind
        self.outdated: frozenset[str] = frozenset()  # basenames whose last record was posted by whom its file had shown no more
        self.open_window: frozenset[str] = frozenset()  # basenames that met the one window docs/design.md leaves open
        self.wrong_announcements: tuple[Announcement, ...] = ()
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
        processes = [(self._role(each), each.key(now), self._looks(each)) for each in self.processes]
        return hash((
            self.faults,
            self.replays,
            self.events,
            self.store.key,
            self.archive.key(now),
            self.files.key,
            self.broker.key(now),
            frozenset(Counter(processes).items()),  # whether it is worker a or b does not matter
            self.outdated,
            self.open_window,
            self.late_puts,
        ))  # fmt: skip

    @property
    def end(self) -> tuple[Any, ...]:
        """What has come of it: archive, announcements and dead letters."""
        letters = sorted((letter.path, letter.reason) for letter in self.broker.read_letters())
        return self.archive.key(self.now)[0], self.broker.announced, tuple(letters)

    def __str__(self) -> str:
        """In one line, for people."""
        rows = [f"{row.basename} {row.md5[:4]}" for row in self.archive.rows]
        said = [f"{each.basename} {each.md5[:4]}" for each in self.broker.announced]
        letters = [letter.reason for letter in self.broker.read_letters()]
        return f"t={self.now - clock.START:g} archive={rows} announced={said} letters={letters}"

    @property
    def is_changing(self) -> bool:
        """Whether something may yet happen to a file."""
        return self.events < len(self.scenario.events)

    @property
    def is_at_rest(self) -> bool:
        """Whether all messages are drained: nobody will do anything by himself."""
        return not (self.processes or self.broker.names or self.broker.frames or self.broker.delayed)

    def choices(self) -> list[str]:
        """All that may happen next; what costs a fault comes last.

        If a process is before a call that nobody else can notice or hinder, its choices are all: what the others
        may do meanwhile they may as well do after it. And a kill is a choice only after a call that changed something: it
        is no other than the one before that call. Both only save time (`test_promise.py`).
        """
        private = next((each for each in self.processes if each.pending and each.pending.name in PRIVATE), None)
        if private is not None and self.saves_time:
            plain, faults = self._of(private)
            return plain + (faults if self.faults else [])
        plain, faults = [], []
        for process in self.processes:
            own = self._of(process)
            plain += own[0]
            faults += own[1]
        if self.broker.delayed:
            plain.append("wait")
        if self.is_changing:
            plain.append(f"file {self.events}")
        if self.replays and self.broker.letters and not any(each.name == "operator" for each in self.processes):
            plain.append("replay")
        return plain + (faults if self.faults else [])

    def _of(self, process: Process) -> tuple[list[str], list[str]]:
        """What may happen to one process: without a fault, and with one."""
        call = process.pending
        if call is None:
            return [], []
        step = f"{process.name}:{call.name}"
        stale = call.name in READS and self.archive.may_lag(call.name, call.about, self.now)
        faults = [f"{step}!error"] if call.name in READS | WRITES else []
        faults += [f"{step}!lost"] if call.name in WRITES else []
        faults += [f"{step}!killed"] if process.may_matter_dead or not self.saves_time else []
        return [step] + [f"{step}?stale"] * stale, faults

    def after(self, choice: str) -> "World":
        """The world after this choice."""
        world = self._copy()
        if choice == "wait":
            world.now = max(world.now, world.broker.end_of_next_delay())
        elif choice.startswith("file "):
            world.files.happen(world.scenario.events[world.events])
            world.events += 1
        elif choice == "replay":
            world.replays -= 1
            letter, *left = world.broker.letters
            world.broker.letters = tuple(left)
            world._resume(Process("operator", letter), None)
        else:
            world._go_on(choice)
        world._start_idle()
        return world

    def look(self, who: str, path: str) -> Fingerprint | None:
        """A process looks at a file."""
        self.fresh = frozenset(each for each in self.fresh if each[0] != who)
        self.fresh |= {(who, PurePath(path).stem, self.files.held(path))}
        self.behind -= {who}
        self.overtaken -= {who}
        return self.files.look(path)

    def put(self, who: str, content: bytes, size: int, md5: str, target: StoredObject) -> str:
        """A process puts; it is late if another has put since its last look."""
        version_id = self.store.put(io.BytesIO(content), size, md5, target)
        if who in self.behind:
            self.late_puts |= {md5}
        self.behind |= self._others_before(who, PurePath(target.key).stem)
        return version_id

    def post(self, who: str, record: Record) -> Posted | DuplicateVersion:
        """A process posts. The window that stays open (docs/design.md): a newer frame was posted since its last look;
        or a newer one was put between its last look and its own put, and the file is gone: then the look before the
        POST finds our bytes at the key.
        """
        answer = self.archive.post_frame(record, self.now)
        if isinstance(answer, Posted):
            basename, [version] = record["basename"], record["version_set"]
            paths = [path for path in self.scenario.files if PurePath(path).stem == basename]
            gone = all(self.files.held(path) is None for path in paths)
            rightful = version["md5"] in [self.files.meant(path) for path in paths]
            rightful |= (who, basename, version["md5"]) in self.fresh
            self.outdated = self.outdated - {basename} if rightful else self.outdated | {basename}
            if who in self.overtaken or (gone and version["md5"] in self.late_puts):
                self.open_window |= {basename}
            self.overtaken |= self._others_before(who, basename)
        return answer

    def _others_before(self, who: str, basename: str) -> set[str]:
        """The other processes that looked at a file of this basename."""
        return {name for name, looked_at, _ in self.fresh if looked_at == basename and name != who}

    def announce(self, record: Record, message_id: str) -> None:
        """A processed message goes out; it must speak of the archive's own version."""
        [version] = record["version_set"]
        said = Announcement(record["basename"], version["key"], version["md5"], message_id)
        self.broker.announced |= {said}
        row = self.archive.version(said.md5)
        if row is None or (row.basename, row.key) != (said.basename, said.key) or message_id != said.md5:
            self.wrong_announcements += (said,)

    @staticmethod
    def _role(process: Process) -> str:
        return process.name if process.name in ("listener", "operator") else "worker"

    def _looks(self, process: Process) -> tuple[Any, ...]:
        looked = next((each[1:] for each in self.fresh if each[0] == process.name), None)
        return looked, process.name in self.behind, process.name in self.overtaken

    def _copy(self) -> "World":
        world = copy.copy(self)
        world.store = self.store.copy()
        world.archive = self.archive.copy()
        world.files = self.files.copy()
        world.broker = self.broker.copy()
        return world

    def _go_on(self, choice: str) -> None:
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
        body = self._bodies[self._role(process)]
        gone_on = Run(process, outcome).finish(lambda run: body(run, self))
        self._end(process, keep_looks=gone_on is not None)
        if gone_on is not None:
            self.processes = tuple(sorted((*self.processes, gone_on), key=lambda each: each.name))

    def _end(self, process: Process, *, keep_looks: bool = False) -> None:
        self.processes = tuple(each for each in self.processes if each.name != process.name)
        if not keep_looks:
            self.fresh = frozenset(each for each in self.fresh if each[0] != process.name)
            self.behind -= {process.name}
            self.overtaken -= {process.name}

    def _give_back(self, process: Process) -> None:
        if process.name == "listener":
            self.broker.give_back_name(process.hand)
        elif process.name == "operator":
            self.broker.give_back_letter(process.hand)
        else:
            self.broker.give_back_frame(process.hand)

    def _start_idle(self) -> None:
        """Whoever is idle takes the next message at once: how long it then stands still is the search's choice."""
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
