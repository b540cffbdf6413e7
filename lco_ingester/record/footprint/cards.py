"""A header's values, looked at with suspicion."""

import math
from collections.abc import Mapping
from typing import Any

from lco_ingester.record.values import is_set


class NoPlaceError(Exception):
    """The header speaks of no place on the sky; its text says why. Nothing is wrong with that."""


def number(header: Mapping[str, Any], keyword: str) -> float:
    """The finite number of a card.

    Raises ValueError if there is none: text does not count, whatever it says (FITS standard 4.0, section 4.2.4).
    """
    value = header.get(keyword)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{keyword} is {value!r}, not a number")
    return float(value)


def upper(header: Mapping[str, Any], keyword: str) -> str:
    """The text of a card in upper case, '' if it has no value. Raises ValueError if it is no text."""
    value = header.get(keyword)
    if not is_set(value):
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{keyword} is {value!r}, not a text")
    return value.strip().upper()
