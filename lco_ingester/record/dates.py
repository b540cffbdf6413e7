"""Dates in FITS headers (FITS standard 4.0, sections 4.4.2.1 and 9.1.1)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from astropy.io import fits

from lco_ingester.file.headers.frame_header import FrameHeader

_MJD_ZERO = datetime(1858, 11, 17)  # noqa: DTZ001  # dates in headers are in UTC, without a time zone
_SIGNED_YEAR = re.compile(r"\+0(?=\d{4}-)")
_OLD = re.compile(r"(\d\d)/(\d\d)/([7-9]\d)")  # a smaller year may be in either century
_LEAP_SECOND = re.compile(r"(T\d\d:?\d\d:?)60(?!\d)")
_END_OF_DAY = re.compile(r"T24(?=$|:00(:00(\.0*)?)?(Z|[+-]\d\d:?\d\d)?$)")


def parse_date(text: str) -> datetime:
    """A date, alone or with a time of day, in UTC without a time zone.

    Any form of ISO 8601. The leap second 60 and the hour 24 become the second and the day that follow. DD/MM/YY, which
    was used before 2000, means 1970 to 1999. Raises ValueError.
    """
    text = _SIGNED_YEAR.sub("", text.strip().upper())
    if old := _OLD.fullmatch(text):
        text = f"19{old[3]}-{old[2]}-{old[1]}"
    text, leap = _LEAP_SECOND.subn(r"\g<1>59", text)
    text, midnight = _END_OF_DAY.subn("T00", text)
    date = datetime.fromisoformat(text)
    try:
        utc = date.astimezone(UTC).replace(tzinfo=None) if date.tzinfo else date
        return utc + timedelta(seconds=leap, days=midnight)
    except OverflowError as error:
        raise ValueError(str(error)) from error


def date_of_mjd(mjd: float) -> datetime:
    """The date of a Modified Julian Date in UTC, to the nearest millisecond, which is the precision of a float.

    Raises ValueError for a number that is not a date.
    """
    try:
        return _MJD_ZERO + timedelta(milliseconds=round(mjd * 86_400_000))
    except OverflowError as error:
        raise ValueError(str(error)) from error


def make_dates_usable(header: FrameHeader | fits.Header | dict[str, Any], keyword: str, from_mjd: bool) -> None:
    """Rewrite the date of observation (`keyword`) if the archive cannot read its form.

    With `from_mjd` a header without one gets the date of MJD-OBS, if its times are in UTC. A date that cannot be read
    stays as it is, and the record refuses it.
    """
    try:
        value = header.get(keyword)
        if isinstance(value, str) and not _plain(value):
            header[keyword] = parse_date(value).isoformat()
        elif from_mjd and keyword not in header and str(header.get("TIMESYS", "UTC")).upper() == "UTC":
            header[keyword] = date_of_mjd(float(header["MJD-OBS"])).isoformat(timespec="milliseconds")
    except (fits.VerifyError, ValueError, LookupError, TypeError):
        return


def _plain(text: str) -> bool:
    """Whether it is a date that other programs can read too."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
