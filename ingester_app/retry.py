"""Is it worth another try, and when? Pure: an error and what went before → a decision."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ingester_app.schema import RetryState
from ingester_app.settings import ServiceSettings
from lco_ingester.exceptions import FailureKind, IngesterError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long, in seconds, to wait at first, at most, and in all, before a frame becomes a dead letter."""

    first: float
    longest: float
    total: float


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Try again in so many whole seconds (RabbitMQ's delays know no others), with this trouble in the message."""

    seconds: int
    retry_state: RetryState


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Give up; `reason` is the stable reason code."""

    reason: str


RetryPolicies = Mapping[FailureKind, RetryPolicy]


def retry_policies(settings: ServiceSettings) -> dict[FailureKind, RetryPolicy]:
    """The policy for each kind of failure that is worth a retry."""

    def of(kind: str) -> RetryPolicy:
        return RetryPolicy(*(getattr(settings, f"retry_{kind}_{part}") for part in ("first", "longest", "patience")))

    return {
        FailureKind.SERVER: of("server"),
        FailureKind.FILE_NOT_READY: of("file"),
        FailureKind.DEPLOYMENT: of("deployment"),
    }


def decide(
    error: Exception, before: RetryState | None, now: float, policies: RetryPolicies, jitter: Callable[[], float]
) -> RetryIn | GiveUp:
    """What is to become of a frame after this error.

    Exponential backoff with full jitter: `jitter()` is a number in [0, 1). A wait that the server asked for
    (Retry-After) is kept to. An error that is not the ingester's own is a mistake in the program, and is buried at
    once with its traceback.
    """
    if not isinstance(error, IngesterError):
        return GiveUp("PROGRAM_ERROR")
    policy = policies.get(error.failure_kind)
    if policy is None:
        return GiveUp(error.reason)
    retry_state = (
        before if before is not None and before.kind == error.failure_kind else RetryState(error.failure_kind, now, 0)
    )
    left = retry_state.since + policy.total - now
    if left <= 0:
        return GiveUp(error.reason)
    wait = jitter() * min(policy.longest, policy.first * 2.0 ** min(retry_state.attempt, 60))
    # The last try comes when the policy's time is over, not long before or after it.
    seconds = max(1, math.ceil(min(max(wait, error.retry_after or 0.0), left)))
    return RetryIn(seconds, RetryState(retry_state.kind, retry_state.since, retry_state.attempt + 1))
