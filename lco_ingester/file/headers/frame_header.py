"""A FITS header as JSON values."""

import copy
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from astropy.io import fits
from astropy.io.fits.card import Undefined
from astropy.utils.exceptions import AstropyWarning

from lco_ingester.exceptions import HeaderValueError
from lco_ingester.file.headers.odd_cards import read_card

JsonValue = str | int | float | bool | None

# FITS has no such numbers, but some writers write them, without quotes. JSON has none of them either.
_NOT_NUMBERS = ("nan", "inf", "infinity")
_CARD_ERRORS = (fits.VerifyError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


class FrameHeader(Mapping[str, Any]):
    """The header of an HDU: values by keyword, those of JSON and floats that are not finite.

    `repeated`, `repaired` and `without_value` are explained at `plain_cards.SplitHeader`. A keyword without a value is
    not in the mapping, but its card is among the `cards`.
    """

    def __init__(
        self,
        values: dict[str, JsonValue],
        repeated: Iterable[str] = (),
        repaired: Mapping[str, str] | None = None,
        without_value: Iterable[str] = (),
    ) -> None:
        self._values = values
        self.repeated = frozenset(repeated)
        self.repaired = dict(repaired or {})
        self.without_value = sorted(without_value)

    def __contains__(self, keyword: object) -> bool:
        return isinstance(keyword, str) and (keyword.upper() in self._values or keyword in self._values)

    def __getitem__(self, keyword: str) -> Any:
        upper = keyword.upper()
        return self._values[upper] if upper in self._values else self._values[keyword]

    def __setitem__(self, keyword: str, value: JsonValue) -> None:
        self._values[keyword.upper()] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def cards(self, blacklist: tuple[str, ...]) -> list[tuple[str, JsonValue]]:
        """Keyword and JSON value of each card that is not in `blacklist`; of a repeated keyword the first."""
        isfinite = math.isfinite
        found = [
            (keyword, None if type(value) is float and not isfinite(value) else value)
            for keyword, value in self._values.items()
            if keyword not in blacklist
        ]
        return found + [
            (each, None) for each in self.without_value if each not in blacklist and each not in self._values
        ]


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
            # Astropy makes `OBJECT.X` = 1.0 of OBJECT = 'X: 1' (its record-valued keyword cards).
            is_text = card.keyword.strip() and card.field_specifier is not None
            keyword = (card.rawkeyword if is_text else card.keyword).strip()
            if keyword in seen:
                continue
            seen.add(keyword)
            yield keyword, read_card(card.image).value if is_text else _value_of(card)
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
