"""Each rule of docs/design.md, taken out: a piece of the source is replaced, or a call is made too early."""

import inspect
import textwrap
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import pytest

from ingester_app import dead_letter_queue, ingest
from ingester_app.schema import FrameMessage
from lco_ingester import steps
from lco_ingester.exceptions import ArchivedElsewhereError, FailureKind, IngesterError, TruncatedFrameError
from tests.simulation import bodies
from tests.simulation.process import Call, Run
from tests.simulation.store import SimulatedStore

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutation:
    """A rule that is taken out, and the scenario and number of faults that show it."""

    what: str
    patch: Patch
    scenario: str
    faults: int = 0


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


def final(error: type[IngesterError]) -> Patch:
    """An error that is worth another try counts as a failure of the frame."""
    return lambda monkeypatch: monkeypatch.setattr(error, "failure_kind", FailureKind.FRAME)


def acknowledged_before(name: str) -> Patch:
    """`retry` or `bury`, with the message acknowledged first."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        real = getattr(bodies, name)

        def hasty(run: Run, *arguments: Any) -> None:
            run.call(Call("ack"), lambda _: None)
            real(run, *arguments)

        monkeypatch.setattr(bodies, name, hasty)

    return patch


def unconfirmed(name: str) -> Patch:
    """`retry` or `bury`, without a look at whether the broker took it."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        real = getattr(bodies, name)

        def unchecked(*arguments: Any) -> None:
            with suppress(Exception):
                real(*arguments)

        monkeypatch.setattr(bodies, name, unchecked)

    return patch


def acknowledged_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame's message is acknowledged when it comes."""
    real = bodies.BODIES["worker"]

    def worker(run: Run, world: Any) -> None:
        run.call(Call("ack"), lambda _: None)
        real(run, world)

    monkeypatch.setitem(bodies.BODIES, "worker", worker)


RUN_BEFORE = "redelivered or self.attempts > 0 or self.replayed"
AGAIN = "_again(message, reached.frame, decision.retry_state, context)"
RETRY = f"        context.retry({AGAIN}, decision.seconds)\n"
IN_HAND = (
    f"        if isinstance(error, FileChangedError):\n            return ingest({AGAIN}, False, context)\n{RETRY}"
)
BEGUN_AGAIN = "reached = _Reached(Named(path), reached.step, message.retry_state)"
GIVEN_BACK = "        message.requeue()\n        return\n"
AT_KEY = "there = store.current_version(stored_object(validated, now).key)"
NO_SUCH_VERSION = "if frame is None or version is None:\n"
SOMEONE_ELSES = 'if version["key"] != own_key and not may_have_run:'
OF_THE_ARCHIVE = 'version_set(version["key"], version["md5"], version["extension"])'

DUPLICATE_RULE = [
    Mutation(
        "a redelivered message counts as a first one",
        changed(FrameMessage, "may_have_run", RUN_BEFORE, "self.attempts > 0 or self.replayed"),
        "one name",
        1,
    ),
    Mutation(
        "a retry counts as a first message",
        changed(FrameMessage, "may_have_run", RUN_BEFORE, "redelivered or self.replayed"),
        "one name",
        2,
    ),
    Mutation(
        "a replay counts as a first message",
        changed(FrameMessage, "may_have_run", RUN_BEFORE, "redelivered or self.attempts > 0"),
        "a letter of the broker is replayed",
        2,
    ),
    Mutation(
        "any refusal of the archive is ignored",
        changed(steps, "resolve_duplicate", SOMEONE_ELSES, "if True:"),
        "one name",
        1,
    ),
    Mutation(
        "a frame in the archive is not resolved",
        changed(
            ingest,
            "_take_step",
            "resolved = steps.resolve_duplicate(frame, services.archive, may_have_run)",
            'return "archived already"',
        ),
        "one name",
        1,
    ),
    Mutation(
        "what someone else archived is announced",
        changed(steps, "resolve_duplicate", SOMEONE_ELSES, "if False:"),
        "archived by someone else",
    ),
    Mutation(
        "bytes that are archived under another name are taken for archived",
        changed(
            steps,
            "resolve_duplicate",
            NO_SUCH_VERSION,
            NO_SUCH_VERSION + '        return ArchivedByOther("", "", "")\n',
        ),
        "one content under two names",
    ),
    Mutation(
        "the VersionId in the message is announced",
        changed(
            steps,
            "resolve_duplicate",
            OF_THE_ARCHIVE,
            OF_THE_ARCHIVE.replace('version["key"]', 'own_key or version["key"]', 1),
        ),
        "one name twice, md5 filter ignored",
        1,
    ),
    Mutation(
        "the extension of our own file is announced",
        changed(
            steps,
            "resolve_duplicate",
            OF_THE_ARCHIVE,
            OF_THE_ARCHIVE.replace('version["extension"]', "validated.extension"),
        ),
        "one content under two extensions",
        1,
    ),
    Mutation(
        "the name of the frame's newest file is announced",
        changed(steps, "_as_posted", "f\"{frame['basename']}{version['extension']}\"", 'frame["filename"]'),
        "other bytes under two extensions",
        1,
    ),
    Mutation(
        "the link to the frame's newest file is announced",
        changed(steps, "_as_posted", 'version.get("url") or', "frame['url'] or"),
        "one name twice, the file changes",
        1,
    ),
    Mutation(
        "the archive's refusal of an md5 is a failure",
        changed(steps, "post_record", "        return None\n", '        raise ArchiveFailedError(frame="")\n'),
        "one name twice",
    ),
    Mutation("a replica that lags is asked once", final(ArchivedElsewhereError), "one name, lagging replicas", 1),
    Mutation(
        "an announcement has no id to drop its repeat by",
        changed(steps, "republish", "message_id=archived.md5", "message_id=archived.path"),
        "one name",
    ),
]
"""Bytes that the archive has already."""

