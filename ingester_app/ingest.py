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

from ingester_app.dead_letters import letter_for
from ingester_app.retry import RetryIn, RetryPolicies, decide
from ingester_app.schema import DeadLetter, FrameMessage, RetryState
from lco_ingester import steps
from lco_ingester.exceptions import FailureKind, FileChangedError, IngesterError, TookTooLongError
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
    in [0, 1). `settings_fingerprint` is what the function of this name returns.
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

    def count(self, metric: str, **tags: str) -> None:
        """Add one to a metric, if the services can be opened."""
        with suppress(IngesterError):
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
    if _has_other_settings(message, file, context):
        # Through the broker, as after a change of the file, so that the message holds the state that counts.
        context.retry(_again(message, Named(file.path), message.retry_state, context), 1)
        logger.warning("begun again: the settings have changed", extra={"frame": PurePath(file.path).name})
        return "begun again: the settings have changed"
    may_have_run = message.may_have_run(redelivered)
    try:
        services = context.services()
        with services.metrics.timed("ingester"):
            while True:
                following = _take_step(reached.frame, file, services, context, may_have_run)
                if isinstance(following, str):
                    logger.info(following, extra={"frame": PurePath(file.path).name, "md5": md5_of(reached.frame)})
                    return following
                reached = _Reached(following, STEP_AFTER[type(following)], None)
    except SoftTimeLimitExceeded:
        error: Exception = TookTooLongError(frame=file.path, found=f"the soft time limit in step {reached.step}")
    except Exception as caught:  # any error: the frame must not be lost, and decide() says what follows
        error = caught
    return _after(error, message, reached, context)


def _has_other_settings(message: FrameMessage, file: DataFile, context: TaskContext) -> bool:
    """Whether the state was reached with other settings, and the file still exists.

    Then the file is read again: a wrong setting that has been corrected must not stay in the frame's record. If the
    file is gone, the frame continues with its present state. An archived frame stays as it is.
    """
    if message.settings_fingerprint == context.settings_fingerprint or isinstance(message.frame, (Named, Archived)):
        return False
    with suppress(IngesterError):
        return file.fingerprint() is not None
    return False


def _again(message: FrameMessage, frame: Frame, retry_state: RetryState | None, context: TaskContext) -> FrameMessage:
    return replace(
        message,
        frame=frame,
        retry_state=retry_state,
        attempts=message.attempts + 1,
        settings_fingerprint=context.settings_fingerprint,
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


def _after(error: Exception, message: FrameMessage, reached: _Reached, context: TaskContext) -> str:
    path = path_of(reached.frame)
    if isinstance(error, IngesterError):
        error.frame = error.frame or path
    if isinstance(error, FileChangedError):
        # The frame starts again, always through the broker, so that the message holds what was read last. This is not
        # progress, so the time limit of the retries continues.
        reached = _Reached(Named(path), reached.step, message.retry_state)
    now = context.now()
    decision = decide(error, reached.retry_state, now, context.retry_policies, context.jitter)
    seen = {"frame": PurePath(path).name, "step": reached.step, "attempts": message.attempts + 1}
    if isinstance(decision, RetryIn):
        reason = error.reason if isinstance(error, IngesterError) else ""
        context.retry(_again(message, reached.frame, decision.retry_state, context), decision.seconds)
        # A wrong deployment fails every frame of the night: an operator must correct it now.
        loud = decision.retry_state.kind is FailureKind.DEPLOYMENT
        logger.log(
            logging.ERROR if loud else logging.WARNING,
            str(error),
            extra={**seen, "reason": reason, "kind": decision.retry_state.kind.value, "retry_in": decision.seconds},
        )
        context.count("ingester.retries", reason=reason, kind=decision.retry_state.kind.value)
        return f"retry in {decision.seconds} s: {reason}"
    context.bury(
        letter_for(
            error,
            path=path,
            md5=md5_of(reached.frame),
            step=reached.step,
            reason=decision.reason,
            attempts=message.attempts + 1,
            first_time=message.first_time or now,
            now=now,
            worker=context.worker,
            message=replace(_again(message, reached.frame, None, context), replayed=False).to_message(),
        )
    )
    logger.error(str(error), extra={**seen, "reason": decision.reason})
    context.count("ingester.dead_letters", reason=decision.reason)
    return f"dead letter: {decision.reason}"
