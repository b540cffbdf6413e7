"""Header → archive record; pure: no I/O, no clock (docs/record.md)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, time, timedelta
from typing import Any

from astropy.io import fits

from lco_ingester.dates import parse_date
from lco_ingester.exceptions import HeaderMissingError, HeaderValueError
from lco_ingester.footprint import footprint, is_set
from lco_ingester.frame import Record
from lco_ingester.header import cards
from lco_ingester.settings import Settings

NULL_TEXTS = ("N/A", "UNKNOWN", "UNSPECIFIED")
INTEGER_KEYWORDS = ("BLKUID", "REQNUM")
RELATED_FRAMES = (
    "L1IDBIAS", "L1IDDARK", "L1IDFLAT", "L1IDSHUT", "L1IDMASK", "L1IDFRNG", "L1IDCAT", "TARFILE", "ORIGNAME", "ARCFILE",
    "FLATFILE", "GUIDETAR",
)  # fmt: skip
OPTIONAL_TEXTS = ("FILTER", "INSTRUME", "SITEID", "TELID")  # the archive refuses '' in these, but not their absence
YEAR = timedelta(days=365)
PRIVATE_YEARS = 999
PACKAGE_REDUCTION_LEVEL = 90


@dataclass(frozen=True, slots=True)
class RecordRules:
    """The site's own part of the rules; the fields are explained in `Settings`."""

    required_headers: tuple[str, ...]
    header_blacklist: tuple[str, ...]
    calibration_types: tuple[str, ...]
    public_proposals: tuple[str, ...]
    private_proposals: tuple[str, ...]
    private_file_types: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings) -> "RecordRules":
        """The rules that the settings hold."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})


def build_record(
    headers: Iterable[fits.Header], basename: str, extension: str, rules: RecordRules, path: str = ""
) -> Record:
    """The record of a frame, as the Archive API takes it but without its `version_set`.

    Raises HeaderMissingError if no HDU holds all required keywords, HeaderValueError if a value is impossible.
    """
    chosen = choose_header(headers, rules.required_headers, path)
    record = _without_nulls(cards(chosen, rules.header_blacklist, path))
    record["RLEVEL"] = _reduction_level(record.get("RLEVEL"), basename, extension)
    if "_cat" in basename:
        record.setdefault("L1IDCAT", basename.replace("_cat", ""))
        record["OBSTYPE"] = "CATALOG"
    observed = observation_date(record, path)
    if not record.get("DAY-OBS"):
        record["DAY-OBS"] = observed.strftime("%Y%m%d")
    if not record.get("L1PUBDAT"):
        record["L1PUBDAT"] = _public_date(record, basename, observed, rules, path)
    area = footprint(record, path)
    _trim_related_frames(record)
    return {**_fit_for_the_archive(record), "basename": basename, "area": area}


def choose_header(headers: Iterable[fits.Header], required: Iterable[str], path: str = "") -> fits.Header:
    """The first header with all required keywords.

    Raises HeaderMissingError, which names what the best one lacks.
    """
    required = tuple(required)
    fewest: tuple[int, tuple[str, ...]] | None = None
    for number, header in enumerate(headers):
        missing = tuple(keyword for keyword in required if keyword not in header)
        if not missing:
            return header
        if fewest is None or len(missing) < len(fewest[1]):
            fewest = number, missing
    found = f"HDU {fewest[0]} without {', '.join(fewest[1])}" if fewest else "no HDU"
    raise HeaderMissingError(frame=path, expected="one HDU with " + ", ".join(required), found=found)


def observation_date(record: Mapping[str, Any], path: str = "") -> datetime:
    """DATE-OBS in UTC, without a time zone (FITS standard 4.0, section 9.1.1: ISO 8601, a date alone included).

    Raises HeaderValueError: the archive takes a frame without a date, and never shows it again.
    """
    value = record.get("DATE-OBS")
    try:
        return parse_date(str(value))
    except ValueError:
        raise HeaderValueError(
            frame=path, check="DATE-OBS", expected="an ISO 8601 date such as 2024-01-31T12:34:56.789", found=repr(value)
        ) from None


def end_of_exposure(record: Mapping[str, Any]) -> datetime:
    """When the shutter closed, in UTC without a time zone: UTSTOP, else DATE-OBS + EXPTIME, else DATE-OBS.

    Raises HeaderValueError if there is no DATE-OBS.
    """
    observed = observation_date(record)
    try:
        stop = time.fromisoformat(str(record.get("UTSTOP"))).replace(tzinfo=None)  # it is in UTC, and may say so
        stopped = datetime.combine(observed.date(), stop)
        return stopped if stopped >= observed else stopped + timedelta(days=1)  # it passed midnight
    except (ValueError, OverflowError):
        pass
    try:
        return observed + timedelta(seconds=float(record.get("EXPTIME") or 0))
    except (TypeError, ValueError, OverflowError):
        return observed


def _without_nulls(values: Iterable[tuple[str, Any]]) -> Record:
    record: Record = {}
    for keyword, value in values:
        null = None if keyword in INTEGER_KEYWORDS else ""
        record[keyword] = null if isinstance(value, str) and value in NULL_TEXTS else value
    return record


def _reduction_level(value: Any, basename: str, extension: str) -> Any:
    if value:
        return value
    if extension == ".tar.gz":
        return PACKAGE_REDUCTION_LEVEL
    last = basename.replace("_cat", "")[-2:]
    return int(last) if last.isascii() and last.isdecimal() else 0


def _public_date(record: Record, basename: str, observed: datetime, rules: RecordRules, path: str) -> Any:
    proposal = str(record.get("PROPID") or "")
    if record.get("OBSTYPE") in rules.calibration_types or _any_in(rules.public_proposals, proposal):
        return record["DATE-OBS"]
    private = _any_in(rules.private_proposals, proposal) or _any_in(rules.private_file_types, basename)
    try:
        return (observed + (PRIVATE_YEARS if private else 1) * YEAR).isoformat()
    except OverflowError:
        raise HeaderValueError(
            frame=path, check="DATE-OBS", expected="a date of this age", found=repr(record["DATE-OBS"])
        ) from None


def _any_in(marks: Iterable[str], text: str) -> bool:
    return any(mark in text for mark in marks)


def _trim_related_frames(record: Record) -> None:
    for keyword in RELATED_FRAMES:
        if keyword not in record:
            continue
        name = str(record[keyword] if record[keyword] is not None else "").split(".", 1)[0]
        if name:
            record[keyword] = name
        else:
            del record[keyword]


def _fit_for_the_archive(record: Record) -> Record:
    """The archive's own limits: no empty text in some fields, and EXPTIME with at most 6 decimals."""
    fit = {key: value for key, value in record.items() if key not in OPTIONAL_TEXTS or is_set(value)}
    if isinstance(fit.get("EXPTIME"), float):
        fit["EXPTIME"] = round(fit["EXPTIME"], 6)
    return fit
