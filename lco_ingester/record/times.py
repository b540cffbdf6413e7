"""The cleanup rules of dates and times: when, by its header, was the frame observed? (docs/record.md, "Dates")."""

import math
from contextlib import suppress
from datetime import datetime, time, timedelta
from typing import Any

from lco_ingester.exceptions import HeaderValueError
from lco_ingester.frame import Record
from lco_ingester.record.cleanup import CleanupRule, Doubt, FrameName, observation_date
from lco_ingester.record.dates import (
    date_of_mjd,
    has_zone,
    is_day,
    parse_date,
    parse_time,
    plain,
    time_scale,
    to_utc,
)
from lco_ingester.record.rules import RecordRules
from lco_ingester.record.values import is_set

TIME_SCALE = "TIMESYS"
# Where the time of day is if the date of observation is a date alone.
START_TIMES = ("TIME-OBS", "UTSTART", "UT")
# Other times in the scale of TIMESYS (FITS standard 4.0, section 9.5).
TIMES = ("TIME-OBS", "DATE-BEG", "DATE-AVG", "DATE-END")
MJDS = ("MJD-OBS", "MJD-BEG", "MJD-AVG", "MJD-END")
# A keyword that begins so is in universal time, whatever TIMESYS says.
UNIVERSAL = "UT"


def start_time(header: Record, _: FrameName, rules: RecordRules) -> str:
    """A date alone gets the time of day that is under another keyword. Raises HeaderValueError."""
    keyword = rules.keys.observation_date
    times = {each: header[each] for each in START_TIMES if is_set(header.get(each))}
    day = observation_date(header, rules.keys).date().isoformat()
    if not is_day(header[keyword]):
        return ""
    if not times:
        return Doubt(f"{keyword} has no time of day, and none of {', '.join(START_TIMES)} has it: midnight is recorded")
    names = " and ".join(times)
    if _scale(header) is not None and any(each.startswith(UNIVERSAL) for each in times):
        return Doubt(f"{keyword} has no time of day, and {names} may be in another time scale than {TIME_SCALE}")
    try:
        written = [_time_of_day(value, day) for value in times.values()]
        seconds = {parse_time(each) // timedelta(seconds=1) for each in written}
    except ValueError as error:
        return Doubt(f"{keyword} has no time of day, and {names} cannot be read: {error}")
    if len(seconds) > 1:
        return Doubt(f"{keyword} has no time of day, and {names} differ")
    header[keyword] = f"{day}T{max(written, key=len)}"
    return f"{keyword} has no time of day; it is taken from {names}"


def readable_date(header: Record, _: FrameName, rules: RecordRules) -> str:
    """Raises HeaderValueError if there is no date of observation."""
    observation_date(header, rules.keys)
    header[rules.keys.observation_date] = plain(header[rules.keys.observation_date])
    return "the archive reads it in this form"


def universal_time(header: Record, _: FrameName, rules: RecordRules) -> str:
    """Times in another time scale become UTC. Raises HeaderValueError if that cannot be."""
    scale, written, keyword = _scale(header), header.get(TIME_SCALE), rules.keys.observation_date
    if scale is None:
        return ""
    date = header[keyword]
    try:
        if has_zone(date):
            raise ValueError("a time zone")
        observed = observation_date(header, rules.keys)
        changed = {keyword: date if is_day(date) else _text(to_utc(observed, scale))}
    except ValueError as error:
        expected = f"a date that {TIME_SCALE}={written!r} allows"
        raise HeaderValueError(check=keyword, expected=expected, found=f"{date!r}: {error}") from None
    for each in (rules.keys.observation_end_time, *TIMES):
        if each != keyword and not each.startswith(UNIVERSAL) and isinstance(header.get(each), str):
            changed[each] = _in_utc(header[each], observed, scale)
    changed |= {each: _mjd_in_utc(header[each], scale) for each in MJDS if each in header}
    header |= changed
    header[TIME_SCALE] = "UTC"
    return f"the archive's times are in UTC, and {TIME_SCALE} was {written}"


RULES: tuple[CleanupRule, ...] = (start_time, universal_time, readable_date)


def _scale(header: Record) -> str | None:
    """The time scale of the header, None for UTC. Raises HeaderValueError if it is not known."""
    written = header.get(TIME_SCALE)
    try:
        return time_scale(written) if is_set(written) else None
    except ValueError:
        raise HeaderValueError(
            check=TIME_SCALE, expected="a time scale that can be converted, such as UTC or TAI", found=repr(written)
        ) from None


def _time_of_day(value: Any, day: str) -> str:
    """The time of day in a text, which may have the same day before it. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"not a time of day: {value!r}")
    text = value.strip(" ")
    if text.startswith(day) and text[len(day) : len(day) + 1] in ("T", " "):
        text = text[len(day) + 1 :]
    if has_zone(text) and not text.endswith("Z"):
        raise ValueError(f"a time zone: {value!r}")
    return text


def _in_utc(written: str, observed: datetime, scale: str) -> str:
    """A date or a time of day in UTC; as it is if it cannot be read, or is a day or has a time zone."""
    if is_day(written) or has_zone(written):
        return written
    with suppress(ValueError):
        return _text(to_utc(parse_date(written), scale))
    with suppress(ValueError):
        midnight = datetime.combine(observed, time())
        return _text(to_utc(midnight + parse_time(written), scale)).partition("T")[2]
    return written


def _mjd_in_utc(mjd: Any, scale: str) -> Any:
    """A Modified Julian Date in UTC; as it is if it is not a number."""
    if isinstance(mjd, bool) or not isinstance(mjd, (int, float)) or not math.isfinite(mjd):
        return mjd
    with suppress(ValueError):
        date = date_of_mjd(mjd)
        return mjd - (date - to_utc(date, scale)) / timedelta(days=1)
    return mjd


def _text(date: datetime) -> str:
    """With as many decimals as there are."""
    return date.isoformat().rstrip("0") if date.microsecond else date.isoformat()
