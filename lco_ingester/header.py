"""A FITS header as JSON values."""

import math
from collections.abc import Iterator
from typing import Any

from astropy.io import fits
from astropy.io.fits.card import Undefined

from lco_ingester.exceptions import HeaderValueError

JsonValue = str | int | float | bool | None


def cards(header: fits.Header, blacklist: tuple[str, ...], path: str) -> Iterator[tuple[str, JsonValue]]:
    """Keyword and JSON value of each card that is not in `blacklist`; of a repeated keyword the first.

    Raises HeaderValueError if a card cannot be read.
    """
    seen = {"", *blacklist}
    for card in header.cards:
        keyword = card.keyword
        if keyword in seen:
            continue
        seen.add(keyword)
        try:
            yield keyword, json_value(card.value)
        except (fits.VerifyError, ValueError, UnicodeError) as error:
            raise HeaderValueError(frame=path, check=keyword, expected="a readable card", found=str(error)) from error


def json_value(value: Any) -> JsonValue:
    """The value as JSON has it (RFC 8259 knows neither NaN nor infinity nor complex numbers)."""
    if value is None or isinstance(value, Undefined):
        return None
    if isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "item"):  # a numpy scalar
        return json_value(value.item())
    return str(value)
