"""The search: everything that is possible in a scenario, up to its number of faults; or one schedule again."""

import random
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.bodies import BODIES
from tests.simulation.choices import choices
from tests.simulation.promise import broken
from tests.simulation.scenario import Scenario
from tests.simulation.speedups import speedups
from tests.simulation.world import Body, World

LONGEST = 1000
"""Steps after which a schedule counts as endless."""


class PromiseBrokenError(AssertionError):
    """The promise does not hold; `schedule` shows it again: `python -m tests.simulation --replay '…'`."""

    def __init__(self, why: str, scenario: Scenario, steps_taken: list[str]) -> None:
        self.why = why
        self.schedule = f"{scenario.name} | {', '.join(steps_taken)}"
        super().__init__(f"{why}\n  --replay '{self.schedule}'")


@dataclass
class Explored:
    """How much was tried: different states, the steps between them, and their ends.

    `schedules` counts all the ways through these states; what they have in common was run once.
    """

    states: int = 0
    steps: int = 0
    schedules: int = 0
    seconds: float = 0.0
    most_versions: int = 0
    ends: set[Any] = field(default_factory=set)

    def __str__(self) -> str:
        return f"{self.schedules:,} schedules = {self.states:,} states, {self.steps:,} steps, {self.seconds:.1f} s"


def explore(scenario: Scenario, bodies: Mapping[str, Body] = BODIES, *, saves_time: bool = True) -> Explored:
    """Try everything. Raises PromiseBrokenError with the first schedule that breaks the promise."""
    search = _Search(scenario, saves_time)
    started = time.perf_counter()
    with speedups():
        search.explored.schedules = search.run(World(scenario, bodies))
    search.explored.states = len(search.schedules)
    search.explored.seconds = time.perf_counter() - started
    return search.explored


@dataclass
class _Visit:
    """A state on the way to where the search is: the choices not yet tried, and the schedules found so far."""

    world: World
    key: int
    choices: deque[str]
    schedules: int


class _Search:
    """Depth first; a state that was met before is not entered again, but its schedules are counted."""

    def __init__(self, scenario: Scenario, saves_time: bool) -> None:
        self._saves_time = saves_time
        self.explored = Explored()
        self.schedules: dict[int, int] = {}
        """How many schedules lead on from a state, by its key; 0 while that is not known yet."""
        self._scenario = scenario
        self._path: list[str] = []

    def run(self, world: World) -> int:
        """How many schedules start in this world. Raises PromiseBrokenError."""
        stack = [self._entered(world, world.key)]
        while True:
            visit = stack[-1]
            if visit.choices:
                self.explored.steps += 1
                self._path.append(choice := visit.choices.popleft())
                following = visit.world.after(choice)
                key = following.key
                known = self.schedules.get(key)
                if known is None:
                    stack.append(self._entered(following, key))
                    continue
                if known == 0:
                    raise PromiseBrokenError("it runs in a circle", self._scenario, self._path)
                visit.schedules += known
            else:
                self.schedules[visit.key] = visit.schedules
                stack.pop()
                if not stack:
                    return visit.schedules
                stack[-1].schedules += visit.schedules
            self._path.pop()

    def _entered(self, world: World, key: int) -> _Visit:
        """A state that is met for the first time. Raises PromiseBrokenError if it breaks the promise."""
        self.schedules[key] = 0
        why = broken(world) if len(self._path) < LONGEST else "it never ends"
        if why:
            raise PromiseBrokenError(why, self._scenario, self._path)
        self.explored.most_versions = max(self.explored.most_versions, len(world.store.versions))
        if world.is_at_rest:
            self.explored.ends.add(world.end)
        return _Visit(world, key, deque(choices(world, saves_time=self._saves_time)), int(world.is_at_rest))


def walk(scenario: Scenario, numbers: Iterator[float], bodies: Mapping[str, Body] = BODIES) -> int:
    """One long schedule: each choice is made by a number in [0, 1). Returns its length.

    When no number is left, the first choice is taken, without faults. Raises PromiseBrokenError.
    """
    world = World(scenario, bodies)
    path: list[str] = []
    while True:
        why = broken(world) if len(path) < LONGEST else "it never ends"
        if why:
            raise PromiseBrokenError(why, scenario, path)
        possible = choices(world)
        if not possible:
            return len(path)
        choice = possible[int(next(numbers, 0.0) * len(possible))]
        path.append(choice)
        world = world.after(choice)


def replay(scenario: Scenario, steps: list[str], bodies: Mapping[str, Body] = BODIES) -> Iterator[tuple[str, World]]:
    """The worlds of one schedule, step by step."""
    world = World(scenario, bodies)
    for step in steps:
        if step not in (possible := choices(world, saves_time=False)):
            raise ValueError(f"{step!r} is not possible here, but: {', '.join(possible)}")
        world = world.after(step)
        yield step, world


def chances(seed: int) -> Iterator[float]:
    """Numbers in [0, 1) without end."""
    numbers = random.Random(seed)
    while True:
        yield numbers.random()
