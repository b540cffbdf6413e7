"""Retry a frame, and when? Pure: an error and the retries before it → a decision."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ingester_app.schema import RetryState
from ingester_app.settings import ServiceSettings
from lco_ingester.exceptions import FailureKind, IngesterError

LONGEST_ASKED = 3600.0  # seconds that a server may ask for; a proxy that asks for a day must not cost a night
SHARE_OF_OUTAGE = 1 / 8  # of its age: the longest pause of a frame whose server is known to be down


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Seconds: bound of the first pause, bound of every pause, and the time after which a frame is a dead letter."""

    first: float
    longest: float
    total: float


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Try again in so many whole seconds (RabbitMQ's delays have no fractions), with this state in the message."""

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
    error: IngesterError, before: RetryState | None, now: float, policies: RetryPolicies, jitter: Callable[[], float]
) -> RetryIn | GiveUp:
    """What becomes of a frame after this error.

    Exponential backoff with full jitter: `jitter()` is a number in [0, 1). A wait that the server asked for
    (Retry-After) is kept, up to LONGEST_ASKED.
    """
    policy = policies.get(error.failure_kind)
    if policy is None:
        return GiveUp(error.reason)
    is_same = before is not None and before.kind == error.failure_kind
    state = before if before is not None and is_same else RetryState(error.failure_kind, now, 0)
    state = replace(state, since=min(state.since, now))  # a time in the future would never end
    left = state.since + policy.total - now
    if left <= 0:
        return GiveUp(error.reason)
    # The last try comes when the policy's time is over, not long before or after it.
    seconds = max(1, math.ceil(min(_pause(error, state, now, policy, jitter()), left)))
    return RetryIn(seconds, replace(state, attempt=state.attempt + error.was_called))


def _pause(error: IngesterError, state: RetryState, now: float, policy: RetryPolicy, chance: float) -> float:
    """Seconds to wait; `chance` is a number in [0, 1)."""
    doubled = policy.first * 2.0 ** min(state.attempt, 60)
    if error.was_called:
        return max(chance * min(policy.longest, doubled), min(error.retry_after or 0.0, LONGEST_ASKED))
    # An open circuit refused the call, so the attempt does not count and nothing doubles. The pause grows with the age
    # of the outage instead: many frames that wait for long must not keep the broker busy, and when the server is back
    # the last of them is due soon. Another process, whose circuit is closed, may take the frame before.
    return chance * min(policy.longest, max(doubled, (now - state.since) * SHARE_OF_OUTAGE))
