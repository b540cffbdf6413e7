"""Cleanup rules for headers, for every format of records; pure (docs/record.md, "Clean-up").

A rule changes the header in place and returns the reason as a text for people; '' if it had nothing to do.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from lco_ingester.exceptions import HeaderValueError
from lco_ingester.frame import Record
from lco_ingester.record.dates import parse_date, parse_night
from lco_ingester.record.footprint import Polygon, footprint
from lco_ingester.record.rules import Keywords, RecordRules

CATALOGUE_MARK = "_cat"
PRIVATE = timedelta(days=999 * 365)
PACKAGE_REDUCTION_LEVEL = 90
UNCHANGED = "the header has it"  # the reason of a rule that leaves the header's value

Cards = Iterable[tuple[str, Any]]


class Doubt(str):
    """A reason that is also logged as a warning: the header says something that the record does not."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class FrameName:
    """The name of a frame's file, in its two parts."""

    basename: str
    extension: str

    @property
    def is_catalogue(self) -> bool:
        """Whether it is the catalogue of another frame."""
        return CATALOGUE_MARK in self.basename


CleanupRule = Callable[[Record, FrameName, RecordRules], str]


def reduction_level(header: Record, name: FrameName, rules: RecordRules) -> str:
    """A missing level, or 0, is taken from the file's name."""
    keyword = rules.keys.reduction_level
    if header.get(keyword):
        return UNCHANGED
    if name.extension == ".tar.gz":
        header[keyword] = PACKAGE_REDUCTION_LEVEL
        return "a .tar.gz is a package of reduced frames"
    last = name.basename.replace(CATALOGUE_MARK, "")[-2:]
    is_number = last.isascii() and last.isdecimal()
    header[keyword] = int(last) if is_number else 0
    return f"the basename ends with {last!r}" if is_number else "neither the header nor the name gives another level"


def catalogue(header: Record, name: FrameName, rules: RecordRules) -> str:
    """A catalogue gets its type, and the frame that it belongs to."""
    if not name.is_catalogue:
        return ""
    header.setdefault(rules.keys.catalog_target_frame, name.basename.replace(CATALOGUE_MARK, ""))
    header[rules.keys.configuration_type] = "CATALOG"
    return f"{CATALOGUE_MARK} in the basename means a catalogue"


def observation_day(header: Record, name: FrameName, rules: RecordRules) -> str:
    """A missing day is taken from the date. Raises HeaderValueError if the day or the date is not a date."""
    keyword, observed = rules.keys.observation_day, observation_date(header, rules.keys)
    if header.get(keyword):
        header[keyword] = night_of(header, keyword)
        return "the archive reads the night in this form"
    header[keyword] = observed.date().isoformat().replace("-", "")
    return f"the day of {rules.keys.observation_date}, because the header has none"


def public_date(header: Record, name: FrameName, rules: RecordRules) -> str:
    """When the frame becomes public, if the header does not say. Raises HeaderValueError."""
    keys = rules.keys
    if header.get(keys.public_date):
        return UNCHANGED
    if why := _public(header, rules):
        header[keys.public_date] = header[keys.observation_date]
        return f"public at once, because {why}"
    why = _private(header, name, rules)
    try:
        after = PRIVATE if why else timedelta(days=rules.days_until_public)
        header[keys.public_date] = (observation_date(header, keys) + after).isoformat()
    except OverflowError:
        raise HeaderValueError(
            check=keys.observation_date,
            expected="a date that a public date can be calculated from",
            found=repr(header[keys.observation_date]),
        ) from None
    if why:
        return f"private for 999 years, because {why}"
    return f"{after.days} days after {keys.observation_date} (DAYS_UNTIL_PUBLIC), because no other rule applies"


COMPLETE: tuple[CleanupRule, ...] = (reduction_level, catalogue, observation_day, public_date)
"""Rules that complete a header from its file's name and date."""


