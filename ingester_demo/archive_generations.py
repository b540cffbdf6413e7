"""The two generations of Archive API: how their records are checked, kept and shown.

Both keep a frame's fields by LCO's keywords. The rules of the nested records were observed on a running archive.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ingester_demo.archive_answers import SHOWN_NAMES
from ingester_demo.archive_frames import Posting
from ingester_demo.archive_rules import (
    FIELDS,
    Fields,
    ServerFaultError,
    area,
    exposure_time,
    flat_posting,
    integer,
    moment,
    text,
)

# In the real archive this list is a setting of the site.
CONFIGURATION_TYPES = (
    *("ARC", "BIAS", "BPM", "CATALOG", "DARK", "DOUBLE", "EXPERIMENTAL", "EXPOSE", "GUIDE", "LAMPFLAT", "SKYFLAT"),
    *("SPECTRUM", "STANDARD", "TARGET", "TRACE"),
)
EXTENSIONS = (".fits", ".fits.fz", ".tar.gz", ".pdf", ".jpg", ".jpeg")
NESTED_NAMES = {
    "RLEVEL": "reduction_level",
    "DAY-OBS": "observation_day",
    "DATE-OBS": "observation_date",
    "PROPID": "proposal_id",
    "INSTRUME": "instrument_id",
    "OBJECT": "target_name",
    "SITEID": "site_id",
    "TELID": "telescope_id",
    "EXPTIME": "exposure_time",
    "FILTER": "primary_optical_element",
    "L1PUBDAT": "public_date",
    "OBSTYPE": "configuration_type",
    "BLKUID": "observation_id",
    "REQNUM": "request_id",
}


@dataclass(frozen=True)
class Generation:
    """How records of one kind are checked (`fields`), kept (`posting`) and shown (`shown`: names by LCO's keywords).

    A record with an extension that is not in `extensions` is stored, and then the archive fails; None: it never fails.
    """

    fields: Fields
    posting: Callable[[dict[str, Any]], Posting]
    shown: Mapping[str, str]
    extensions: tuple[str, ...] | None = None

    def fail_on_unknown_extensions(self, record: dict[str, Any]) -> None:
        """Raises ServerFaultError."""
        known = self.extensions
        if known is not None and any(each["extension"] not in known for each in record["version_set"]):
            raise ServerFaultError("an extension that the archive does not know")


def header(value: Any) -> str | None:
    """A JSON object."""
    return None if isinstance(value, dict) else "Expected a JSON object."


def names(value: Any) -> str | None:
    """A list of texts, none of them empty."""
    if not isinstance(value, list):
        return "Expected a list of items."
    return next((found for each in value if (found := text()(each)) is not None), None)


def day(value: Any) -> str | None:
    """`YYYYMMDD`."""
    is_day = isinstance(value, str) and len(value) == 8 and value.isdecimal() and moment(value) is None
    return None if is_day else "Date has wrong format. Use YYYY-MM-DD, YYYYMMDD."


def one_of(*choices: str) -> Callable[[Any], str | None]:
    """One of these texts."""
    return lambda value: None if value in choices else f'"{value}" is not a valid choice.'


def nested_posting(record: dict[str, Any]) -> Posting:
    """What the archive keeps of a nested record."""
    fields = {flat: record[nested] for flat, nested in NESTED_NAMES.items() if nested in record}
    return Posting(record["basename"], record["area"], record["version_set"], fields, record["headers"])


NESTED_FIELDS: Fields = {
    "basename": (True, text()),
    "area": (True, area),
    "headers": (True, header),
    "observation_day": (True, day),
    "observation_date": (False, moment),
    "public_date": (False, moment),
    "configuration_type": (True, one_of(*CONFIGURATION_TYPES)),
    "related_frame_filenames": (True, names),
    **dict.fromkeys(("proposal_id", "instrument_id", "target_name", "site_id"), (False, text(blank=True))),
    **dict.fromkeys(("telescope_id", "primary_optical_element"), (False, text(blank=True))),
    "reduction_level": (False, integer),
    "exposure_time": (False, exposure_time),
    "observation_id": (False, integer),
    "request_id": (False, integer),
}
THUMBNAIL_FIELDS = NESTED_FIELDS | {
    "frame_basename": (True, text()),
    "size": (True, one_of("small", "medium", "large")),
}

LCO = Generation(FIELDS, flat_posting, SHOWN_NAMES)
OCS = Generation(NESTED_FIELDS, nested_posting, NESTED_NAMES, EXTENSIONS)
THUMBNAIL = Generation(THUMBNAIL_FIELDS, nested_posting, NESTED_NAMES)
