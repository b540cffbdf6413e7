"""Each rule of docs/design.md, taken out: then the search finds how the promise breaks. So the rules are all needed,
and the search would see it if one were lost.
"""

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

import pytest

from ingester_app import ingest
from ingester_app.ingest import FrameMessage
from lco_ingester import steps
from lco_ingester.exceptions import ArchivedElsewhereError, TroubleKind
from tests.simulation import bodies
from tests.simulation.explore import PromiseBrokenError, explore, replay
from tests.simulation.process import Call
from tests.simulation.promise import broken
from tests.simulation.quick import quick
from tests.simulation.scenarios import SCENARIOS

Patch = Callable[[pytest.MonkeyPatch], None]


def changed(owner: Any, name: str, old: str, new: str) -> Patch:
    """A function of a module or class with a piece of its source replaced; it must be in there once."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        function = getattr(owner, name)
        source = textwrap.dedent(inspect.getsource(function))
        assert source.count(old) == 1, f"{name} has changed: bring this test up to date"
        made: dict[str, FunctionType] = {}
        exec(compile(source.replace(old, new), f"<{name}, changed>", "exec"), function.__globals__, made)
        monkeypatch.setattr(owner, name, made[name])

    return patch


def lag_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ArchivedElsewhereError, "trouble", TroubleKind.FRAME)


def ack_before_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    published = bodies.dispatch

    def dispatch(app: Any, *arguments: Any, **named: Any) -> None:
        app._run.call(Call("ack"), lambda _: None)
        published(app, *arguments, **named)

    monkeypatch.setattr(bodies, "dispatch", dispatch)


def ack_before_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    real = bodies.Surroundings

    def surroundings(**named: Any) -> Any:
        def bury(letter: Any) -> None:
            [run] = [
                cell.cell_contents for cell in named["bury"].__closure__ if isinstance(cell.cell_contents, bodies.Run)
            ]
            run.call(Call("ack"), lambda _: None)
            named["bury"](letter)

        return real(**{**named, "bury": bury})

    monkeypatch.setattr(bodies, "Surroundings", surroundings)


def ack_before_dispatch(monkeypatch: pytest.MonkeyPatch) -> None:
    handled = bodies.Listener.on_message

    def on_message(self: Any, message: Any) -> None:
        message.ack()
        handled(self, message)

    monkeypatch.setattr(bodies.Listener, "on_message", on_message)


@dataclass(frozen=True)
class Mutation:
    """A rule taken out, and the scenario in which up to so many faults show it."""

    what: str
    patch: Patch
    scenario: str
    faults: int


MAY_HAVE_RUN = "redelivered or self.attempts > 0 or self.replayed"
RETRY = "        around.retry(again, decision.seconds)\n"
IN_HAND = "        if isinstance(error, FileChangedError):\n            return ingest(again, False, around)\n" + RETRY
MUTATIONS = [
    Mutation(
        "a redelivered message counts as a first one",
        changed(FrameMessage, "may_have_run", MAY_HAVE_RUN, "self.attempts > 0 or self.replayed"),
        "one name",
        1,
    ),
    Mutation(
        "a retry counts as a first message",
        changed(FrameMessage, "may_have_run", MAY_HAVE_RUN, "redelivered or self.replayed"),
        "one name",
        2,
    ),
    Mutation(
        "a replay counts as a first message",
        changed(FrameMessage, "may_have_run", MAY_HAVE_RUN, "redelivered or self.attempts > 0"),
        "a broker's letter is replayed",
        2,
    ),
    Mutation(
        "any refusal of the archive is quiet",
        changed(steps, "settle", "if not ours and not may_have_run:", "if True:"),
        "one name",
        1,
    ),
    Mutation(
        "the VersionId in hand is announced",
        changed(steps, "settle", "version_set(key, ", "version_set(found.version_id or key, "),
        "one name twice, md5 filter ignored",
        1,
    ),
    Mutation("a replica that lags is asked once", lag_is_final, "one name, lagging replicas", 2),
    Mutation(
        "nobody looks at the file before the POST",
        changed(steps, "post", "_refuse_outdated(uploaded, file, services.store, now)", "pass"),
        "one name twice, the file changes",
        1,
    ),
    Mutation(
        "a file that is gone is posted, whatever stands at its key",
        changed(
            steps, "_refuse_outdated", "there = store.current_version(stored_object(validated, now).key)", "return"
        ),
        "a file changes and vanishes",
        2,
    ),
    Mutation(
        "a changed file is gone on with in the hand",
        changed(ingest, "_after", RETRY, IN_HAND),
        "a file changes and vanishes",
        2,
    ),
    Mutation(
        "nobody looks at the file after its reading",
        changed(steps, "read_frame", "if _fingerprint(file) != before:", "if False:"),
        "a file is rewritten",
        1,
    ),
    Mutation("the message is acknowledged before its retry is published", ack_before_retry, "one name", 2),
    Mutation(
        "the message is acknowledged before its letter is published", ack_before_letter, "a letter is replayed", 3
    ),
    Mutation("the listener acknowledges before it dispatches", ack_before_dispatch, "one name", 1),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.what for mutation in MUTATIONS])
def test_the_promise_breaks_if(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation.patch(monkeypatch)
    found = _first_break(mutation)
    print(found)
    _, _, steps_taken = found.schedule.partition("| ")
    scenario = replace(SCENARIOS[mutation.scenario], faults=mutation.faults)
    with quick():
        *_, (_, world) = replay(scenario, steps_taken.split(", "))
        assert broken(world), "the schedule does not show it again"


def test_without_the_look_into_the_store_there_are_only_more_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = replace(SCENARIOS["one name"], listens=False)
    before = explore(scenario)
    changed(steps, "upload", "if may_have_run:", "if False:")(monkeypatch)
    after = explore(scenario)
    assert after.most_versions > before.most_versions


def _first_break(mutation: Mutation) -> PromiseBrokenError:
    """With as few faults as will do, so that the schedule is one to read."""
    for faults in range(mutation.faults + 1):
        try:
            explore(replace(SCENARIOS[mutation.scenario], faults=faults))
        except PromiseBrokenError as error:
            return error
    pytest.fail(f"the promise holds even if {mutation.what}")
