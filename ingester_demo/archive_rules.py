"""What the demo's Archive API accepts: the field rules of the flat (`lco`) records.

The rules were observed on a running archive. Refusals have its shape, `{field: [messages]}`, and write header keywords
with `_` instead of `-`, as it does.
"""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from ingester_demo.archive_frames import Posting

Errors = dict[str, Any]
Check = Callable[[Any], str | None]
Fields = dict[str, tuple[bool, Check]]

REQUIRED = "This field is required."
BLANK = "This field may not be blank."
NULL = "This field may not be null."
MAX_INTEGER = 2147483647
MAX_BASENAME = 1000


class ServerFaultError(Exception):
    """The real archive fails on this record: it answers 500 and does not name the error."""


def text(maximum: int | None = None, *, blank: bool = False, null: bool = False) -> Check:
    """A check for a text of at most `maximum` characters; numbers are accepted, as in the real archive."""

    def check(value: Any) -> str | None:
        if value is None:
            return None if null else NULL
        if isinstance(value, bool | list | dict):
            return "Not a valid string."
        if str(value).strip() == "":
            return None if blank else BLANK
        if maximum is not None and len(str(value)) > maximum:
            return f"Ensure this field has no more than {maximum} characters."
        return None

    return check


def integer(value: Any) -> str | None:
    """0..2147483647, null, or a text of digits."""
    if value is None:
        return None
    digits = re.fullmatch(r"\s*(-?\d+)(\.0*)?\s*", str(value))
    if digits is None:
        return "A valid integer is required."
    if not 0 <= int(digits[1]) <= MAX_INTEGER:
        return f"Ensure this value is within 0 and {MAX_INTEGER}."
    return None


def exposure_time(value: Any) -> str | None:
    """Decimal(13,6), in seconds: at most 6 decimal places and 7 digits before them, counted as written."""
    if value is None:
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return "A valid number is required."
    exponent = number.as_tuple().exponent
    if isinstance(value, bool) or not isinstance(exponent, int):  # a text exponent: NaN or infinity
        return "A valid number is required."
    if -exponent > 6:
        return "Ensure that there are no more than 6 decimal places."
    if number.adjusted() + 1 > 7:
        return "Ensure that there are no more than 7 digits before the decimal point."
    return None


def moment(value: Any) -> str | None:
    """An ISO date and time, or null (the archive accepts the frame but never shows it)."""
    if value is None:
        return None
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return "Datetime has wrong format. Use YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
    return None


def area(value: Any) -> str | None:
    """A GeoJSON Polygon of closed rings of [RA, Dec] in degrees, or null.

    Raises ServerFaultError for a Point and for a ring exactly 180 degrees wide, because the real archive fails on them.
    """
    if value is None:
        return None
    if not isinstance(value, dict) or value.get("type") not in {"Polygon", "Point"}:
        return "Must be a GeoJSON Polygon or null."
    if value["type"] == "Point":
        raise ServerFaultError("area is a Point")
    rings = value.get("coordinates")
    if not isinstance(rings, list) or not rings or not all(_is_closed_ring(ring) for ring in rings):
        return "A Polygon is made of closed rings of four or more [RA, Dec] positions in degrees."
    longitudes = [position[0] for position in rings[0]]
    if max(longitudes) - min(longitudes) == 180:
        raise ServerFaultError("area is 180 degrees wide")
    return None


def _is_closed_ring(ring: Any) -> bool:
    if not isinstance(ring, list) or len(ring) < 4 or ring[0] != ring[-1]:
        return False
    return all(_is_position(each) for each in ring)


def _is_position(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in value):
        return False
    longitude, latitude = value
    return bool(-180 <= longitude <= 360 and -90 <= latitude <= 90)


FIELDS: Fields = {
    "basename": (True, text()),
    "area": (True, area),
    "DAY-OBS": (True, text()),
    "DATE-OBS": (False, moment),
    "L1PUBDAT": (False, moment),
    "PROPID": (False, text(blank=True, null=True)),
    "OBJECT": (False, text(blank=True, null=True)),
    "OBSTYPE": (False, text(blank=True, null=True)),
    "INSTRUME": (False, text()),
    "SITEID": (False, text(3)),
    "TELID": (False, text(4)),
    "FILTER": (False, text()),
    "EXPTIME": (False, exposure_time),
    "RLEVEL": (False, integer),
    "BLKUID": (False, integer),
    "REQNUM": (False, integer),
}
"""The fields that are columns in the archive: whether required, and the check of a value."""

VERSION_FIELDS: Fields = {
    "key": (True, text(32)),
    "md5": (True, text(32)),
    "extension": (True, text(20, blank=True)),
}


def field_errors(record: dict[str, Any], fields: Fields = FIELDS) -> Errors:
    """All errors of a record, by field; `version_set` has one dictionary a version. Empty: no errors.

    Raises ServerFaultError where the real archive answers 500.
    """
    _fail_where_the_archive_fails(record)
    errors: Errors = {name.replace("-", "_"): found for name, found in _check(record, fields).items()}
    versions = record["version_set"]
    if not isinstance(versions, list) or not versions:
        return errors | {"version_set": ["Expected a list of one or more versions."]}
    found = [
        _check(each, VERSION_FIELDS) if isinstance(each, dict) else {"non_field_errors": ["Expected an object."]}
        for each in versions
    ]
    return errors | ({"version_set": found} if any(found) else {})


def flat_posting(record: dict[str, Any]) -> Posting:
    """What the archive keeps of a flat record."""
    headers = {name: value for name, value in record.items() if name not in {"basename", "area", "version_set"}}
    fields = {name: value for name, value in headers.items() if name in FIELDS}
    return Posting(record["basename"], record["area"], record["version_set"], fields, headers)


def _fail_where_the_archive_fails(record: dict[str, Any]) -> None:
    if "version_set" not in record:
        raise ServerFaultError("version_set is missing")
    if "" in record:
        raise ServerFaultError("a header keyword is empty")
    if len(str(record.get("basename", ""))) > MAX_BASENAME:
        raise ServerFaultError("basename is too long")
    if any(isinstance(value, str) and "\0" in value for value in record.values()):
        raise ServerFaultError("a value holds a NUL")


def _check(values: dict[str, Any], fields: dict[str, tuple[bool, Check]]) -> dict[str, list[str]]:
    errors = {}
    for name, (required, check) in fields.items():
        message = check(values[name]) if name in values else REQUIRED if required else None
        if message is not None:
            errors[name] = [message]
    return errors
