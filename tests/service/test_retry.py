"""The retry decision: errors, and whether and when the frame is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingester_app.retry import (
    GiveUp,
    RetryIn,
    decide,
    retry_policies,
)
from ingester_app.schema import RetryState
from ingester_app.settings import ServiceSettings
from lco_ingester.exceptions import (
    ArchiveRefusedError,
    ArchiveUnavailableError,
    BucketNotVersionedError,
    FailureKind,
    FileMissingError,
    HeaderMissingError,
    IngesterError,
    ProgramError,
    StoreUnavailableError,
    TruncatedFrameError,
)
from lco_ingester.settings import load_settings

NOW = 1_700_000_000.0
POLICY = retry_policies(load_settings(ServiceSettings))
HOUR, DAY = 3600.0, 86400.0


def most() -> float:
    """The largest number that random.random() gives."""
    return 0.9999999


@pytest.mark.parametrize(
    ("error", "first", "longest", "total"),
    [
        (StoreUnavailableError(), 5, 900, DAY),
        (ArchiveUnavailableError(), 5, 900, DAY),
        (TruncatedFrameError(), 10, 120, 900),
        (FileMissingError(), 10, 120, 900),
        (BucketNotVersionedError(), 60, 900, DAY),
        (ProgramError(), 60, 900, DAY),
    ],
)
def test_each_kind_of_failure_has_its_policy(error: IngesterError, first: float, longest: float, total: float) -> None:
    begun = decide(error, None, NOW, POLICY, most)
    assert isinstance(begun, RetryIn)
    assert begun.seconds == first
    assert (begun.retry_state.since, begun.retry_state.attempt) == (NOW, 1)
    later = decide(error, RetryState(begun.retry_state.kind, NOW, 30), NOW + 1, POLICY, most)
    assert isinstance(later, RetryIn)
    assert later.seconds == min(longest, total - 1)
    over = decide(error, RetryState(begun.retry_state.kind, NOW, 30), NOW + total, POLICY, most)
    assert over == GiveUp(error.reason)


@pytest.mark.parametrize("error", [HeaderMissingError(), ArchiveRefusedError()])
def test_a_bad_frame_is_a_dead_letter_at_once(error: ArchiveRefusedError) -> None:
    assert decide(error, None, NOW, POLICY, most) == GiveUp(error.reason)


def test_another_kind_of_failure_starts_again() -> None:
    outage = RetryState(FailureKind.SERVER, NOW - 20 * HOUR, 90)
    decision = decide(FileMissingError(), outage, NOW, POLICY, most)
    assert decision == RetryIn(10, RetryState(FailureKind.FILE_NOT_READY, NOW, 1))


def test_a_wait_that_the_server_asks_for_is_respected() -> None:
    decision = decide(ArchiveUnavailableError(retry_after=3000.0), None, NOW, POLICY, most)
    assert isinstance(decision, RetryIn)
    assert decision.seconds == 3000


def test_a_server_cannot_ask_for_a_day() -> None:
    decision = decide(ArchiveUnavailableError(retry_after=DAY), None, NOW, POLICY, most)
    assert isinstance(decision, RetryIn)
    assert decision.seconds == 3600


def test_the_last_try_comes_when_the_time_is_over() -> None:
    nearly_over = RetryState(FailureKind.FILE_NOT_READY, NOW - 895, 9)
    decision = decide(FileMissingError(retry_after=DAY), nearly_over, NOW, POLICY, most)
    assert isinstance(decision, RetryIn)
    assert decision.seconds == 5


@given(attempt=st.integers(0, 10_000), jitter=st.floats(0, 1, exclude_max=True), age=st.floats(0, 2 * DAY))
def test_a_delay_is_always_whole_seconds_and_at_least_one(attempt: int, jitter: float, age: float) -> None:
    retry_state = RetryState(FailureKind.SERVER, NOW - age, attempt)
    decision = decide(StoreUnavailableError(), retry_state, NOW, POLICY, lambda: jitter)
    if isinstance(decision, RetryIn):
        assert isinstance(decision.seconds, int)
        assert 1 <= decision.seconds <= 900
    else:
        assert age >= DAY


REFUSED = ArchiveUnavailableError(was_called=False)  # what the open circuit of a breaker raises


@given(st.floats(0, DAY - 1), st.integers(0, 1000), st.floats(0, 0.999))
def test_a_call_that_the_open_circuit_refused_does_not_count(age: float, attempt: int, chance: float) -> None:
    before = RetryState(FailureKind.SERVER, NOW - age, attempt)
    decision = decide(REFUSED, before, NOW, POLICY, lambda: chance)
    assert isinstance(decision, RetryIn)
    assert decision.retry_state == before


@pytest.mark.parametrize("outage", [108.0, HOUR, 6 * HOUR])
def test_after_an_outage_the_last_frame_is_due_soon(outage: float) -> None:
    """One process whose circuit opens for 30 s at a time; each frame meets it open whenever it comes."""
    for chance in (0.1, 0.5, most()):
        now, state = 0.0, RetryState(FailureKind.SERVER, 0.0, 1)
        while now < outage:
            decision = decide(REFUSED, state, now, POLICY, lambda chance=chance: chance)  # type: ignore[misc]
            assert isinstance(decision, RetryIn)
            now, state = now + decision.seconds, decision.retry_state
        assert now - outage <= max(10, outage / 8) + 1


def test_many_frames_that_wait_for_hours_do_not_keep_the_broker_busy() -> None:
    state = RetryState(FailureKind.SERVER, NOW - 2 * HOUR, 1)
    decision = decide(REFUSED, state, NOW, POLICY, lambda: 0.5)
    assert isinstance(decision, RetryIn)
    assert decision.seconds >= 450
