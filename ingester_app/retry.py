"""Is it worth another try, and when? Pure: an error and what went before → a decision."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ingester_app.settings import ServiceSettings
from lco_ingester.exceptions import IngesterError, TroubleKind


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a frame's retries are counted by; begun anew when the kind changes or a step succeeds.

    `since` is when it began, in seconds since 1970; `attempt` counts the retries since then.
    """

    kind: TroubleKind
    since: float
    attempt: int


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, in seconds, to wait at first, at most, and in all, before a frame becomes a dead letter."""

    first: float
    longest: float
    total: float


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Try again in so many whole seconds (RabbitMQ's delays know no others), with this trouble in the message."""

    seconds: int
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class ToDeadLetters:
    """Give up; `reason` is the stable reason code."""

    reason: str


Patiences = Mapping[TroubleKind, Patience]


def patiences(settings: ServiceSettings) -> dict[TroubleKind, Patience]:
    """The patience for each kind of trouble that is worth any."""

    def of(kind: str) -> Patience:
        return Patience(*(getattr(settings, f"retry_{kind}_{part}") for part in ("first", "longest", "patience")))

    return {
        TroubleKind.SERVER: of("server"),
        TroubleKind.FILE_NOT_READY: of("file"),
        TroubleKind.DEPLOYMENT: of("deployment"),
    }


def decide(
    error: Exception, before: Trouble | None, now: float, policy: Patiences, jitter: Callable[[], float]
) -> RetryIn | ToDeadLetters:
    """What is to become of a frame after this error.

    Exponential backoff with full jitter: `jitter()` is a number in [0, 1). A wait that the server asked for
    (Retry-After) is kept to. An error that is not the ingester's own is a mistake in the program, and is buried at
    once with its traceback.
    """
    if not isinstance(error, IngesterError):
        return ToDeadLetters("PROGRAM_ERROR")
    patience = policy.get(error.trouble)
    if patience is None:
        return ToDeadLetters(error.reason)
    trouble = before if before is not None and before.kind == error.trouble else Trouble(error.trouble, now, 0)
    left = trouble.since + patience.total - now
    if left <= 0:
        return ToDeadLetters(error.reason)
    wait = jitter() * min(patience.longest, patience.first * 2.0 ** min(trouble.attempt, 60))
    # The last try comes when the patience ends, not long before or after it.
    seconds = max(1, math.ceil(min(max(wait, error.retry_after or 0.0), left)))
    return RetryIn(seconds, Trouble(trouble.kind, trouble.since, trouble.attempt + 1))


def trouble_to_message(trouble: Trouble | None) -> dict[str, Any] | None:
    """As JSON-able data."""
    if trouble is None:
        return None
    return {"kind": trouble.kind.value, "since": trouble.since, "attempt": trouble.attempt}


def trouble_from_message(message: dict[str, Any] | None) -> Trouble | None:
    """What `trouble_to_message` wrote. Raises ValueError or KeyError if it is something else."""
    if message is None:
        return None
    return Trouble(TroubleKind(message["kind"]), float(message["since"]), int(message["attempt"]))
