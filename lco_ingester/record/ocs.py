"""The nested record, `ocs`: the cleaned header, and fields for the archive (docs/record.md, "Nested")."""

import re
from typing import Any

from lco_ingester.exceptions import HeaderValueError
from lco_ingester.frame import Record
from lco_ingester.record.cleanup import COMPLETE, FrameName, date_of, number_or_null, rounded_exposure
from lco_ingester.record.dates import plain
from lco_ingester.record.formats import RecordFormat, none_as_integer, nulls, related_frames
from lco_ingester.record.rules import Keywords, RecordRules
from lco_ingester.record.times import RULES as TIMES

RELATED_FRAMES = (
    "L1IDBIAS", "L1IDDARK", "L1IDFLAT", "L1IDSHUT", "L1IDMASK", "L1IDFRNG", "L1IDCAT", "L1IDARC", "L1ID1D", "L1ID2D",
    "L1IDSUM", "TARFILE", "ORIGNAME", "ARCFILE", "FLATFILE", "GUIDETAR",
)  # fmt: skip
# Fields of the record; the keyword of each is the one of the same name in `Keywords`.
TEXTS = (
    "proposal_id", "instrument_id", "target_name", "site_id", "telescope_id", "primary_optical_element",
    "configuration_type",
)  # fmt: skip
NUMBERS = ("exposure_time", "observation_id", "request_id")
DATES = ("observation_date", "public_date")
TYPE_OF_NAME = {("trace", 0): "TRACE", ("arc", 0): "ARC", ("bias", 3): "BIAS", ("bpm", 3): "BPM"}
TYPE_OF_LETTER = {
    "b": "BIAS",
    "d": "DARK",
    "f": "SKYFLAT",
    "g": "GUIDE",
    "s": "STANDARD",
    "w": "LAMPFLAT",
    "x": "EXPERIMENTAL",
}
INTEGERS = ("request_id", "requestgroup_id", "observation_id", "configuration_id")
_ENCLOSURE = "ENCID"  # this keyword and the telescope identify LCO's NRES
_PLAIN_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?")


def type_of_name(basename: str, is_nres: bool) -> str | None:
    """The configuration type from LCO's name of a frame; None if the name does not say it."""
    parts = basename.split("-")
    for (word, position), kind in TYPE_OF_NAME.items():
        if parts[position : position + 1] == [word]:
            return kind
    letter = parts[4][:1] if len(parts) > 4 else ""
    if letter == "e":
        return "TARGET" if is_nres else "SPECTRUM" if "en" in parts[1] else "EXPOSE"
    if letter == "a":
        return "DOUBLE" if is_nres else "ARC"
    return TYPE_OF_LETTER.get(letter)


def _find_type(header: Record, name: FrameName, rules: RecordRules) -> str:
    """Runs before the public date, which depends on the type. The keyword must exist, but may be without a value."""
    keys, keyword = rules.keys, rules.keys.configuration_type
    if name.is_catalogue or keyword not in header or str(header[keyword] or "").strip() not in ("", "UNKNOWN"):
        return ""
    is_nres = any("igl" in str(header.get(each)) for each in (_ENCLOSURE, keys.telescope_id))
    found = type_of_name(name.basename, is_nres)
    if found is None:
        raise HeaderValueError(
            check=keyword, expected="a value, or a file name that gives it", found=repr(name.basename)
        )
    header[keyword] = found
    return "from the file's name, because the header has none"


def _nested(header: Record, rules: RecordRules) -> Record:
    """The cleaned header as `headers`, and the archive's own fields beside it. Raises HeaderValueError."""
    related = rules.related_frame_keys or RELATED_FRAMES
    return {
        "headers": header,
        "related_frame_filenames": [header[keyword] for keyword in related if header.get(keyword)],
        **_fields(header, rules.keys),
        "frame_basename": None,
        "size": "",
    }


def _fields(header: Record, keys: Keywords) -> Record:
    fields: Record = {each: _text(header.get(getattr(keys, each))) for each in TEXTS}
    fields |= {each: number_or_null(header.get(getattr(keys, each))) for each in NUMBERS}
    fields |= {each: _date(header, getattr(keys, each)) for each in DATES}
    return {
        **fields,
        "exposure_time": rounded_exposure(fields["exposure_time"]),
        "reduction_level": header[keys.reduction_level],
        "observation_day": _text(header[keys.observation_day]),
    }


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _date(header: Record, keyword: str) -> str:
    """The date as written, or in a form that every archive reads. Raises HeaderValueError if it is not a date."""
    date, written = date_of(header, keyword), str(header[keyword])
    return written if _PLAIN_DATE.fullmatch(written) and plain(written) == written else date.isoformat()


FORMAT = RecordFormat(
    name="ocs",
    rules=(
        nulls(*INTEGERS), none_as_integer(*INTEGERS), _find_type, *TIMES, *COMPLETE,
        related_frames(RELATED_FRAMES, keep_empty=True),
    ),
    finish=_nested,
)  # fmt: skip
