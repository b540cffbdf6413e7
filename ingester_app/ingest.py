"""The body of the task: run the remaining steps; after a failure retry later from the state reached, or give up."""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePath

from celery.exceptions import SoftTimeLimitExceeded

from ingester_app import logs
from ingester_app.dead_letters import letter_for
from ingester_app.error_text import text_of, traceback_of
from ingester_app.retry import RetryIn, RetryPolicies, decide
from ingester_app.schema import DeadLetter, FrameMessage, RetryState
from lco_ingester import steps
from lco_ingester.exceptions import FailureKind, FileChangedError, IngesterError, ProgramError, TookTooLongError
from lco_ingester.file.checks import CheckPolicy
from lco_ingester.file.datafile import DataFile
from lco_ingester.frame import (
    Archived,
    Frame,
    InArchive,
    Named,
    Uploaded,
    Validated,
    md5_of,
    path_of,
)
from lco_ingester.record.rules import RecordRules
from lco_ingester.services import Services
from lco_ingester.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What the task's body depends on.

    `file_at(path)` returns the file object of a path, whether the file exists or not. `retry(message, seconds)` and
    `bury(letter)` return after the broker has confirmed, or raise. `now` returns seconds since 1970, `jitter` a number
    in [0, 1). `redact` hides secrets in a text. `settings_fingerprint` is what the function of this name returns.
    """

    services: Callable[[], Services]
    rules: RecordRules
    checks: CheckPolicy
    file_at: Callable[[str], DataFile]
    retry_policies: RetryPolicies
    retry: Callable[[FrameMessage, int], None]
    bury: Callable[[DeadLetter], None]
    worker: str
    now: Callable[[], float] = time.time
    jitter: Callable[[], float] = lambda: 0.0
    settings_fingerprint: str = ""
    redact: Callable[[str], str] = str

    def count(self, metric: str, **tags: str) -> None:
        """Add one to a metric, if the services can be opened. Never raises, because what is counted is settled."""
        with suppress(Exception):
            self.services().metrics.send(metric, 1, **tags)


@dataclass(frozen=True, slots=True)
class _Reached:
    """The progress of a run: the frame, the next step, and the failure that the next step has not yet overcome."""

    frame: Frame
    step: str
    retry_state: RetryState | None


def settings_fingerprint(settings: Settings) -> str:
    """A text that is equal for settings with which a file is read, recorded and stored alike."""
    deciding = asdict(RecordRules.of(settings)), asdict(CheckPolicy.of(settings))
    stored_at = settings.bucket, settings.aws_endpoint_url_s3
    return hashlib.sha256(json.dumps([*deciding, *stored_at], sort_keys=True).encode()).hexdigest()[:12]


BEGUN_AGAIN = "begun again: the settings have changed"

STEP_AFTER = {
    Named: "validate",
    Validated: "upload",
    Uploaded: "post",
    InArchive: "resolve_duplicate",
    Archived: "republish",
}


def ingest(message: FrameMessage, redelivered: bool, context: TaskContext) -> str:
    """Run the steps of a frame as far as possible; return in a few words how it ended.

    Raises only what `retry` or `bury` raised: then the frame's message must be put back into its queue.
    """
    reached = _Reached(message.frame, STEP_AFTER[type(message.frame)], message.retry_state)
    file = context.file_at(path_of(message.frame))
    name = PurePath(file.path).name
    if _has_other_settings(message, file, context):
        # Through the broker, as after a change of the file, so that the message holds the state that counts.
        context.retry(_again(message, Named(file.path), message.retry_state, context), 1)
        logs.report(logger, logging.WARNING, BEGUN_AGAIN, frame=name)
        return BEGUN_AGAIN
    may_have_run = message.may_have_run(redelivered)
    try:
        services = context.services()
        with services.metrics.timed("ingester"):
            while not isinstance(following := _take_step(reached.frame, file, services, context, may_have_run), str):
                reached = _Reached(following, STEP_AFTER[type(following)], None)
    except Exception as error:  # any error: the frame must not be lost, and decide() says what follows
        return _after(_as_ours(error, file.path, reached.step), message, reached, context)
    logs.report(logger, logging.INFO, following, frame=name, md5=md5_of(reached.frame))
    return following


def _has_other_settings(message: FrameMessage, file: DataFile, context: TaskContext) -> bool:
    """Whether the state was reached with other settings, and the file still exists.

    Then the file is read again: a wrong setting that has been corrected must not stay in the frame's record. If the
    file is gone, the frame continues with its present state. An archived frame stays as it is.
    """
    if message.settings_fingerprint == context.settings_fingerprint or isinstance(message.frame, (Named, Archived)):
        return False
    with suppress(Exception):  # the next step meets the same error, and decide() says what follows
        return file.fingerprint() is not None
    return False


def _again(message: FrameMessage, frame: Frame, retry_state: RetryState | None, context: TaskContext) -> FrameMessage:
    # A state that was reached with other settings keeps their fingerprint: the file could not be read again yet.
    is_of_this_run = isinstance(message.frame, Named) or isinstance(frame, Named)
    return replace(
        message,
        frame=frame,
        retry_state=retry_state,
        attempts=message.attempts + 1,
        settings_fingerprint=context.settings_fingerprint if is_of_this_run else message.settings_fingerprint,
    )


def _take_step(
    frame: Frame, file: DataFile, services: Services, context: TaskContext, may_have_run: bool
) -> Frame | str:
    """The frame after its next step, or in a few words how it ended."""
    now = datetime.fromtimestamp(context.now(), UTC).replace(tzinfo=None)
    match frame:
        case Named():
            return steps.validate(file, context.rules, context.checks, services)
        case Validated():
            storage_class = context.rules.storage_class_old
            return steps.upload(frame, file, services.store, services.metrics, now, may_have_run, storage_class)
        case Uploaded():
            return steps.post(frame, file, services, now)
        case InArchive():
            resolved = steps.resolve_duplicate(frame, services.archive, may_have_run)
            return "archived already" if isinstance(resolved, steps.ArchivedByOther) else resolved
        case Archived():
            steps.republish(frame, services.publisher)
            return "archived"


def _as_ours(error: Exception, path: str, step: str) -> IngesterError:
    """The error that says what to do: `error` itself if it is ours."""
    if _is_or_was_caused_by(error, SoftTimeLimitExceeded):
        return TookTooLongError(frame=path, found=f"the soft time limit in step {step}")
    if isinstance(error, IngesterError):
        error.frame = error.frame or path
        return error
    unknown = ProgramError(frame=path, found=f"{type(error).__name__} in step {step}: {text_of(error)}")
    unknown.__cause__ = error
    return unknown


def _is_or_was_caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether an error of this kind is behind it. A site's file type, for example, may have caught the time limit."""
    for _ in range(20):
        if error is None or isinstance(error, kind):
            return error is not None
        error = error.__cause__
    return False


