"""Medians and spreads of measured numbers."""

import math
import statistics
from collections.abc import Sequence


def median(values: Sequence[float]) -> float:
    """The middle value: of an even number of them the mean of the two in the middle. Raises ValueError if none."""
    if not values:
        raise ValueError("no values, no median")
    return float(statistics.median(values))


def spread(values: Sequence[float]) -> float:
    """How far values lie apart: the median distance from their median, which one outlier does not move."""
    middle = median(values)
    return median([abs(value - middle) for value in values])


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that at least `percent` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
