"""Checked access to a header's values."""

import math
from collections.abc import Mapping
from typing import Any

from lco_ingester.record.values import is_set


class NoPlaceError(Exception):
    """The header does not describe a place on the sky; the text says why. This is not an error."""


def number(header: Mapping[str, Any], keyword: str) -> float:
    """The finite number of a card.

    Raises ValueError if there is none: a text is not a number, whatever it says (FITS standard 4.0, section 4.2.4).
    """
    value = header.get(keyword)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{keyword} is {value!r}, not a number")
    return float(value)


def upper(header: Mapping[str, Any], keyword: str) -> str:
    """The text of a card in upper case, '' if it has no value. Raises ValueError if it is not a text."""
    value = header.get(keyword)
    if not is_set(value):
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{keyword} is {value!r}, not a text")
    return value.strip().upper()
