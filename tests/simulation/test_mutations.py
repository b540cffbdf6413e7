"""Each rule of docs/design.md is taken out, and the search finds how the promise breaks.

So every rule is needed, and the search notices if one is lost.
"""

from dataclasses import replace

import pytest

from lco_ingester import steps
from tests.simulation.explore import PromiseBrokenError, explore, replay
from tests.simulation.mutations import (
    BEGUN_AGAIN,
    DUPLICATE_RULE,
    FILES,
    MESSAGES,
    SAVING,
    Mutation,
    Patch,
    changed,
    ingest,
)
from tests.simulation.promise import broken
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.speedups import speedups
from tests.simulation.test_promise import reasons_of_a_file_that_keeps_changing

MUTATIONS = [*DUPLICATE_RULE, *FILES, *MESSAGES]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.what for mutation in MUTATIONS])
def test_the_promise_breaks_if(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation.patch(monkeypatch)
    scenario = replace(SCENARIOS[mutation.scenario], faults=mutation.faults)
    with pytest.raises(PromiseBrokenError) as found:
        explore(scenario)
    print(str(found.value)[:1000])
    _, _, steps_taken = found.value.schedule.partition("| ")
    with speedups():
        *_, (_, world) = replay(scenario, steps_taken.split(", "))
        assert found.value.why in (broken(world), *CIRCLES), "the schedule does not show it again"


CIRCLES = ("it never ends", "it runs in a circle")
"""What the last world of a schedule does not show."""


@pytest.mark.parametrize(("what", "patch", "scenarios"), SAVING, ids=[what for what, *_ in SAVING])
def test_the_promise_holds_without_the_rule_by_which(
    what: str, patch: Patch, scenarios: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    patch(monkeypatch)
    for name in scenarios:
        print(explore(SCENARIOS[name]))


def test_without_the_look_into_the_store_there_are_more_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = replace(SCENARIOS["one name"], listens=False)
    before = explore(scenario)
    changed(steps, "upload", "if may_have_run:", "if False:")(monkeypatch)
    after = explore(scenario)
    assert after.most_versions > before.most_versions


def test_a_file_that_keeps_changing_is_never_given_up_if_its_retry_time_starts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changed(ingest, "_after", BEGUN_AGAIN, BEGUN_AGAIN.replace("message.retry_state", "None"))(monkeypatch)
    assert reasons_of_a_file_that_keeps_changing() == []
