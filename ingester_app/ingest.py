"""The body of the task: take the steps that remain; on trouble retry later with what is reached, or bury."""

import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from ingester_app.dead_letters import DeadLetter, letter_for
from ingester_app.retry import (
    Patiences,
    RetryIn,
    Trouble,
    decide,
    trouble_from_message,
    trouble_to_message,
)
from lco_ingester import steps
from lco_ingester.exceptions import FileChangedError, IngesterError, TookTooLongError, TroubleKind
from lco_ingester.file.checks import Checks
from lco_ingester.file.datafile import DataFile
from lco_ingester.frame import (
    Archived,
    Frame,
    InArchive,
    Named,
    Uploaded,
    Validated,
    from_message,
    md5_of,
    path_of,
    to_message,
)
from lco_ingester.record.rules import RecordRules
from lco_ingester.services import Services
from lco_ingester.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FrameMessage:
    """What a frame's message holds: what is reached, what went wrong last, and how often it was tried.

    `attempts` counts the retries in all; `first_time` is when the listener dispatched it, in seconds since 1970;
    `made_with` tells the settings that the frame was read and stored under (`mark_of`).
    """

    frame: Frame
    trouble: Trouble | None = None
    attempts: int = 0
    first_time: float = 0.0
    replayed: bool = False
    made_with: str = ""

    def may_have_run(self, redelivered: bool) -> bool:
        """Whether another run may have come further with this frame than the message says."""
        return redelivered or self.attempts > 0 or self.replayed

    def to_message(self) -> dict[str, Any]:
        """The task's keyword arguments."""
        return {
            "frame": to_message(self.frame),
            "trouble": trouble_to_message(self.trouble),
            "attempts": self.attempts,
            "first_time": self.first_time,
            "replayed": self.replayed,
            "made_with": self.made_with,
        }

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> "FrameMessage":
        """What `to_message` wrote. Raises ValueError if it is something else."""
        try:
            return cls(
                from_message(message["frame"]),
                trouble_from_message(message.get("trouble")),
                int(message.get("attempts", 0)),
                float(message.get("first_time", 0.0)),
                bool(message.get("replayed", False)),
                str(message.get("made_with", "")),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the message holds no frame: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the task's body needs of the world.

    `file_at(path)` gives the file of a path, there or not. `retry(message, seconds)` and `bury(letter)` return once
    the broker has confirmed, or raise. `now` gives seconds since 1970, `jitter` a number in [0, 1). `made_with` is the
    mark of the settings.
    """

    services: Callable[[], Services]
    rules: RecordRules
    checks: Checks
    file_at: Callable[[str], DataFile]
    patiences: Patiences
    retry: Callable[[FrameMessage, int], None]
    bury: Callable[[DeadLetter], None]
    worker: str
    now: Callable[[], float] = time.time
    jitter: Callable[[], float] = lambda: 0.0
    made_with: str = ""

    def count(self, metric: str, **tags: str) -> None:
        """Count one under a metric's name, if the services could be opened."""
        with suppress(IngesterError):
            self.services().metrics.send(metric, 1, **tags)


@dataclass(frozen=True, slots=True)
class _Reached:
    """Where a run stands: the frame, the step that comes next, and the trouble that is not yet overcome."""

    frame: Frame
    step: str
    trouble: Trouble | None


def mark_of(settings: Settings) -> str:
    """Equal for settings under which a file is read, recorded and stored alike."""
    deciding = RecordRules.of(settings), Checks.of(settings), settings.bucket, settings.aws_endpoint_url_s3
    return hashlib.sha256(repr(deciding).encode()).hexdigest()[:12]


STEP_AFTER = {Named: "validate", Validated: "upload", Uploaded: "post", InArchive: "settle", Archived: "republish"}


def ingest(message: FrameMessage, redelivered: bool, around: Surroundings) -> str:
    """Take a frame as far as it goes, and say in a few words what became of it.

    Raises only what `retry` or `bury` raised: then nothing is settled, and the message must be put back.
    """
    reached = _Reached(message.frame, STEP_AFTER[type(message.frame)], message.trouble)
    file = around.file_at(path_of(message.frame))
    if _is_made_otherwise(message, file, around):
        # As after a change of the file, and for the same reason: by way of the broker.
        around.retry(_again(message, Named(file.path), message.trouble, around), 1)
        logger.warning("begun again: the settings have changed", extra={"frame": PurePath(file.path).name})
        return "begun again: the settings have changed"
    may_have_run = message.may_have_run(redelivered)
    try:
        services = around.services()
        with services.metrics.timed("ingester"):
            while True:
                following = _take_step(reached.frame, file, services, around, may_have_run)
                if isinstance(following, str):
                    logger.info(following, extra={"frame": PurePath(file.path).name, "md5": md5_of(reached.frame)})
                    return following
                reached = _Reached(following, STEP_AFTER[type(following)], None)
    except SoftTimeLimitExceeded:
        error: Exception = TookTooLongError(frame=file.path, found=f"the soft time limit in step {reached.step}")
    except Exception as caught:  # whatever it is, the frame must not be lost: decide() sorts it
        error = caught
    return _after(error, message, reached, around)


def _is_made_otherwise(message: FrameMessage, file: DataFile, around: Surroundings) -> bool:
    """Whether what is reached was made under other settings, and the file is there to be read again.

    A frame that waited for a wrong setting to be mended must not wait with what the wrong one has made of it. Without
    its file it goes on with what there is, and what is archived stays as it is.
    """
    if message.made_with == around.made_with or isinstance(message.frame, (Named, Archived)):
        return False
    with suppress(IngesterError):
        return file.fingerprint() is not None
    return False


def _again(message: FrameMessage, frame: Frame, trouble: Trouble | None, around: Surroundings) -> FrameMessage:
    return replace(message, frame=frame, trouble=trouble, attempts=message.attempts + 1, made_with=around.made_with)


def _take_step(
    frame: Frame, file: DataFile, services: Services, around: Surroundings, may_have_run: bool
) -> Frame | str:
    """The frame after its next step, or how it ended."""
    now = datetime.fromtimestamp(around.now(), UTC).replace(tzinfo=None)
    match frame:
        case Named():
            return steps.validate(file, around.rules, around.checks, services)
        case Validated():
            return steps.upload(frame, file, services.store, services.metrics, now, may_have_run)
        case Uploaded():
            return steps.post(frame, file, services, now)
        case InArchive():
            settled = steps.settle(frame, services.archive, may_have_run)
            return "archived already" if isinstance(settled, steps.ArchivedByOther) else settled
        case Archived():
            steps.republish(frame, services.publisher)
            return "archived"


def _after(error: Exception, message: FrameMessage, reached: _Reached, around: Surroundings) -> str:
    path = path_of(reached.frame)
    if isinstance(error, IngesterError):
        error.frame = error.frame or path
    if isinstance(error, FileChangedError):
        # Begun again, and always by way of the broker, so that the message holds what was read last. To come back
        # to the beginning is no progress: the patience runs on.
        reached = _Reached(Named(path), reached.step, message.trouble)
    now = around.now()
    decision = decide(error, reached.trouble, now, around.patiences, around.jitter)
    seen = {"frame": PurePath(path).name, "step": reached.step, "attempts": message.attempts + 1}
    if isinstance(decision, RetryIn):
        reason = error.reason if isinstance(error, IngesterError) else ""
        around.retry(_again(message, reached.frame, decision.trouble, around), decision.seconds)
        # Every frame of the night fails alike when the deployment is wrong: that is for somebody to mend now.
        loud = decision.trouble.kind is TroubleKind.DEPLOYMENT
        logger.log(
            logging.ERROR if loud else logging.WARNING,
            str(error),
            extra={**seen, "reason": reason, "kind": decision.trouble.kind.value, "retry_in": decision.seconds},
        )
        around.count("ingester.retries", reason=reason, kind=decision.trouble.kind.value)
        return f"retry in {decision.seconds} s: {reason}"
    around.bury(
        letter_for(
            error,
            path=path,
            md5=md5_of(reached.frame),
            step=reached.step,
            reason=decision.reason,
            attempts=message.attempts + 1,
            first_time=message.first_time or now,
            now=now,
            worker=around.worker,
            message=replace(_again(message, reached.frame, None, around), replayed=False).to_message(),
        )
    )
    logger.error(str(error), extra={**seen, "reason": decision.reason})
    around.count("ingester.dead_letters", reason=decision.reason)
    return f"dead letter: {decision.reason}"
