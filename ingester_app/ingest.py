"""The body of the task: take the steps that remain; on trouble retry later with what is reached, or bury."""

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
    """What the task's body needs of the world.

    `file_at(path)` gives the file of a path, there or not. `retry(message, seconds)` and `bury(letter)` return once
    the broker has confirmed, or raise. `now` gives seconds since 1970, `jitter` a number in [0, 1).
    `settings_fingerprint` identifies the settings (the function of that name).
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
        """Count one under a metric's name, if the services could be opened."""
        with suppress(IngesterError):
            self.services().metrics.send(metric, 1, **tags)


@dataclass(frozen=True, slots=True)
class _Reached:
    """Where a run stands: the frame, the step that comes next, and the trouble that is not yet overcome."""

    frame: Frame
    step: str
    retry_state: RetryState | None


def settings_fingerprint(settings: Settings) -> str:
    """Equal for settings under which a file is read, recorded and stored alike, whatever release computes it."""
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
    """Take a frame as far as it goes, and say in a few words what became of it.

    Raises only what `retry` or `bury` raised: then nothing is settled, and the message must be put back.
    """
    reached = _Reached(message.frame, STEP_AFTER[type(message.frame)], message.retry_state)
    file = context.file_at(path_of(message.frame))
    if _is_made_otherwise(message, file, context):
        # As after a change of the file, and for the same reason: by way of the broker.
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
    except Exception as caught:  # whatever it is, the frame must not be lost: decide() sorts it
        error = caught
    return _after(error, message, reached, context)


def _is_made_otherwise(message: FrameMessage, file: DataFile, context: TaskContext) -> bool:
    """Whether what is reached was made under other settings, and the file is there to be read again.

    A frame that waited for a wrong setting to be mended must not wait with what the wrong one has made of it. Without
    its file it goes on with what there is, and what is archived stays as it is.
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
    """The frame after its next step, or how it ended."""
    now = datetime.fromtimestamp(context.now(), UTC).replace(tzinfo=None)
    match frame:
        case Named():
            return steps.validate(file, context.rules, context.checks, services)
        case Validated():
            return steps.upload(frame, file, services.store, services.metrics, now, may_have_run)
        case Uploaded():
            return steps.post(frame, file, services, now)
        case InArchive():
            settled = steps.resolve_duplicate(frame, services.archive, may_have_run)
            return "archived already" if isinstance(settled, steps.ArchivedByOther) else settled
        case Archived():
            steps.republish(frame, services.publisher)
            return "archived"


def _after(error: Exception, message: FrameMessage, reached: _Reached, context: TaskContext) -> str:
    path = path_of(reached.frame)
    if isinstance(error, IngesterError):
        error.frame = error.frame or path
    if isinstance(error, FileChangedError):
        # Begun again, and always by way of the broker, so that the message holds what was read last. To come back
        # to the beginning is no progress: the patience runs on.
        reached = _Reached(Named(path), reached.step, message.retry_state)
    now = context.now()
    decision = decide(error, reached.retry_state, now, context.retry_policies, context.jitter)
    seen = {"frame": PurePath(path).name, "step": reached.step, "attempts": message.attempts + 1}
    if isinstance(decision, RetryIn):
        reason = error.reason if isinstance(error, IngesterError) else ""
        context.retry(_again(message, reached.frame, decision.retry_state, context), decision.seconds)
        # Every frame of the night fails alike when the deployment is wrong: that is for somebody to mend now.
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
