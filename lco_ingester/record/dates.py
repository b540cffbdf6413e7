"""Dates in FITS headers (FITS standard 4.0, sections 9.1.1 and 9.2.1); docs/record.md, "Dates".

A text that this grammar does not know is not a date, even if other readers accept it.
"""

import re
import warnings
from datetime import date, datetime, timedelta
from typing import Any

from astropy.io import fits
from astropy.time import Time
from astropy.utils import iers

from lco_ingester.file.headers.frame_header import FrameHeader

_MJD_ZERO = datetime(1858, 11, 17)  # noqa: DTZ001  # dates in headers are in UTC and do not say so
_CLOCK = (
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
    r"(?P<fraction>\.[0-9]+)?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_TIME = re.compile(_CLOCK)
_DATE = re.compile(rf"(?P<day>(?:\+0)?[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?:[T ](?P<clock>{_CLOCK}))?")
_OLD = re.compile(r"([0-9]{2})/([0-9]{2})/([7-9][0-9])")  # a smaller year may be of either century
# What every reader of dates understands, and understands in the same way.
_PLAIN = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T(?!24)[0-9]{2}:[0-9]{2}:(?!60)[0-9]{2}(\.[0-9]{1,12})?Z?)?",
)
_NIGHT = re.compile(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})")

_UNIVERSAL = ("UTC", "UT", "GMT", "UT1")  # UT1 is within 0.9 s of UTC
_SCALES = {
    **dict.fromkeys(("TAI", "IAT", "GPS"), "tai"), **dict.fromkeys(("TT", "TDT", "ET"), "tt"),
    "TDB": "tdb", "TCB": "tcb", "TCG": "tcg",
}  # fmt: skip
_GPS_BEHIND_TAI = timedelta(seconds=19)
_TIME_SCALE = re.compile(r"([A-Z0-9]+) *(?:\([^()]*\))?")  # with the realisation of it, as in TT(BIPM)


def parse_date(text: str) -> datetime:
    """A date, alone or with a time of day, in UTC without a time zone. Raises ValueError for any other text.

    The leap second 60 and the hour 24 become the second and the day that follow.
    """
    text = text.strip(" ")
    if old := _OLD.fullmatch(text):
        return datetime(1900 + int(old[3]), int(old[2]), int(old[1]))  # noqa: DTZ001
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"not a FITS date: {text!r}")
    day = datetime.fromisoformat(found["day"].removeprefix("+0"))
    return _sum(day, _since_midnight(found)) if found["clock"] else day


def parse_time(text: str) -> timedelta:
    """A time of day, since midnight in UTC. Raises ValueError for any other text."""
    found = _TIME.fullmatch(text.strip(" "))
    if found is None:
        raise ValueError(f"not a time of day: {text!r}")
    return _since_midnight(found)


def parse_night(value: Any) -> str:
    """The night, `YYYYMMDD`, of a text `YYYYMMDD` or `YYYY-MM-DD`, or of a number of eight digits.

    Raises ValueError for anything else.
    """
    is_number = isinstance(value, int) and not isinstance(value, bool)
    found = _NIGHT.fullmatch(str(value).strip(" ")) if is_number or isinstance(value, str) else None
    if found is None:
        raise ValueError(f"not a night: {value!r}")
    date(int(found[1]), int(found[3]), int(found[4]))
    return found[1] + found[3] + found[4]


def plain(text: str) -> str:
    """The date in a form that every archive reads; as it is written, if it is in one. Raises ValueError."""
    utc = parse_date(text)
    return text if _PLAIN.fullmatch(text) else utc.isoformat()


def is_day(text: str) -> bool:
    """Whether it is a date without a time of day."""
    text = text.strip(" ")
    found = _DATE.fullmatch(text)
    return _OLD.fullmatch(text) is not None if found is None else found["clock"] is None


def has_zone(text: str) -> bool:
    """Whether it is a date or a time of day with a time zone."""
    found = _DATE.fullmatch(text.strip(" ")) or _TIME.fullmatch(text.strip(" "))
    return found is not None and found["zone"] is not None


def time_scale(timesys: Any) -> str | None:
    """The time scale that a TIMESYS names, as `to_utc` takes it; None for UTC. Raises ValueError for others."""
    found = _TIME_SCALE.fullmatch(timesys.strip(" ").upper()) if isinstance(timesys, str) else None
    name = found[1] if found else ""
    if name in _UNIVERSAL:
        return None
    if name not in _SCALES:
        raise ValueError(f"not a time scale that can be converted: {timesys!r}")
    return name


def to_utc(instant: datetime, scale: str) -> datetime:
    """The instant in UTC. Raises ValueError for one that is beyond the calendar then."""
    if scale == "GPS":
        instant = _sum(instant, _GPS_BEHIND_TAI)
    # No network: astropy would look for new leap seconds.
    with warnings.catch_warnings(), iers.conf.set_temp("auto_download", False):
        warnings.simplefilter("ignore")  # of years that are far from ours, and of an old list of leap seconds
        return parse_date(Time(instant, scale=_SCALES[scale], precision=6).utc.isot)


def date_of_mjd(mjd: float) -> datetime:
    """The date of a Modified Julian Date in UTC, to the nearest millisecond, which is the precision of a float.

    Raises ValueError for a number that is not a date.
    """
    try:
        return _MJD_ZERO + timedelta(milliseconds=round(mjd * 86_400_000))
    except OverflowError as error:
        raise ValueError(str(error)) from error


def add_date_of_mjd(header: FrameHeader | fits.Header | dict[str, Any], keyword: str) -> None:
    """Give a header without a date of observation (`keyword`) the date of MJD-OBS, in the header's own time scale.

    If MJD-OBS cannot be read, the header stays as it is.
    """
    try:
        if keyword not in header:
            header[keyword] = date_of_mjd(float(header["MJD-OBS"])).isoformat(timespec="milliseconds")
    except (fits.VerifyError, ValueError, LookupError, TypeError):
        return


def _since_midnight(found: re.Match[str]) -> timedelta:
    """Raises ValueError for a time of day that no clock shows."""
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"])
    fraction = int((found["fraction"] or ".")[1:7].ljust(6, "0"))
    since = timedelta(hours=hour, minutes=minute, seconds=second, microseconds=fraction)
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and since > timedelta(hours=24)):
        raise ValueError(f"not a time of day: {found[0]!r}")
    return since - _zone(found["zone"] or "Z")


def _zone(written: str) -> timedelta:
    """How far the zone is ahead of UTC. Raises ValueError if no zone is."""
    if written == "Z":
        return timedelta()
    hours, minutes = int(written[1:3]), int(written[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError(f"not a time zone: {written!r}")
    return timedelta(hours=hours, minutes=minutes) * (-1 if written[0] == "-" else 1)


def _sum(instant: datetime, duration: timedelta) -> datetime:
    try:
        return instant + duration
    except OverflowError as error:
        raise ValueError(str(error)) from error
