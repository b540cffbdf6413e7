"""Header → archive record; pure: no I/O, no clock (docs/record.md)."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, time, timedelta
from typing import Any

from astropy.io import fits

from lco_ingester.exceptions import HeaderMissingError, HeaderValueError
from lco_ingester.file.headers.frame_header import FrameHeader, Header, cards, json_value
from lco_ingester.frame import Record, StorageFacts
from lco_ingester.record import lco, ocs
from lco_ingester.record.acceptance import refuse_unacceptable
from lco_ingester.record.cleanup import Cards, FrameName, observation_date, with_pointing
from lco_ingester.record.dates import parse_date, parse_time
from lco_ingester.record.footprint import keywords_of_area
from lco_ingester.record.footprint.limits import describes_sky
from lco_ingester.record.rules import Keywords, RecordRules
from lco_ingester.record.times import TIME_SCALE
from lco_ingester.record.values import is_set

FORMATS = {each.name: each for each in (lco.FORMAT, ocs.FORMAT)}
# The fields of a nested record that an announcement has in addition to the header.
_ANNOUNCED = ("basename", "area", "version_set", "frameid", "filename", "url")

logger = logging.getLogger(__name__)


def build_record(headers: Iterable[Header], basename: str, extension: str, rules: RecordRules) -> Record:
    """The record of a frame for the Archive API, without its `version_set`.

    Raises HeaderMissingError if no HDU holds all required keywords, HeaderValueError if a value is impossible.
    """
    chosen = choose_header(headers, rules.required_headers)
    record_format, name = FORMATS[rules.archive_record_format], FrameName(basename, extension)
    values = dict(cards_of(chosen, rules.header_blacklist))
    _refuse_unclear(chosen, rules)
    record = record_format.record(values.items(), name, rules)
    _refuse_lost(values, record, rules)
    refuse_unacceptable(header_of(record), record, rules.keys)
    if record["area"] is not None and (why := doubt_of_area(chosen, rules.keys)):
        logger.warning("%s: no footprint: %s", basename + extension, why)
        record["area"] = None
    return record


def choose_header(headers: Iterable[Header], required: Iterable[str]) -> Header:
    """The first header with all required keywords.

    Raises HeaderMissingError, which names the keywords that the best header lacks.
    """
    required = tuple(required)
    fewest: tuple[int, tuple[str, ...]] | None = None
    for number, header in enumerate(headers):
        missing = lacking(header, required)
        if not missing:
            return header
        if fewest is None or len(missing) < len(fewest[1]):
            fewest = number, missing
    found = f"HDU {fewest[0]} without {', '.join(fewest[1])}" if fewest else "no HDU"
    raise HeaderMissingError(expected="one HDU with " + ", ".join(required), found=found)


def lacking(header: Header, required: Iterable[str]) -> tuple[str, ...]:
    """The required keywords that a header lacks."""
    return tuple(keyword for keyword in required if keyword not in header)


def doubt_of_area(header: Header, keys: Keywords) -> str:
    """Why the area of a header is not certain although its numbers give one; '' if it is certain."""
    if not isinstance(header, FrameHeader):
        return ""
    if unclear := [keyword for keyword in header.without_value if describes_sky(keyword)]:
        return f"{', '.join(unclear)}: the value is not clear"
    if not header.repeated:
        return ""
    doubtful = sorted(keywords_of_area(with_pointing(header, keys), header.repeated))
    return f"{', '.join(doubtful)}: repeated with another value" if doubtful else ""


def _refuse_unclear(header: Header, rules: RecordRules) -> None:
    """Raises HeaderValueError for a card whose value is not clear, where a default would be wrong in silence."""
    if not isinstance(header, FrameHeader):
        return
    for keyword in (rules.keys.public_date, TIME_SCALE):
        if keyword in header.without_value:
            raise HeaderValueError(check=keyword, expected="a value by the FITS standard", found="a card without one")


def _refuse_lost(values: Mapping[str, Any], record: Record, rules: RecordRules) -> None:
    """Raises HeaderValueError if a required keyword of the header is not in the record itself.

    Exceptions are the blacklist, and the clean-up rules for a keyword that is not set.
    """
    header = header_of(record)
    for keyword in rules.required_headers:
        if keyword in rules.header_blacklist or keyword in header or keyword.upper() in header:
            continue
        value = values.get(keyword.upper(), values.get(keyword))
        if is_set(value) and str(value).strip() not in rules.null_header_values:
            raise HeaderValueError(check=keyword, expected="a value in the record", found="none after the clean-up")


def header_of(record: Record) -> Record:
    """The cleaned header in a record of either format."""
    nested = record.get("headers")
    return nested if isinstance(nested, dict) else record


def announcement(record: Record) -> Record:
    """An archived record as it is announced: flat, in either format."""
    header = header_of(record)
    return record if header is record else {**header, **{each: record.get(each) for each in _ANNOUNCED}}


def facts_of(record: Record, keys: Keywords, section: str = "") -> StorageFacts:
    """What later steps need of a record; `section` replaces the folder that the record itself gives.

    Raises HeaderValueError if it has no date.
    """
    header = header_of(record)
    section = section or _section(header, str(record.get("basename", "")), keys)
    place = (keys.site_id, keys.instrument_id, keys.observation_day)[: 2 if section == "bpm" else 3]
    return StorageFacts(
        key_prefix={keyword: header.get(keyword) for keyword in place},
        folder=section,
        observed=observation_date(header, keys).isoformat(),
        ended=end_of_exposure(header, keys).isoformat(),
    )


def end_of_exposure(header: Mapping[str, Any], keys: Keywords) -> datetime:
    """The end of the exposure, in UTC without a time zone: UTSTOP, else DATE-OBS + EXPTIME, else DATE-OBS.

    Raises HeaderValueError if there is no DATE-OBS.
    """
    observed = observation_date(header, keys)
    stopped = _stop(str(header.get(keys.observation_end_time)), observed)
    if stopped is not None:
        return stopped
    try:
        return observed + timedelta(seconds=float(header.get(keys.exposure_time) or 0))
    except (TypeError, ValueError, OverflowError):
        return observed


def _stop(written: str, observed: datetime) -> datetime | None:
    """The end from a time of day, in UTC on this day or the next, or from a date with a time."""
    with suppress(ValueError, OverflowError):
        stopped = datetime.combine(observed, time()) + parse_time(written)
        return stopped if stopped >= observed else stopped + timedelta(days=1)  # the exposure passed midnight
    with suppress(ValueError, OverflowError):
        return parse_date(written)
    return None


def cards_of(header: Header, blacklist: tuple[str, ...]) -> Cards:
    """Keyword and JSON value of each card that is not in `blacklist`. Raises HeaderValueError if a card has none."""
    if isinstance(header, FrameHeader):
        return header.cards(blacklist)
    return cards(header, blacklist) if isinstance(header, fits.Header) else _items(header, blacklist)


def _items(header: Mapping[str, Any], blacklist: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """The same for a mapping: metadata, or the result of a site's reader."""
    for keyword, value in header.items():
        if not keyword or keyword in blacklist:
            continue
        if not isinstance(keyword, str) or isinstance(value, (Mapping, list, tuple, set)):
            raise HeaderValueError(
                check=str(keyword), expected="a text, a number, a flag or null", found=type(value).__name__
            )
        if not _is_storable(keyword) or not _is_storable(value):
            raise HeaderValueError(
                check=ascii(keyword)[1:-1], expected="text in UTF-8 without a NUL", found=ascii(value)[:200]
            )
        yield keyword, json_value(value)


def _is_storable(value: Any) -> bool:
    """Whether the archive's database can hold a value: a text without a NUL and without half a character."""
    return not isinstance(value, str) or not re.search("[\0\ud800-\udfff]", value)


def _section(header: Mapping[str, Any], basename: str, keys: Keywords) -> str:
    """The folder that the file is stored in (docs/record.md, "The S3 object")."""
    if "BPM" in (header.get(keys.configuration_type), header.get("EXTNAME")):
        return "bpm"
    dashed = basename.replace("_", "-")
    if dashed.startswith("bpm-") or dashed.endswith("-bpm") or "-bpm-" in dashed:
        return "bpm"
    with suppress(ValueError):
        if float(str(header.get(keys.reduction_level))) == 0:
            return "raw"
    return "processed"
