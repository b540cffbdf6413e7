"""The flat record, `lco`: the cleaned header itself (docs/record.md, "Clean-up")."""

from lco_ingester.cleanup import Cards, FrameName, area_of, complete, related_frame, rounded_exposure, without_nulls
from lco_ingester.footprint import is_set
from lco_ingester.frame import Record
from lco_ingester.rules import Keywords, RecordRules
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


def lco_record(cards: Cards, name: FrameName, rules: RecordRules) -> Record:
    """The cleaned header, `basename` and `area`.

    Where the site has another keyword, the archive's own is there too, with the same value. Raises HeaderValueError.
    """
    keys = rules.keys
    header = without_nulls(cards, rules.null_header_values, (keys.observation_id, keys.request_id))
    complete(header, name, rules)
    area = area_of(header, keys, name.path)
    for keyword in rules.related_frame_keys or RELATED_FRAMES:
        _trim(header, keyword)
    return {**_as_the_archive_reads(header, keys), "basename": name.basename, "area": area}


def _trim(header: Record, keyword: str) -> None:
    if keyword not in header:
        return
    header[keyword] = related_frame(header[keyword])
    if not header[keyword]:
        del header[keyword]


def _as_the_archive_reads(header: Record, keys: Keywords) -> Record:
    renamed = {
        getattr(LCO, each): header[getattr(keys, each)] for each in READ_BY_THE_ARCHIVE if getattr(keys, each) in header
    }
    record = {**header, **renamed}
    record = {keyword: value for keyword, value in record.items() if keyword not in OPTIONAL_TEXTS or is_set(value)}
    if LCO.exposure_time in record:
        record[LCO.exposure_time] = rounded_exposure(record[LCO.exposure_time])
    return record
