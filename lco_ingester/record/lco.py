"""The flat record, `lco`: the cleaned header itself (docs/record.md, "Clean-up")."""

from lco_ingester.frame import Record
from lco_ingester.record.cleanup import COMPLETE, FrameName, date_of, number_or_null, rounded_exposure
from lco_ingester.record.dates import plain
from lco_ingester.record.formats import RecordFormat, none_as_integer, nulls, related_frames
from lco_ingester.record.rules import RecordRules
from lco_ingester.record.times import RULES as TIMES
from lco_ingester.record.values import is_set

RELATED_FRAMES = (
    "L1IDBIAS", "L1IDDARK", "L1IDFLAT", "L1IDSHUT", "L1IDMASK", "L1IDFRNG", "L1IDCAT", "TARFILE", "ORIGNAME", "ARCFILE",
    "FLATFILE", "GUIDETAR",
)  # fmt: skip
# What the archive reads of a flat record, by the field of `Keywords`: under LCO's keywords, whatever a site calls them.
ARCHIVE_KEYWORDS = {
    "reduction_level": "RLEVEL", "observation_day": "DAY-OBS", "observation_date": "DATE-OBS", "proposal_id": "PROPID",
    "instrument_id": "INSTRUME", "target_name": "OBJECT", "site_id": "SITEID", "telescope_id": "TELID",
    "exposure_time": "EXPTIME", "primary_optical_element": "FILTER", "public_date": "L1PUBDAT",
    "configuration_type": "OBSTYPE", "observation_id": "BLKUID", "request_id": "REQNUM",
}  # fmt: skip
OPTIONAL_TEXTS = ("FILTER", "INSTRUME", "SITEID", "TELID")  # the archive refuses '' in these, but not their absence
EXPOSURE_TIME = "EXPTIME"
NUMBERS = (EXPOSURE_TIME, "BLKUID", "REQNUM")  # the archive refuses '' in these, but not null
INTEGERS = ("observation_id", "request_id")


def _readable_public_date(header: Record, _: FrameName, rules: RecordRules) -> str:
    """Raises HeaderValueError if it is not a date: the archive would refuse it after the upload."""
    date_of(header, rules.keys.public_date)
    header[rules.keys.public_date] = plain(header[rules.keys.public_date])
    return "the archive reads it in this form"


def _as_the_archive_reads(header: Record, _: FrameName, rules: RecordRules) -> str:
    pairs = [(keyword, getattr(rules.keys, name)) for name, keyword in ARCHIVE_KEYWORDS.items()]
    header |= {keyword: header[own] for keyword, own in pairs if own in header}
    return "the archive reads it under this keyword"


def _optional_texts(header: Record, _: FrameName, __: RecordRules) -> str:
    for keyword in OPTIONAL_TEXTS:
        if keyword in header and not is_set(header[keyword]):
            del header[keyword]
    return "the archive refuses an empty text, but not a missing keyword"


def _empty_numbers(header: Record, _: FrameName, __: RecordRules) -> str:
    header |= {keyword: number_or_null(header[keyword]) for keyword in NUMBERS if keyword in header}
    return "the archive refuses an empty text for a number, but not null"


def _exposure(header: Record, _: FrameName, __: RecordRules) -> str:
    if EXPOSURE_TIME in header:
        header[EXPOSURE_TIME] = rounded_exposure(header[EXPOSURE_TIME])
    return "the archive holds six decimals"


FORMAT = RecordFormat(
    name="lco",
    rules=(
        nulls(*INTEGERS), none_as_integer(*INTEGERS), *TIMES, *COMPLETE, _readable_public_date,
        related_frames(RELATED_FRAMES, keep_empty=False), _as_the_archive_reads, _optional_texts, _empty_numbers,
        _exposure,
    ),
    finish=lambda header, _: header,
)  # fmt: skip
