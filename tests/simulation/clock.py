"""The virtual clock, and the retry policies of the simulated service."""

from ingester_app.retry import RetryPolicy
from lco_ingester.exceptions import FailureKind

START = 1_600_000_000.0
"""When the simulation begins, in seconds since 1970."""

LAG = 15.0
"""Seconds for which a replica of the archive may not show what was posted; shorter than retries of a file last."""

POLICIES = {
    FailureKind.SERVER: RetryPolicy(5, 60, 300),
    FailureKind.FILE_NOT_READY: RetryPolicy(10, 20, 200),
    FailureKind.DEPLOYMENT: RetryPolicy(60, 60, 300),
}
"""As in the settings, but with fewer tries in it; a file is tried again after 10 s, then every 20 s."""

BRIEF = {**POLICIES, FailureKind.FILE_NOT_READY: RetryPolicy(10, 10, 10)}
"""A file is tried at once and after 10 s: for scenarios in which no replica lags."""

ONE_RETRY = {**POLICIES, FailureKind.SERVER: RetryPolicy(5, 5, 5)}
"""One retry, then a dead letter."""


def jitter() -> float:
    """Always the longest wait."""
    return 0.999