def _after(error: IngesterError, message: FrameMessage, reached: _Reached, context: TaskContext) -> str:
    path = path_of(reached.frame)
    if isinstance(error, FileChangedError):
        # The frame starts again, always through the broker, so that the message holds what was read last. This is not
        # progress, so the time limit of the retries continues.
        reached = _Reached(Named(path), reached.step, message.retry_state)
    now = context.now()
    decision = decide(error, reached.retry_state, now, context.retry_policies, context.jitter)
    seen: dict[str, object] = {"frame": PurePath(path).name, "step": reached.step, "attempts": message.attempts + 1}
    if isinstance(error, ProgramError):
        seen["exception"] = traceback_of(error)
    if isinstance(decision, RetryIn):
        context.retry(_again(message, reached.frame, decision.retry_state, context), decision.seconds)
        kind = decision.retry_state.kind
        # A wrong deployment fails every frame of the night: an operator must correct it now.
        level = logging.ERROR if kind is FailureKind.DEPLOYMENT else logging.WARNING
        wait = {"reason": error.reason, "kind": kind.value, "retry_in": decision.seconds}
        logs.report(logger, level, text_of(error), **seen, **wait)
        context.count("ingester.retries", reason=error.reason, kind=kind.value)
        return f"retry in {decision.seconds} s: {error.reason}"
    context.bury(_letter(error, decision.reason, message, reached, now, context))
    logs.report(logger, logging.ERROR, text_of(error), **seen, reason=decision.reason)
    context.count("ingester.dead_letters", reason=decision.reason)
    return f"dead letter: {decision.reason}"


def _letter(
    error: IngesterError, reason: str, message: FrameMessage, reached: _Reached, now: float, context: TaskContext
) -> DeadLetter:
    again = replace(_again(message, reached.frame, None, context), replayed=False)
    content = None
    with suppress(Exception):  # as for a record that is too deep
        content = again.to_message()
    return letter_for(
        error,
        path=path_of(reached.frame),
        md5=md5_of(reached.frame),
        step=reached.step,
        reason=reason,
        attempts=again.attempts,
        first_time=message.first_time or now,
        now=now,
        worker=context.worker,
        message=content,
        redact=context.redact,
    )
