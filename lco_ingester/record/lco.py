"""The flat record, `lco`: the cleaned header itself (docs/record.md, "Clean-up")."""

from lco_ingester.frame import Record
from lco_ingester.record.cleanup import (
    COMPLETE,
    Cards,
    CleanupRule,
    FrameName,
    area_of,
    cleaned,
    date_of,
    empty_nulls,
    none_as_integer,
    number_or_null,
    related_frame,
    rounded_exposure,
)
from lco_ingester.record.dates import plain
from lco_ingester.record.rules import Keywords, RecordRules
from lco_ingester.record.times import RULES as TIMES
from lco_ingester.record.values import is_set
from lco_ingester.settings import Settings

RELATED_FRAMES = (
    "L1IDBIAS", "L1IDDARK", "L1IDFLAT", "L1IDSHUT", "L1IDMASK", "L1IDFRNG", "L1IDCAT", "TARFILE", "ORIGNAME", "ARCFILE",
    "FLATFILE", "GUIDETAR",
)  # fmt: skip
# What the archive reads of a flat record; it knows these by LCO's own keywords, which are the settings' defaults.
READ_BY_THE_ARCHIVE = (
    "reduction_level", "observation_day", "observation_date", "proposal_id", "instrument_id", "target_name", "site_id",
    "telescope_id", "exposure_time", "primary_optical_element", "public_date", "configuration_type", "observation_id",
    "request_id",
)  # fmt: skip
LCO = Keywords.of(Settings.model_construct())
# The archive refuses '' in these, but not their absence.
OPTIONAL_TEXTS = (LCO.primary_optical_element, LCO.instrument_id, LCO.site_id, LCO.telescope_id)
# The archive refuses '' in these too, but not null.
NUMBERS = (LCO.exposure_time, LCO.observation_id, LCO.request_id)


def lco_record(cards: Cards, name: FrameName, rules: RecordRules) -> Record:
    """The cleaned header, `basename` and `area`.

    Where the site has another keyword, the archive's own is there too, with the same value. Raises HeaderValueError.
    """
    header = cleaned(cards, RULES, name, rules)
    return {**header, "basename": name.basename, "area": area_of(header, rules.keys, name)}


def _nulls(header: Record, _: FrameName, rules: RecordRules) -> str:
    return empty_nulls(header, rules.null_header_values, _integers(rules.keys))


def _none_as_integer(header: Record, _: FrameName, rules: RecordRules) -> str:
    return none_as_integer(header, _integers(rules.keys))


def _integers(keys: Keywords) -> tuple[str, ...]:
    return keys.observation_id, keys.request_id


def _readable_public_date(header: Record, _: FrameName, rules: RecordRules) -> str:
    """Raises HeaderValueError if it is no date: the archive would refuse it after the upload."""
    date_of(header, rules.keys.public_date)
    header[rules.keys.public_date] = plain(header[rules.keys.public_date])
    return "the archive reads it in this form"


def _related_frames(header: Record, _: FrameName, rules: RecordRules) -> str:
    for keyword in rules.related_frame_keys or RELATED_FRAMES:
        if keyword not in header:
            continue
        header[keyword] = related_frame(header[keyword])
        if not header[keyword]:
            del header[keyword]
    return "related frames lose their extension, and are left out if nothing remains"


def _as_the_archive_reads(header: Record, _: FrameName, rules: RecordRules) -> str:
    keys = rules.keys
    header |= {
        getattr(LCO, each): header[getattr(keys, each)] for each in READ_BY_THE_ARCHIVE if getattr(keys, each) in header
    }
    return "the archive reads it under this keyword"


def _optional_texts(header: Record, _: FrameName, __: RecordRules) -> str:
    for keyword in OPTIONAL_TEXTS:
        if keyword in header and not is_set(header[keyword]):
            del header[keyword]
    return "the archive refuses an empty one, but not its absence"


def _empty_numbers(header: Record, _: FrameName, __: RecordRules) -> str:
    header |= {keyword: number_or_null(header[keyword]) for keyword in NUMBERS if keyword in header}
    return "the archive refuses an empty text for a number, but not null"


def _exposure(header: Record, _: FrameName, __: RecordRules) -> str:
    if LCO.exposure_time in header:
        header[LCO.exposure_time] = rounded_exposure(header[LCO.exposure_time])
    return "the archive holds six decimals"


RULES: tuple[CleanupRule, ...] = (
    _nulls, _none_as_integer, *TIMES, *COMPLETE, _readable_public_date, _related_frames, _as_the_archive_reads,
    _optional_texts, _empty_numbers, _exposure,
)  # fmt: skip