def observation_date(header: Mapping[str, Any], keys: Keywords) -> datetime:
    """The date of observation in UTC, without a time zone.

    Raises HeaderValueError, because the archive accepts a frame without a date and then never shows it.
    """
    return date_of(header, keys.observation_date)


def date_of(header: Mapping[str, Any], keyword: str) -> datetime:
    """The date under a keyword, in UTC without a time zone. Raises HeaderValueError if there is none."""
    value = header.get(keyword)
    try:
        return parse_date(value if isinstance(value, str) else "")
    except ValueError:
        raise HeaderValueError(
            check=keyword, expected="a FITS date such as '2024-01-31T12:34:56.789'", found=repr(value)
        ) from None


def night_of(header: Mapping[str, Any], keyword: str) -> str:
    """The night under a keyword, `YYYYMMDD`. Raises HeaderValueError if it is not a date."""
    value = header.get(keyword)
    try:
        return parse_night(value)
    except ValueError:
        raise HeaderValueError(
            check=keyword, expected="a night YYYYMMDD such as '20240131'", found=repr(value)
        ) from None


def area_of(header: Mapping[str, Any], keys: Keywords, name: FrameName) -> Polygon | None:
    """The frame's footprint."""
    return footprint(with_pointing(header, keys), name.basename + name.extension)


def with_pointing(header: Mapping[str, Any], keys: Keywords) -> dict[str, Any]:
    """The header with pointing and type under RADIUS, RA, DEC and OBSTYPE, where `footprint` looks for them."""
    pointing = {"RADIUS": keys.radius, "RA": keys.ra, "DEC": keys.dec, "OBSTYPE": keys.configuration_type}
    renamed = {name: header.get(keyword) for name, keyword in pointing.items() if name != keyword}
    return {**header, **renamed}


def related_frame(value: Any) -> str:
    """The name of a related frame without its extension; '' if there is none."""
    name = ("" if value is None else str(value)).split(".", 1)[0]
    return name if name.strip() else ""


def number_or_null(value: Any) -> Any:
    """The value of a number; None for a blank text, which the archive refuses."""
    return None if isinstance(value, str) and not value.strip() else value


def rounded_exposure(value: Any) -> Any:
    """Seconds, rounded to the six decimals of the archive's column; a text only if it has more of them."""
    if isinstance(value, float):
        return round(value, 6)
    try:
        exponent = Decimal(value).as_tuple().exponent if isinstance(value, str) else 0
    except InvalidOperation:  # not a number: the archive will say so
        return value
    return round(float(value), 6) if isinstance(exponent, int) and exponent < -6 else value


def _public(header: Record, rules: RecordRules) -> str:
    """Why the frame is public at once; '' if it is not."""
    kind, proposal = header.get(rules.keys.configuration_type), _proposal(header, rules)
    if kind in rules.calibration_types:
        return f"{rules.keys.configuration_type} {kind} is one of CALIBRATION_TYPES"
    mark = _first_in(rules.public_proposals, proposal)
    return f"{mark!r} of PUBLIC_PROPOSALS is in {rules.keys.proposal_id} {proposal!r}" if mark else ""


def _private(header: Record, name: FrameName, rules: RecordRules) -> str:
    """Why the frame stays private; '' if it does not."""
    proposal = _proposal(header, rules)
    if mark := _first_in(rules.private_proposals, proposal):
        return f"{mark!r} of PRIVATE_PROPOSALS is in {rules.keys.proposal_id} {proposal!r}"
    mark = _first_in(rules.private_file_types, name.basename)
    return f"{mark!r} of PRIVATE_FILE_TYPES is in the basename" if mark else ""


def _proposal(header: Record, rules: RecordRules) -> str:
    return str(header.get(rules.keys.proposal_id) or "")


def _first_in(marks: Iterable[str], text: str) -> str:
    return next((mark for mark in marks if mark in text), "")
