"""What both generations of the archive refuse, and can be known before the upload (docs/archive-api.md)."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from lco_ingester.exceptions import HeaderValueError
from lco_ingester.frame import Record
from lco_ingester.record.lco import ARCHIVE_KEYWORDS
from lco_ingester.record.rules import Keywords
from lco_ingester.record.values import is_set

LARGEST_INTEGER = 2147483647
LONGEST_NUMBER = 1000  # characters
# What the archive wants of a value; '' if it accepts it.
Wanted = Callable[[Any], str]
_DIGITS = re.compile(r"\s*-?[0-9]+(\.0*)?\s*")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,3})?", re.IGNORECASE)
_WHOLE_DIGITS, _DECIMALS = 7, 6  # of an exposure time


def refuse_unacceptable(header: Record, record: Record, keys: Keywords) -> None:
    """Raises HeaderValueError for the first value that the archive would refuse.

    `header` is the record itself if it is flat, and its `headers` if it is nested.
    """
    is_nested = header is not record
    for name in TEXTS:
        keyword = getattr(keys, name)
        is_flag = isinstance(header.get(keyword), bool)
        _refuse(keyword, "a text, and not a flag (T or F)" if is_flag else "", header.get(keyword))
    for name, wanted in (NESTED if is_nested else FLAT).items():
        keyword = getattr(keys, name)
        value = record.get(name if is_nested else ARCHIVE_KEYWORDS[name])
        _refuse(keyword, wanted(value), value)


def whole_number(value: Any) -> str:
    """Null, or from 0 to 2147483647; also in a text, and with zeros as decimals."""
    written = str(value)
    if value is None:
        return ""
    if len(written) <= LONGEST_NUMBER and _DIGITS.fullmatch(written):
        number = int(written.partition(".")[0])
        if 0 <= number <= LARGEST_INTEGER:
            return ""
    return f"a whole number from 0 to {LARGEST_INTEGER}"


def exposure_time(value: Any) -> str:
    """Null, or a number with at most seven digits before its point and six behind it; also in a text."""
    if value is None:
        return ""
    written = str(value).strip()
    if not isinstance(value, bool) and len(written) <= LONGEST_NUMBER and _NUMBER.fullmatch(written):
        number = Decimal(written)
        exponent = number.as_tuple().exponent
        if isinstance(exponent, int) and exponent >= -_DECIMALS and number.adjusted() < _WHOLE_DIGITS:
            return ""
    return f"a number of seconds with at most {_WHOLE_DIGITS} digits before its point"


def at_most(characters: int) -> Wanted:
    """A text, or a number as text, of so many characters."""
    return lambda value: "" if len(str(value or "")) <= characters else f"at most {characters} characters"


def something(value: Any) -> str:
    """A value that is not empty."""
    return "" if is_set(value) else "a value"


def _refuse(keyword: str, wanted: str, value: Any) -> None:
    if wanted:
        found = repr(value)
        raise HeaderValueError(check=keyword, expected=wanted, found=found if len(found) < 200 else found[:200] + "…")


TEXTS = (
    "proposal_id", "target_name", "configuration_type", "instrument_id", "site_id", "telescope_id",
    "primary_optical_element",
)  # fmt: skip
_NUMBERS: dict[str, Wanted] = {
    "exposure_time": exposure_time,
    "reduction_level": whole_number,
    "observation_id": whole_number,
    "request_id": whole_number,
}
FLAT: dict[str, Wanted] = {**_NUMBERS, "site_id": at_most(3), "telescope_id": at_most(4)}
"""What an archive of flat records wants, by the name of the keyword in `Keywords`."""
NESTED: dict[str, Wanted] = {**_NUMBERS, "configuration_type": something}
"""What an archive of nested records wants, by the field of the record."""
