"""The search: all that can happen in a scenario, up to its number of faults; or one schedule, exactly again."""

import io
import logging
import random
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, BinaryIO
from unittest.mock import patch

from lco_ingester import record, steps, validation
from tests.simulation.bodies import BODIES
from tests.simulation.promise import broken
from tests.simulation.world import Body, Scenario, World

LONGEST = 3000
"""Steps after which a schedule is taken for one that never ends."""


class PromiseBrokenError(AssertionError):
    """The promise does not hold; `schedule` shows it again: `python -m tests.simulation --replay '…'`."""

    def __init__(self, why: str, scenario: Scenario, steps_taken: list[str]) -> None:
        self.why = why
        self.schedule = f"{scenario.name} | {', '.join(steps_taken)}"
        super().__init__(f"{why}\n  --replay '{self.schedule}'")


@dataclass
class Explored:
    """How much was tried: different states, steps between them, and whole schedules; and how they ended."""

    states: int = 0
    steps: int = 0
    schedules: int = 0
    seconds: float = 0.0
    most_versions: int = 0
    ends: set[Any] = field(default_factory=set)

    def __str__(self) -> str:
        return (
            f"{self.schedules:,} schedules through {self.states:,} states in {self.seconds:.1f} s"
            f" ({60 * self.schedules / max(self.seconds, 1e-9):,.0f} a minute)"
        )


def explore(scenario: Scenario, bodies: Mapping[str, Body] = BODIES) -> Explored:
    """Try everything. Raises PromiseBrokenError with the first schedule that breaks the promise."""
    search = _Search(scenario)
    started = time.perf_counter()
    with quick():
        search.explored.schedules = search.visit(World(scenario, bodies))
    search.explored.states = len(search.seen)
    search.explored.seconds = time.perf_counter() - started
    return search.explored


class _Search:
    """Depth first; a state that was met before is not entered again, but its schedules are counted."""

    def __init__(self, scenario: Scenario) -> None:
        self.explored = Explored()
        self.seen: dict[int, int] = {}
        self._scenario = scenario
        self._path: list[str] = []

    def visit(self, world: World) -> int:
        """How many schedules lead on from here."""
        key = world.key
        if key in self.seen:
            if self.seen[key] == 0:
                raise PromiseBrokenError("it goes round in circles", self._scenario, self._path)
            return self.seen[key]
        self.seen[key] = 0
        why = broken(world) if len(self._path) < LONGEST else "it never ends"
        if why:
            raise PromiseBrokenError(why, self._scenario, self._path)
        self.explored.most_versions = max(self.explored.most_versions, len(world.store.versions))
        if world.is_at_rest:
            self.explored.ends.add(world.end)
        schedules = int(world.is_at_rest)
        for choice in world.choices():
            self.explored.steps += 1
            self._path.append(choice)
            schedules += self.visit(world.after(choice))
            self._path.pop()
        self.seen[key] = schedules
        return schedules


def walk(scenario: Scenario, chances: Iterator[float], bodies: Mapping[str, Body] = BODIES) -> int:
    """One long schedule: each choice is made by a number in [0, 1). Returns its length.

    Where no number is left, what comes first happens, without faults. Raises PromiseBrokenError.
    """
    world = World(scenario, bodies)
    path: list[str] = []
    while True:
        why = broken(world) if len(path) < LONGEST else "it never ends"
        if why:
            raise PromiseBrokenError(why, scenario, path)
        choices = world.choices()
        if not choices:
            return len(path)
        choice = choices[int(next(chances, 0.0) * len(choices))]
        path.append(choice)
        world = world.after(choice)


def replay(scenario: Scenario, choices: list[str], bodies: Mapping[str, Body] = BODIES) -> Iterator[tuple[str, World]]:
    """The worlds of one schedule, step by step."""
    world = World(scenario, bodies)
    for choice in choices:
        if choice not in world.choices():
            raise ValueError(f"{choice!r} cannot happen here, but: {', '.join(world.choices())}")
        world = world.after(choice)
        yield choice, world


def chances(seed: int) -> Iterator[float]:
    """Numbers in [0, 1) without end."""
    numbers = random.Random(seed)
    while True:
        yield numbers.random()


@contextmanager
def quick() -> Iterator[None]:
    """Silence, depth, and parsing of each file once.

    `steps.read_frame` runs whole; but the two pure functions in it, from bytes to headers and from headers to record,
    remember what they gave for the same bytes and the same name. A run begins again at each of its calls, so they
    would give the same some ten thousand times. `test_promise.py` compares with the real ones.
    """
    limit, disabled = sys.getrecursionlimit(), logging.root.manager.disable
    with ExitStack() as stack:
        stack.enter_context(patch.object(steps, "read_headers", _read_headers))
        stack.enter_context(patch.object(steps, "build_record", _build_record))
        sys.setrecursionlimit(5 * LONGEST)
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)
            sys.setrecursionlimit(limit)


def _read_headers(stream: BinaryIO, path: str) -> Any:
    return stream.read(), path


def _build_record(headers: Any, basename: str, extension: str, rules: Any, path: str) -> Any:
    return _record(*headers, basename, extension, rules)


@lru_cache
def _record(content: bytes, path: str, basename: str, extension: str, rules: Any) -> Any:
    return record.build_record(validation.read_headers(io.BytesIO(content), path), basename, extension, rules, path)