FILES = [
    Mutation(
        "the file is not looked at before the POST",
        changed(steps, "post", "refuse_outdated(uploaded, file, services.store, now)", "pass"),
        "one name twice, the file changes",
        1,
    ),
    Mutation(
        "a file that is gone is posted, whatever stands at its key",
        changed(steps, "refuse_outdated", AT_KEY, "return"),
        "one after the other, changes, vanishes",
        1,
    ),
    Mutation(
        "a changed file goes on without a new message",
        changed(ingest, "_after", RETRY, IN_HAND),
        "a file changes and vanishes",
        2,
    ),
    Mutation(
        "a changed file continues from the state it had",
        changed(ingest, "_after", BEGUN_AGAIN, "pass"),
        "a file is rewritten",
    ),
    Mutation(
        "the file is not looked at after its reading",
        changed(steps, "read_frame", "_refuse_changed(file, contents.fingerprint)", "pass"),
        "a file of a site's own type is rewritten",
        1,
    ),
    Mutation(
        "S3 does not get the md5",
        changed(SimulatedStore, "put", "if true_md5 != md5:", "if False:"),
        "a file changes and changes back",
    ),
    Mutation(
        "the version at the key is taken, whatever its bytes",
        changed(steps, "upload", "(there.md5, there.size) == (validated.md5, size)", "True"),
        "a file is replaced",
        1,
    ),
    Mutation("a short file is a failure at once", final(TruncatedFrameError), "a file is still being written"),
]
"""Files that change."""

MESSAGES = [
    Mutation("a frame is acknowledged when it comes", acknowledged_early, "one name", 1),
    Mutation("the message is acknowledged before its retry is published", acknowledged_before("retry"), "one name", 2),
    Mutation(
        "the message is acknowledged before its letter is published",
        acknowledged_before("bury"),
        "a letter is replayed",
        3,
    ),
    Mutation("a retry is published without a confirm", unconfirmed("retry"), "one name", 2),
    Mutation("a letter is published without a confirm", unconfirmed("bury"), "one content under two names", 1),
    Mutation(
        "the listener acknowledges before it dispatches",
        changed(bodies.Listener, "on_message", "    try:\n", "    message.ack()\n    try:\n"),
        "one name",
        1,
    ),
    Mutation(
        "the listener acknowledges what it could not dispatch",
        changed(bodies.Listener, "on_message", GIVEN_BACK, "        message.ack()\n        return\n"),
        "one name",
        1,
    ),
    Mutation(
        "a letter is removed before its replay is confirmed",
        changed(dead_letter_queue, "replay", "        if is_first:\n", "        each.remove()\n        if is_first:\n"),
        "a letter is replayed",
        3,
    ),
    Mutation("a server's failure is final", changed(ingest, "decide", "policy is None", "True"), "one name", 1),
    Mutation("retries have no end", changed(ingest, "decide", "left <= 0", "False"), "one content under two names"),
]
"""Acknowledgements, retries and letters."""

SAVING = [
    (
        "a second put of the same bytes is saved",
        changed(steps, "upload", "if may_have_run:", "if False:"),
        ("a file is replaced", "one name twice, the file vanishes"),
    ),
    (
        "a put that S3 would refuse is saved",
        changed(steps, "upload", "_refuse_changed(file, validated.fingerprint)", "pass"),
        ("a file is rewritten", "a file is replaced", "a file changes and changes back", "a file vanishes"),
    ),
    (
        "the VersionId in the message shows who posted the bytes (only the library, which counts no runs, needs it)",
        changed(steps, "resolve_duplicate", SOMEONE_ELSES, "if not may_have_run:"),
        ("one name, md5 filter ignored", "one name twice, md5 filter ignored"),
    ),
]
"""Rules without which the promise still holds: what they save, and scenarios that show it."""
