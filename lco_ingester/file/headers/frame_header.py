"""A FITS header as JSON values."""

import copy
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from astropy.io import fits
from astropy.io.fits.card import Undefined
from astropy.utils.exceptions import AstropyWarning

from lco_ingester.exceptions import HeaderValueError

JsonValue = str | int | float | bool | None

# FITS has no such numbers, but some writers write them, without quotes. JSON has none of them either.
_NOT_NUMBERS = ("nan", "inf", "infinity")
_CARD_ERRORS = (fits.VerifyError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


class FrameHeader(Mapping[str, Any]):
    """The header of an HDU: `plain` JSON values by keyword, and `others`, the cards that astropy read, if any."""

    def __init__(self, plain: dict[str, JsonValue], others: fits.Header | None = None) -> None:
        self._plain = plain
        self._others = fits.Header() if others is None else others

    def __contains__(self, keyword: object) -> bool:
        return isinstance(keyword, str) and (keyword.upper() in self._plain or keyword in self._others)

    def __getitem__(self, keyword: str) -> Any:
        """The value; it may be of an astropy type. Raises KeyError, or VerifyError for a card that cannot be read."""
        plain = keyword.upper()
        return self._plain[plain] if plain in self._plain else self._others[keyword]

    def __setitem__(self, keyword: str, value: JsonValue) -> None:
        self._plain[keyword.upper()] = value

    def __iter__(self) -> Iterator[str]:
        return iter({**self._plain, **dict.fromkeys(self._others)})

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def cards(self, blacklist: tuple[str, ...]) -> Iterator[tuple[str, JsonValue]]:
        """Keyword and JSON value of each card that is not in `blacklist`; the first one of a repeated keyword.

        Raises HeaderValueError if a card cannot be read.
        """
        yield from (item for item in self._plain.items() if item[0] not in blacklist)
        yield from cards(self._others, (*blacklist, *self._plain))


# A header, or a replacement: metadata, or the result of a site's reader.
Header: TypeAlias = Mapping[str, Any] | fits.Header


def cards(header: fits.Header, blacklist: tuple[str, ...]) -> Iterator[tuple[str, JsonValue]]:
    """Keyword and JSON value of each card that is not in `blacklist`; the first one of a repeated keyword.

    Raises HeaderValueError if a card cannot be read.
    """
    seen = {"", *blacklist}
    for number, card in enumerate(header.cards):
        keyword = ""
        try:
            keyword = card.keyword.strip()
            if keyword in seen:
                continue
            seen.add(keyword)
            yield keyword, _value_of(card)
        except _CARD_ERRORS as error:
            check = keyword or f"card {number + 1}"
            raise HeaderValueError(check=check, expected="a readable card", found=str(error)) from error


def json_value(value: Any) -> JsonValue:
    """The value in JSON (RFC 8259 has neither NaN nor infinity nor complex numbers)."""
    if value is None or isinstance(value, Undefined):
        return None
    if isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "item"):  # a numpy scalar
        return json_value(value.item())
    return str(value)


def _value_of(card: fits.Card) -> JsonValue:
    """The card's value. Something without quotes that is not a FITS value becomes text, as astropy fixes it."""
    try:
        return json_value(card.value)
    except fits.VerifyError:
        fixed = copy.copy(card)  # the header itself must not change
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            fixed.verify("silentfix")
        value = json_value(fixed.value)
    return None if isinstance(value, str) and value.strip("+- ").lower() in _NOT_NUMBERS else value
