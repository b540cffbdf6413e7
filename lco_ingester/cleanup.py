"""What is mended in every header, whatever the archive's records look like; pure (docs/record.md, "Clean-up")."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lco_ingester.dates import parse_date
from lco_ingester.exceptions import HeaderValueError
from lco_ingester.footprint import Polygon, footprint
from lco_ingester.frame import Record
from lco_ingester.rules import Keywords, RecordRules

CATALOGUE_MARK = "_cat"
PRIVATE = timedelta(days=999 * 365)
PACKAGE_REDUCTION_LEVEL = 90

Cards = Iterable[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class FrameName:
    """The name of a frame's file, taken apart; `path` is what an error calls it."""

    basename: str
    extension: str
    path: str

    @property
    def is_catalogue(self) -> bool:
        """Whether it is the catalogue of another frame."""
        return CATALOGUE_MARK in self.basename


def without_nulls(cards: Cards, nulls: Iterable[str], integers: Iterable[str]) -> Record:
    """The header, with a text that means nothing as '', and as None under a keyword of whole numbers."""
    nulls, integers = tuple(nulls), tuple(integers)
    header: Record = {}
    for keyword, value in cards:
        null = None if keyword in integers else ""
        header[keyword] = null if isinstance(value, str) and value in nulls else value
    return header


def complete(header: Record, name: FrameName, rules: RecordRules) -> None:
    """Put in what the header lacks and its file's name or date tell: level, catalogue, day, public date.

    Raises HeaderValueError if there is no date of observation.
    """
    keys = rules.keys
    header[keys.reduction_level] = _reduction_level(header.get(keys.reduction_level), name)
    if name.is_catalogue:
        header.setdefault(keys.catalog_target_frame, name.basename.replace(CATALOGUE_MARK, ""))
        header[keys.configuration_type] = "CATALOG"
    observed = observation_date(header, keys, name.path)
    if not header.get(keys.observation_day):
        header[keys.observation_day] = observed.strftime("%Y%m%d")
    if not header.get(keys.public_date):
        header[keys.public_date] = _public_date(header, name, observed, rules)


def observation_date(header: Mapping[str, Any], keys: Keywords, path: str = "") -> datetime:
    """The date of observation in UTC, without a time zone.

    Raises HeaderValueError: the archive takes a frame without a date, and never shows it again.
    """
    return date_of(header, keys.observation_date, path)


def date_of(header: Mapping[str, Any], keyword: str, path: str) -> datetime:
    """The date under a keyword, in UTC without a time zone. Raises HeaderValueError if there is none."""
    value = header.get(keyword)
    try:
        return parse_date(str(value))
    except ValueError:
        raise HeaderValueError(
            frame=path, check=keyword, expected="an ISO 8601 date such as 2024-01-31T12:34:56.789", found=repr(value)
        ) from None


def area_of(header: Mapping[str, Any], keys: Keywords, path: str) -> Polygon | None:
    """The frame's footprint, with the pointing under the site's own keywords."""
    pointing = {"RADIUS": keys.radius, "RA": keys.ra, "DEC": keys.dec}
    renamed = {name: header.get(keyword) for name, keyword in pointing.items() if name != keyword}
    return footprint({**header, **renamed}, path)


def related_frame(value: Any) -> str:
    """The name of a related frame without its extension; '' if there is none."""
    return ("" if value is None else str(value)).split(".", 1)[0]


def rounded_exposure(value: Any) -> Any:
    """Seconds with the six decimals that the archive's column has."""
    return round(value, 6) if isinstance(value, float) else value


def _reduction_level(value: Any, name: FrameName) -> Any:
    if value:
        return value
    if name.extension == ".tar.gz":
        return PACKAGE_REDUCTION_LEVEL
    last = name.basename.replace(CATALOGUE_MARK, "")[-2:]
    return int(last) if last.isascii() and last.isdecimal() else 0


def _public_date(header: Record, name: FrameName, observed: datetime, rules: RecordRules) -> Any:
    keys = rules.keys
    proposal = str(header.get(keys.proposal_id) or "")
    is_calibration = header.get(keys.configuration_type) in rules.calibration_types
    if is_calibration or _any_in(rules.public_proposals, proposal):
        return header[keys.observation_date]
    private = _any_in(rules.private_proposals, proposal) or _any_in(rules.private_file_types, name.basename)
    try:
        return (observed + (PRIVATE if private else timedelta(days=rules.days_until_public))).isoformat()
    except OverflowError:
        raise HeaderValueError(
            frame=name.path,
            check=keys.observation_date,
            expected="a date of this age",
            found=repr(header[keys.observation_date]),
        ) from None


def _any_in(marks: Iterable[str], text: str) -> bool:
    return any(mark in text for mark in marks)
