"""The promise is kept with every fault and in every order of events; and the simulation is reliable."""

import sys
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulation import clock
from tests.simulation.__main__ import main
from tests.simulation.bodies import BODIES
from tests.simulation.choices import choices
from tests.simulation.explore import explore, replay, walk
from tests.simulation.process import Call, Process, Run
from tests.simulation.scenario import Scenario
from tests.simulation.scenarios import PATH, REWRITTEN, REWRITTEN_BACK, SCENARIOS, mixture
from tests.simulation.speedups import speedups
from tests.simulation.world import World

KILLED_AFTER_THE_POST = (
    "a:has_version a:put a:post a:announce!killed a:has_version a:find_frame a:announce a:ack".split()  # noqa: SIM905
)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_the_promise_is_kept_in_every_order_of_events_and_with_every_fault(scenario: Scenario) -> None:
    explored = explore(scenario)
    print(explored)
    assert explored.schedules > 1


@given(seed=st.integers(0, 10**6), chances=st.lists(st.floats(0, 1, exclude_max=True), max_size=150))
@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_promise_is_kept_in_long_random_schedules(seed: int, chances: list[float]) -> None:
    with speedups():
        walk(mixture(seed), iter(chances))


@pytest.mark.parametrize(
    ("name", "faults"),
    [("one name", 1), ("one name, lagging replicas", 1), ("archived by someone else", 2), ("a file vanishes", 0)],
)
def test_the_rules_that_save_time_hide_no_end(name: str, faults: int) -> None:
    scenario = replace(SCENARIOS[name], faults=faults)
    fast = explore(scenario)
    slow = explore(scenario, saves_time=False)
    assert fast.ends == slow.ends
    assert fast.states < slow.states


def test_a_schedule_runs_again_exactly() -> None:
    scenario = replace(SCENARIOS["one name"], listens=False)
    with speedups():
        first = [(choice, world.key) for choice, world in replay(scenario, KILLED_AFTER_THE_POST, BODIES)]
        again = [(choice, world.key) for choice, world in replay(scenario, KILLED_AFTER_THE_POST, BODIES)]
    assert first == again


def test_a_file_that_is_parsed_each_time_comes_to_the_same_end() -> None:
    scenario = replace(SCENARIOS["one name"], listens=False)
    with speedups():
        *_, (_, fast) = replay(scenario, KILLED_AFTER_THE_POST)
    *_, (_, slow) = replay(scenario, KILLED_AFTER_THE_POST)
    assert slow.is_at_rest
    assert fast.end == slow.end


def test_a_kill_passes_through_code_that_catches_exceptions() -> None:
    def catches(run: Run, caught: type[BaseException]) -> None:
        with suppress(caught):
            run.call(Call("put"), lambda _: None)

    stopped = Run(Process("a", None), None).finish(lambda run: catches(run, Exception))
    assert stopped is not None
    assert stopped.pending == Call("put")
    with pytest.raises(AssertionError, match="caught what no code may catch"):
        Run(Process("a", None), None).finish(lambda run: catches(run, BaseException))


def test_a_file_that_changes_before_every_put_is_given_up_when_its_retry_time_is_over() -> None:
    assert reasons_of_a_file_that_keeps_changing() == ["FILE_CHANGED"]


def test_a_killed_worker_gives_its_message_back_as_redelivered() -> None:
    with speedups():
        world = World(replace(SCENARIOS["one name"], listens=False), BODIES)
        [process] = world.after("a:has_version!killed").processes
    assert process.hand.redelivered
    assert PATH in process.hand.body


def test_a_schedule_is_replayed_by_hand(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def run(schedule: str) -> int:
        monkeypatch.setattr(sys, "argv", ["simulation", "--replay", schedule])
        return main()

    assert run("mixture 7 | ") == 0
    assert run(f"one name | listener:publish, listener:ack, {', '.join(KILLED_AFTER_THE_POST)}") == 0
    assert "the promise is kept" in capsys.readouterr().out
    assert run("one name | a:flies") == 2
    assert "'a:flies' is not possible here, but: listener:publish" in capsys.readouterr().err


def reasons_of_a_file_that_keeps_changing() -> list[str]:
    """The letters for a file that changes after each reading, twelve times in all."""
    events = (REWRITTEN, REWRITTEN_BACK) * 6
    scenario = Scenario(
        "keeps changing", (PATH,), {PATH: "first"}, 0, events, listens=False, retry_policies=clock.BRIEF
    )
    world = World(scenario, BODIES)
    last = ""
    with speedups():
        while possible := choices(world):
            changes = [choice for choice in possible if choice.startswith("file")]
            last = changes[0] if last in ("a:has_version", "a:head") and changes else possible[0]
            world = world.after(last)
    return [letter.reason for letter in world.broker.read_letters()]
