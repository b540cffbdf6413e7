"""Frames like those of an observatory, and the records that docs/record.md asks for: every clean-up rule, both formats.

What is expected is written down here as literal values: the cards that a file holds, and what becomes of them.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from lco_ingester.exceptions import HeaderValueError, IngesterError
from lco_ingester.file.datafile import PathFile
from lco_ingester.frame import Validated
from lco_ingester.metrics import Metrics
from lco_ingester.record.build import FORMATS
from lco_ingester.steps import read_frame, stored_object
from tests.support.synthetic import ABSENT, ROOT, checks, compressed, fits_bytes, header, image, package, rules

Cards = Mapping[str, Any]
FORMS = ("lco", "ocs")
RECORD_PAGE = (ROOT / "docs" / "record.md").read_text()


def read(path: Path, content: bytes, form: str, **settings: Any) -> Validated:
    """The frame of a file with this content, read as the ingester reads it."""
    path.write_bytes(content)
    return read_frame(PathFile(str(path)), rules(archive_record_format=form, **settings), checks(), Metrics.off())


def without_absent(cards: Cards) -> dict[str, Any]:
    return {keyword: value for keyword, value in cards.items() if value is not ABSENT}


# One rule at a time, in a frame that is as simple as can be.

NAME = "coj1m011-fa12-20200102-0001-e00.fits"
WRITTEN = {
    "PROPID": "LCO2020A-001", "DATE-OBS": "2020-01-02T03:04:05.678", "DAY-OBS": "20200101", "INSTRUME": "fa12",
    "SITEID": "coj", "TELID": "1m0a", "OBSTYPE": "EXPOSE", "BLKUID": "610000001", "RLEVEL": 0,
}  # fmt: skip
CLEANED = {**WRITTEN, "SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "L1PUBDAT": "2021-01-01T03:04:05.678000"}
FIELDS: dict[str, Any] = {
    "related_frame_filenames": [], "proposal_id": "LCO2020A-001", "instrument_id": "fa12", "target_name": "",
    "site_id": "coj", "telescope_id": "1m0a", "primary_optical_element": "", "configuration_type": "EXPOSE",
    "exposure_time": None, "observation_id": "610000001", "request_id": None,
    "observation_date": "2020-01-02T03:04:05.678", "public_date": "2021-01-01T03:04:05.678000", "reduction_level": 0,
    "observation_day": "20200101", "frame_basename": None, "size": "",
}  # fmt: skip
"""What the nested record of a frame of the cards `WRITTEN` has beside its headers, basename and area."""

AT_ONCE = "2020-01-02T03:04:05.678"
IN_999_YEARS = "3018-05-05T03:04:05.678000"
ALL_RELATED = {
    keyword: f"{keyword.lower()}-bin1x1"
    for keyword in (
        "L1IDBIAS", "L1IDDARK", "L1IDFLAT", "L1IDSHUT", "L1IDMASK", "L1IDFRNG", "L1IDCAT", "TARFILE", "ORIGNAME",
        "ARCFILE", "FLATFILE", "GUIDETAR",
    )
}  # fmt: skip
NESTED_ALONE = {keyword: f"{keyword.lower()}-bin1x1" for keyword in ("L1IDARC", "L1ID1D", "L1ID2D", "L1IDSUM")}
IN_ORDER = [
    "l1idbias-bin1x1", "l1iddark-bin1x1", "l1idflat-bin1x1", "l1idshut-bin1x1", "l1idmask-bin1x1", "l1idfrng-bin1x1",
    "l1idcat-bin1x1", "l1idarc-bin1x1", "l1id1d-bin1x1", "l1id2d-bin1x1", "l1idsum-bin1x1", "tarfile-bin1x1",
    "origname-bin1x1", "arcfile-bin1x1", "flatfile-bin1x1", "guidetar-bin1x1",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What a rule of docs/record.md makes of some cards.

    `rule` is the rule's place on that page: its number; "7: …" with a row of the table of public dates; "dates";
    "keywords"; or "nested: …" with a difference of the nested record. `cards` is what the header holds other than
    `WRITTEN`, `becomes` what is not as it was written: in both formats, unless `nested` says it for the nested one.
    `fields` are the nested record's fields that differ from `FIELDS`, `settings` those that the site has changed.
    """

    rule: str
    cards: Cards
    becomes: Cards = field(default_factory=dict)
    nested: Cards | None = None
    fields: Cards = field(default_factory=dict)
    name: str = NAME
    settings: Cards = field(default_factory=dict)

    def expected(self, form: str) -> dict[str, Any]:
        basename = self.name.partition(".")[0]
        changes = self.becomes if form == "lco" or self.nested is None else self.nested
        cleaned = without_absent({**CLEANED, **self.cards, **changes})
        if form == "lco":
            return {**cleaned, "basename": basename, "area": None}
        return {**FIELDS, **self.fields, "headers": cleaned, "basename": basename, "area": None}

    def differences(self, directory: Path, form: str) -> str:
        """What is not as expected; '' if nothing."""
        content = image(self.cards)
        if self.name.endswith(".tar.gz"):
            content = package({"x/a-e91.fits": content})
        try:
            record = read(directory / self.name, content, form, **self.settings).record
        except (IngesterError, KeyError) as error:
            return repr(error)
        return "" if record == (expected := self.expected(form)) else f"{record}\n!= {expected}"


def renamed(suffix: str) -> str:
    return NAME.replace("-e00", suffix)


CASES = [
    Case(
        "1", {"HISTORY": "made", "COMMENT": "by hand", "": "blank"},
        {"HISTORY": ABSENT, "COMMENT": ABSENT, "": ABSENT},
    ),
    Case(
        "2", {"OBJECT": "N/A", "AGFWHM": " UNKNOWN", "CCDSEC": "UNSPECIFIED"},
        {"OBJECT": "", "AGFWHM": "", "CCDSEC": ""},
    ),
    Case("2", {"OBJECT": "n/a", "CCDSEC": "UNKNOWN REGION"}, fields={"target_name": "n/a"}),
    Case(
        "2", {"BLKUID": "UNSPECIFIED", "REQNUM": "N/A"}, {"BLKUID": None, "REQNUM": None},
        fields={"observation_id": None},
    ),
    Case(
        "2", {"BLKUID": "none given", "REQNUM": "NONE"}, {"BLKUID": None, "REQNUM": None},
        fields={"observation_id": None},
    ),
    Case(
        "3", {"DATE-OBS": "2018-03-04", "TIME-OBS": "05:06:07.8"},
        {"DATE-OBS": "2018-03-04T05:06:07.8", "L1PUBDAT": "2019-03-04T05:06:07.800000"},
        fields={"observation_date": "2018-03-04T05:06:07.8", "public_date": "2019-03-04T05:06:07.800000"},
    ),
    Case(
        "3", {"DATE-OBS": "2018-03-04T05:06:44.8", "TIMESYS": "TAI"},
        {"DATE-OBS": "2018-03-04T05:06:07.8", "TIMESYS": "UTC", "L1PUBDAT": "2019-03-04T05:06:07.800000"},
        fields={"observation_date": "2018-03-04T05:06:07.8", "public_date": "2019-03-04T05:06:07.800000"},
    ),
    *(
        Case("6", {"DAY-OBS": day}, {"DAY-OBS": "20200101"}, fields={"observation_day": "20200101"})
        for day in (20200101, "2020-01-01")
    ),
    *(
        Case("4", {"RLEVEL": level}, {"RLEVEL": 91}, name=renamed("-e91"), fields={"reduction_level": 91})
        for level in (ABSENT, None, "", 0)
    ),
    Case("4", {}, {"RLEVEL": 90}, name="LCO2020A-001_0001.tar.gz", fields={"reduction_level": 90}),
    Case("4", {"RLEVEL": ABSENT}, {"RLEVEL": 0}, name="bias_kb70_20200101_bin2x2.fits"),
    Case("4", {"RLEVEL": 17}, name=renamed("-e91"), fields={"reduction_level": 17}),
    Case(
        "5", {}, {"OBSTYPE": "CATALOG", "L1IDCAT": "coj1m011-fa12-20200102-0001-e91", "RLEVEL": 91},
        name=renamed("-e91_cat"),
        fields={
            "configuration_type": "CATALOG", "reduction_level": 91,
            "related_frame_filenames": ["coj1m011-fa12-20200102-0001-e91"],
        },
    ),
    Case(
        "5", {"L1IDCAT": "another"}, {"OBSTYPE": "CATALOG", "RLEVEL": 91}, name=renamed("-e91_cat"),
        fields={
            "configuration_type": "CATALOG", "reduction_level": 91, "related_frame_filenames": ["another"],
        },
    ),
    *(
        Case("6", {"DAY-OBS": day}, {"DAY-OBS": "20200102"}, fields={"observation_day": "20200102"})
        for day in (ABSENT, None, "", "N/A")
    ),
    *(
        Case(
            "7: `OBSTYPE` is one of", {"OBSTYPE": obstype}, {"L1PUBDAT": AT_ONCE},
            fields={"configuration_type": obstype, "public_date": AT_ONCE},
        )
        for obstype in ("BIAS", "DARK", "SKYFLAT", "EXPERIMENTAL")
    ),
    *(
        Case(
            "7: `OBSTYPE` is one of", {"PROPID": proposal}, {"L1PUBDAT": AT_ONCE},
            fields={"proposal_id": proposal, "public_date": AT_ONCE},
        )
        for proposal in ("LCOEPO2020A-001", "calibrate", "standard", "pointing")
    ),
    Case(
        "7: `PROPID` contains one of", {"PROPID": "LCOEngineering"}, {"L1PUBDAT": IN_999_YEARS},
        fields={"proposal_id": "LCOEngineering", "public_date": IN_999_YEARS},
    ),
    *(
        Case(
            "7: `PROPID` contains one of", {}, {"L1PUBDAT": IN_999_YEARS}, name=renamed(suffix),
            fields={"public_date": IN_999_YEARS},
        )
        for suffix in ("-t00", "-x00")
    ),
    Case("7: anything else", {}),
    Case(
        "7: anything else", {"L1PUBDAT": "2020-05-01T00:00:00"}, fields={"public_date": "2020-05-01T00:00:00"},
    ),
    Case(
        "8", {keyword: f"{name}.fits.fz" for keyword, name in {**ALL_RELATED, **NESTED_ALONE}.items()},
        ALL_RELATED, {**ALL_RELATED, **NESTED_ALONE}, {"related_frame_filenames": IN_ORDER},
    ),
    Case(
        "8", {"L1IDBIAS": "", "L1IDFRNG": "N/A", "ORIGNAME": ".fits"},
        {"L1IDBIAS": ABSENT, "L1IDFRNG": ABSENT, "ORIGNAME": ABSENT},
        {"L1IDBIAS": "", "L1IDFRNG": "", "ORIGNAME": ""},
    ),
    *(
        Case("9", {keyword: value}, {keyword: ABSENT}, {keyword: written}, {each: ""})
        for value, written in (("", ""), (None, None))
        for keyword, each in (
            ("FILTER", "primary_optical_element"), ("INSTRUME", "instrument_id"), ("SITEID", "site_id"),
            ("TELID", "telescope_id"),
        )
    ),
    Case("9", {"EXPTIME": "", "REQNUM": ""}, {"EXPTIME": None, "REQNUM": None}, {}),
    Case("9", {"BLKUID": ""}, {"BLKUID": None}, {}, {"observation_id": None}),
    Case("9", {"EXPTIME": 1.23456789}, {"EXPTIME": 1.234568}, {}, {"exposure_time": 1.234568}),
    Case("9", {"EXPTIME": "30.00000012"}, {"EXPTIME": 30.0}, {}, {"exposure_time": 30.0}),
    Case("9", {"EXPTIME": "30.5"}, fields={"exposure_time": "30.5"}),
    Case(
        "9", {"L1PUBDAT": "2020-06-01T23:59:60"}, {"L1PUBDAT": "2020-06-02T00:00:00"}, {},
        {"public_date": "2020-06-02T00:00:00"},
    ),
    *(
        Case(
            "dates", {"DATE-OBS": written}, {"DATE-OBS": posted, "L1PUBDAT": public},
            fields={"observation_date": posted, "public_date": public},
        )
        for written, posted, public in (
            ("2016-12-31T23:59:60.5", "2017-01-01T00:00:00.500000", "2018-01-01T00:00:00.500000"),
            ("2018-03-04T24:00:00", "2018-03-05T00:00:00", "2019-03-05T00:00:00"),
            ("+02018-03-04T05:06:07", "2018-03-04T05:06:07", "2019-03-04T05:06:07"),
            ("05/03/98", "1998-03-05T00:00:00", "1999-03-05T00:00:00"),
            ("2018-03-04 05:06:07", "2018-03-04T05:06:07", "2019-03-04T05:06:07"),
            ("2018-03-04T05:06:07+0200", "2018-03-04T03:06:07", "2019-03-04T03:06:07"),
        )
    ),
    Case(
        "dates", {"DATE-OBS": "2018-03-04"}, {"L1PUBDAT": "2019-03-04T00:00:00"},
        fields={"observation_date": "2018-03-04T00:00:00", "public_date": "2019-03-04T00:00:00"},
    ),
    Case(
        "nested: The keywords of whole numbers", {"TRACKNUM": "NONE", "MOLUID": "UNSPECIFIED"}, {"MOLUID": ""},
        {"TRACKNUM": None, "MOLUID": None},
    ),
    Case(
        "nested: Related frames", {"L1IDARC": "arc.fits", "L1ID1D": ""}, {}, {"L1IDARC": "arc"},
        {"related_frame_filenames": ["arc"]},
    ),
    Case("nested: `FILTER`", {"FILTER": "", "EXPTIME": ""}, {"FILTER": ABSENT, "EXPTIME": None}, {}),
    Case("nested: `OBSTYPE`", {"OBSTYPE": ""}, {}, {"OBSTYPE": "EXPOSE"}),
    Case(
        "keywords", {"TARGET": "M 83"}, {"OBJECT": "M 83"}, {}, {"target_name": "M 83"},
        settings={"target_name_key": "TARGET"},
    ),
]  # fmt: skip

BY_NAME = {
    "`trace`, `arc`": [("trace-coj-20200101", "TRACE"), ("arc-coj-20200101", "ARC")],
    "`bias`, `bpm`": [("coj-fa12-20200101-bias", "BIAS"), ("coj-fa12-20200101-bpm-1", "BPM")],
    "`b`, `d`, `f`, `g`, `s`, `w`, `x`": [
        ("coj1m011-fa12-20200101-0001-b00", "BIAS"), ("coj1m011-fa12-20200101-0001-d00", "DARK"),
        ("coj1m011-fa12-20200101-0001-f00", "SKYFLAT"), ("coj1m011-fa12-20200101-0001-g00", "GUIDE"),
        ("coj1m011-fa12-20200101-0001-s00", "STANDARD"), ("coj1m011-fa12-20200101-0001-w00", "LAMPFLAT"),
        ("coj1m011-fa12-20200101-0001-x00", "EXPERIMENTAL"),
    ],
    "`e`": [
        ("coj1m011-fa12-20200101-0001-e00", "EXPOSE"), ("ogg2m001-en06-20200101-0001-e00", "SPECTRUM"),
        ("lscnrs01-fa09-20200101-0001-e00", "TARGET"),
    ],
    "`a`": [("ogg2m001-en06-20200101-0001-a00", "ARC"), ("lscnrs01-fa09-20200101-0001-a00", "DOUBLE")],
}  # fmt: skip
"""The table of types by the file's name: its second column, names, and the type of each."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule} {case.name} {dict(case.cards)}"[:90])
def test_a_rule_makes_of_a_header_what_the_page_says(case: Case, form: str, tmp_path: Path) -> None:
    assert case.differences(tmp_path, form) == ""


@pytest.mark.parametrize(("name", "kind"), [pair for pairs in BY_NAME.values() for pair in pairs])
@pytest.mark.parametrize("written", [None, "", "UNKNOWN"])
def test_the_nested_record_finds_a_missing_type_in_the_name(
    name: str, kind: str, written: str | None, tmp_path: Path
) -> None:
    nres = {"ENCID": "igla"} if "nrs" in name else {}
    record = read(tmp_path / f"{name}.fits", image({"OBSTYPE": written, **nres}), "ocs").record
    assert (record["headers"]["OBSTYPE"], record["configuration_type"]) == (kind, kind)
    public_at_once = kind in ("BIAS", "DARK", "SKYFLAT", "EXPERIMENTAL")
    assert record["public_date"] == (AT_ONCE if public_at_once else CLEANED["L1PUBDAT"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keyword", ["DATE-OBS", "L1PUBDAT"])
def test_a_date_that_cannot_be_read_is_refused(keyword: str, form: str, tmp_path: Path) -> None:
    with pytest.raises(HeaderValueError, match=keyword):
        read(tmp_path / NAME, image({keyword: "last night"}), form)


def test_a_type_that_neither_header_nor_name_says_is_refused_in_the_nested_record(tmp_path: Path) -> None:
    with pytest.raises(HeaderValueError, match="OBSTYPE"):
        read(tmp_path / "frame.fits", image({"OBSTYPE": "UNKNOWN"}), "ocs")


def test_every_rule_on_the_page_has_a_case() -> None:
    cleanup = section("## Clean-up")
    numbers = set(re.findall(r"^(\d+)\. ", cleanup, re.MULTILINE))
    assert len(numbers) == 9
    cases = {case.rule for case in CASES}
    assert numbers == {rule.partition(":")[0] for rule in cases if rule[0].isdigit()}
    public = first_cells(cleanup.partition("\n7. ")[2].partition("\n8. ")[0])
    assert len(public) == 3
    for row in public:
        assert any(row.startswith(rule.removeprefix("7: ")) for rule in cases if rule.startswith("7: ")), row
    nested = section("## The nested record").partition("The clean-up differs")[2]
    bullets = re.findall(r"^- (.*)$", nested, re.MULTILINE)
    assert len(bullets) == 4
    for bullet in bullets:
        assert any(bullet.startswith(rule.removeprefix("nested: ")) for rule in cases), bullet
    types = re.findall(r"^ *\|[^|]*\| ([^|]*) \| `", nested, re.MULTILINE)
    assert types == list(BY_NAME)


@pytest.mark.parametrize(
    ("form", "position"), [(form, position) for form, each in FORMATS.items() for position in range(len(each.rules))]
)
def test_every_rule_of_the_code_is_needed_by_a_case(
    form: str, position: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = FORMATS[form].rules
    monkeypatch.setitem(FORMATS, form, replace(FORMATS[form], rules=rules[:position] + rules[position + 1 :]))
    assert any(case.differences(tmp_path, form) for case in CASES)


# Whole frames, as an observatory's cameras, reductions and packages are.

ORIGIN = "coj1m011-fa12-20261122-0001-e00"
COMMON = {
    "ORIGIN": "LCOGT", "SITEID": "coj", "ENCID": "doma", "TELID": "1m0a", "OBSTYPE": "EXPOSE",
    "DATE-OBS": "2026-11-22T10:15:30.123", "DAY-OBS": "20261122", "UTSTOP": "10:16:00.4", "EXPTIME": 30.0,
    "FILTER": "rp", "INSTRUME": "fa12", "CCDSEC": "UNKNOWN", "GAIN": 2.0, "PROPID": "LCO2026B-004", "OBSNOTE": "N/A",
    "TRACKNUM": "0001402233", "REQNUM": "0003300001", "MOLUID": "860000001", "BLKUID": "610000001", "OBJECT": "M 83",
    "ORIGNAME": "coj1m011-fa12-20261122-0001-e00.fits", "RA": "13:37:00.912", "DEC": "-29:51:56.88", "AIRMASS": 1.05,
    "SHUTTER": True, "RLEVEL": ABSENT,
}  # fmt: skip
"""What every frame below holds, unless it says otherwise."""
CALIBRATION = {"PROPID": "calibrate", "REQNUM": "UNSPECIFIED", "TRACKNUM": "UNSPECIFIED", "OBJECT": "bias"}
SKY = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 204.25, "CRVAL2": -29.875, "CRPIX1": 15.5, "CRPIX2": 10.5,
    "CD1_1": -0.011, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 0.011,
}  # fmt: skip
REDUCTION = {
    "RLEVEL": 91, "L1PUBDAT": "2027-11-22T10:15:30.123", "L1IDBIAS": "coj-fa12-20261122-bias-bin1x1.fits",
    "L1IDDARK": "coj-fa12-20261122-dark-bin1x1.fits", "L1IDFLAT": "coj-fa12-20261122-skyflat-bin1x1-rp.fits.fz",
    "L1IDMASK": "coj-fa12-20260101-bpm-bin1x1.fits.fz", "L1IDFRNG": "N/A",
}  # fmt: skip
REDUCED = {
    "L1IDBIAS": "coj-fa12-20261122-bias-bin1x1", "L1IDDARK": "coj-fa12-20261122-dark-bin1x1",
    "L1IDFLAT": "coj-fa12-20261122-skyflat-bin1x1-rp", "L1IDMASK": "coj-fa12-20260101-bpm-bin1x1",
}  # fmt: skip
"""What the clean-up makes of the related frames in `REDUCTION`, without the fringe frame, which is not there."""
RELATED_OF_REDUCED = [
    "coj-fa12-20261122-bias-bin1x1", "coj-fa12-20261122-dark-bin1x1", "coj-fa12-20261122-skyflat-bin1x1-rp",
    "coj-fa12-20260101-bpm-bin1x1", ORIGIN,
]  # fmt: skip
IMAGE = {"SIMPLE": True, "BITPIX": 16, "NAXIS": 2, "NAXIS1": 30, "NAXIS2": 20}
PACKED = {"XTENSION": "IMAGE", "BITPIX": 16, "NAXIS": 2, "NAXIS1": 30, "NAXIS2": 20, "PCOUNT": 0, "GCOUNT": 1}
TABLE = {
    "XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": 12, "NAXIS2": 2, "PCOUNT": 0, "GCOUNT": 1, "TFIELDS": 2,
    "TTYPE1": "X", "TFORM1": "E", "TTYPE2": "FLUX", "TFORM2": "D",
}  # fmt: skip
AREA_OF_SKY = [
    [204.43413576982303, -29.979371814854655], [204.4337503335864, -29.770373123649353],
    [204.0662496664136, -29.770373123649353], [204.06586423017697, -29.979371814854655],
    [204.43413576982303, -29.979371814854655],
]  # fmt: skip
"""The corners of `SKY` on 30 columns by 20 rows, by the formulas of the gnomonic projection."""
AREA_OF_FIBRE = [
    [26.00626713500271, -15.923333333333334], [26.027066198330623, -15.923333333333334],
    [26.027066198330623, -15.943333333333333], [26.00626713500271, -15.943333333333333],
    [26.00626713500271, -15.923333333333334],
]  # fmt: skip
"""36 arcseconds to each side of RA 1:44:04, Dec -15:56:00."""


def plain(cards: Cards) -> bytes:
    data = np.arange(600, dtype=np.int16).reshape(20, 30)
    return fits_bytes(fits.PrimaryHDU(data, header(cards)))


def table(cards: Cards) -> bytes:
    """A catalogue: a table behind an empty first HDU, which has none of the required keywords."""
    rows = np.array([(1, 2.5), (3, 4.5)], dtype=[("X", "f4"), ("FLUX", "f8")])
    return fits_bytes(fits.PrimaryHDU(), fits.BinTableHDU(rows, header(cards)))


def packaged(member: str) -> Callable[[Cards], bytes]:
    """A package that holds more than the member whose header counts."""
    later = image({"OBJECT": "a later member"})
    return lambda cards: package({"x/": None, "x/readme.txt": b"about it", member: plain(cards), "x/z-e91.fits": later})


@dataclass(frozen=True)
class WholeFrame:
    """A file: how it is written, the cards it has other than `COMMON`, and all that is made of it.

    `structure` is what describes the file's own form. The rest is as in `Case`; `related` are the nested record's
    related frames, `public` is the public date.
    """

    name: str
    write: Callable[[Cards], bytes]
    cards: Cards
    structure: Cards
    becomes: Cards
    public: str
    key: str
    nested: Cards = field(default_factory=dict)
    related: tuple[str, ...] = (ORIGIN,)
    area: list[list[float]] | None = None
    content_type: str = "image/fits"

    def cleaned(self, form: str) -> dict[str, Any]:
        usual = {"CCDSEC": "", "OBSNOTE": "", "ORIGNAME": ORIGIN, "L1PUBDAT": self.public}
        nested = self.nested if form == "ocs" else {}
        return without_absent({**COMMON, **self.cards, **self.structure, **usual, **self.becomes, **nested})

    def fields(self) -> dict[str, Any]:
        """The nested record's own fields, from the literal values above."""
        cleaned = self.cleaned("ocs")
        return {
            "related_frame_filenames": [*self.related],
            "proposal_id": cleaned["PROPID"],
            "instrument_id": cleaned["INSTRUME"],
            "target_name": cleaned["OBJECT"],
            "site_id": cleaned["SITEID"],
            "telescope_id": cleaned["TELID"],
            "primary_optical_element": cleaned["FILTER"],
            "configuration_type": cleaned["OBSTYPE"],
            "exposure_time": cleaned["EXPTIME"],
            "observation_id": cleaned["BLKUID"],
            "request_id": cleaned["REQNUM"],
            "observation_date": cleaned["DATE-OBS"],
            "public_date": self.public,
            "reduction_level": cleaned["RLEVEL"],
            "observation_day": cleaned["DAY-OBS"],
            "frame_basename": None,
            "size": "",
        }


A_YEAR_LATER = "2027-11-22T10:15:30.123000"
THAT_MOMENT = "2026-11-22T10:15:30.123"
FRAMES = [
    WholeFrame(
        "coj1m011-fa12-20261122-0001-e00.fits", plain, SKY, IMAGE, {"RLEVEL": 0}, A_YEAR_LATER,
        "coj/fa12/20261122/raw/coj1m011-fa12-20261122-0001-e00.fits", area=AREA_OF_SKY,
    ),
    WholeFrame(
        "coj1m011-fa12-20261122-0001-e00.fits.fz", compressed, SKY, PACKED, {"RLEVEL": 0}, A_YEAR_LATER,
        "coj/fa12/20261122/raw/coj1m011-fa12-20261122-0001-e00.fits.fz", area=AREA_OF_SKY,
    ),
    WholeFrame(
        "coj1m011-fa12-20261122-0001-e91.fits.fz", compressed, {**SKY, **REDUCTION}, PACKED,
        {**REDUCED, "L1IDFRNG": ABSENT}, "2027-11-22T10:15:30.123",
        "coj/fa12/20261122/processed/coj1m011-fa12-20261122-0001-e91.fits.fz",
        {"L1IDFRNG": ""}, tuple(RELATED_OF_REDUCED), AREA_OF_SKY,
    ),
    WholeFrame(
        "coj1m011-fa12-20261122-0001-e90.fits", plain, {**SKY, **REDUCTION, "RLEVEL": 0, "L1PUBDAT": ABSENT}, IMAGE,
        {**REDUCED, "L1IDFRNG": ABSENT, "RLEVEL": 90}, A_YEAR_LATER,
        "coj/fa12/20261122/processed/coj1m011-fa12-20261122-0001-e90.fits",
        {"L1IDFRNG": ""}, tuple(RELATED_OF_REDUCED), AREA_OF_SKY,
    ),
    WholeFrame(
        "coj1m011-fa12-20261122-0001-e91_cat.fits", table, {**REDUCTION, "RLEVEL": ABSENT}, TABLE,
        {
            **REDUCED, "L1IDFRNG": ABSENT, "RLEVEL": 91, "OBSTYPE": "CATALOG",
            "L1IDCAT": "coj1m011-fa12-20261122-0001-e91",
        },
        "2027-11-22T10:15:30.123", "coj/fa12/20261122/processed/coj1m011-fa12-20261122-0001-e91_cat.fits",
        {"L1IDFRNG": ""}, (*RELATED_OF_REDUCED[:-1], "coj1m011-fa12-20261122-0001-e91", ORIGIN),
    ),
    WholeFrame(
        "coj1m011-fa12-20261122-0001-g00.fits", plain, {"OBSTYPE": "GUIDE", "FILTER": "BL"}, IMAGE, {"RLEVEL": 0},
        A_YEAR_LATER, "coj/fa12/20261122/raw/coj1m011-fa12-20261122-0001-g00.fits",
    ),
    WholeFrame(
        "bias_fa12_20261122_bin2x2.fits.fz", compressed,
        {**CALIBRATION, "OBSTYPE": "BIAS", "EXPTIME": 0.0, "L1IDMASK": "bpm-fa12_bin2x2.fits"}, PACKED,
        {"RLEVEL": 0, "REQNUM": None, "TRACKNUM": "", "L1IDMASK": "bpm-fa12_bin2x2"}, THAT_MOMENT,
        "coj/fa12/20261122/raw/bias_fa12_20261122_bin2x2.fits.fz", {"TRACKNUM": None}, ("bpm-fa12_bin2x2", ORIGIN),
    ),
    WholeFrame(
        "dark_fa12_20261122_bin2x2.fits", plain,
        {**CALIBRATION, "OBSTYPE": "DARK", "EXPTIME": 300.0, "L1IDBIAS": "bias_fa12_20261122_bin2x2.fits"}, IMAGE,
        {"RLEVEL": 0, "REQNUM": None, "TRACKNUM": "", "L1IDBIAS": "bias_fa12_20261122_bin2x2"}, THAT_MOMENT,
        "coj/fa12/20261122/raw/dark_fa12_20261122_bin2x2.fits", {"TRACKNUM": None},
        ("bias_fa12_20261122_bin2x2", ORIGIN),
    ),
    WholeFrame(
        "flat_fa12_20261122_SKYFLAT_bin2x2_rp.fits", plain, {**CALIBRATION, "OBSTYPE": "SKYFLAT", **SKY}, IMAGE,
        {"RLEVEL": 0, "REQNUM": None, "TRACKNUM": ""}, THAT_MOMENT,
        "coj/fa12/20261122/raw/flat_fa12_20261122_SKYFLAT_bin2x2_rp.fits", {"TRACKNUM": None}, area=AREA_OF_SKY,
    ),
    WholeFrame(
        "coj1m011-fa12-20261122-0001-d00.fits.fz", compressed, {**CALIBRATION, "OBSTYPE": "DARK", "OBJECT": "N/A"},
        PACKED, {"RLEVEL": 0, "REQNUM": None, "TRACKNUM": "", "OBJECT": ""}, THAT_MOMENT,
        "coj/fa12/20261122/raw/coj1m011-fa12-20261122-0001-d00.fits.fz", {"TRACKNUM": None},
    ),
    WholeFrame(
        "coj1m011-fa12-20261122-0001-x00.fits.fz", compressed,
        {"OBSTYPE": "EXPERIMENTAL", "PROPID": "auto_focus", **SKY}, PACKED, {"RLEVEL": 0}, THAT_MOMENT,
        "coj/fa12/20261122/raw/coj1m011-fa12-20261122-0001-x00.fits.fz", area=AREA_OF_SKY,
    ),
    WholeFrame(
        "coj1m011-fa12-20261122-0001-x00.fits", plain, {"PROPID": "auto_focus"}, IMAGE, {"RLEVEL": 0},
        "3025-03-25T10:15:30.123000", "coj/fa12/20261122/raw/coj1m011-fa12-20261122-0001-x00.fits",
    ),
    WholeFrame(
        "coj1m011-fa12-20261122-0001-s10.fits", plain, {"OBSTYPE": "STANDARD", "PROPID": "standard"}, IMAGE,
        {"RLEVEL": 10}, THAT_MOMENT, "coj/fa12/20261122/processed/coj1m011-fa12-20261122-0001-s10.fits",
    ),
    WholeFrame(
        "bpm-fa12_bin2x2.fits", plain, {**CALIBRATION, "OBSTYPE": "BPM"}, IMAGE,
        {"RLEVEL": 0, "REQNUM": None, "TRACKNUM": ""}, THAT_MOMENT, "coj/fa12/bpm/bpm-fa12_bin2x2.fits",
        {"TRACKNUM": None},
    ),
    WholeFrame(
        "LCO2026B-004_0003300001_ogg_20261122_e00.tar.gz", packaged("x/ogg2m001-en06-20261122-0001-e00.fits"),
        {"OBSTYPE": "SPECTRUM", "FILTER": "N/A", "TARFILE": "LCO2026B-004.tar.gz", "GUIDETAR": "guide.tar.gz"}, IMAGE,
        {"RLEVEL": 90, "FILTER": ABSENT, "TARFILE": "LCO2026B-004", "GUIDETAR": "guide"}, A_YEAR_LATER,
        "coj/fa12/20261122/processed/LCO2026B-004_0003300001_ogg_20261122_e00.tar.gz",
        {"FILTER": ""}, ("LCO2026B-004", ORIGIN, "guide"), content_type="application/x-tar",
    ),
    WholeFrame(
        "coj1m011-fa12-20261122-0001-e91.tar.gz", packaged("x/coj1m011-fa12-20261122-0001-e91.fits"),
        {"OBSTYPE": "TARGET", "RADIUS": 36.0, "RA": "01:44:04", "DEC": "-15:56:00"}, IMAGE, {"RLEVEL": 90},
        A_YEAR_LATER, "coj/fa12/20261122/processed/coj1m011-fa12-20261122-0001-e91.tar.gz", area=AREA_OF_FIBRE,
        content_type="application/x-tar",
    ),
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.name)
def test_a_whole_frame_gives_its_record_and_its_s3_object(frame: WholeFrame, form: str, tmp_path: Path) -> None:
    validated = read(tmp_path / frame.name, frame.write({**COMMON, **frame.cards}), form)
    record = dict(validated.record)
    area = record.pop("area")
    assert record.pop("basename") == frame.name.partition(".")[0]
    if form == "lco":
        assert record == frame.cleaned("lco")
    else:
        assert record.pop("headers") == frame.cleaned("ocs")
        assert record == frame.fields()
    assert_area(area, frame.area)
    stored = stored_object(validated, datetime.fromisoformat("2026-11-23"))
    assert (stored.key, stored.content_type, stored.storage_class) == (frame.key, frame.content_type, "STANDARD")
    assert stored.content_disposition == f"attachment; filename={frame.name}"


def assert_area(area: Any, corners: list[list[float]] | None) -> None:
    """A closed polygon with these corners, to some 1e-9 degrees; or none."""
    if corners is None:
        assert area is None
        return
    [ring] = area["coordinates"]
    assert area["type"] == "Polygon"
    assert len(ring) == len(corners)
    for found, expected in zip(ring, corners, strict=True):
        assert math.dist(found, expected) < 1e-9


def section(heading: str) -> str:
    """The text of docs/record.md under a heading."""
    return RECORD_PAGE.partition(f"\n{heading}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """The first cell of each row of the tables in a text, without their headings."""
    cells = re.findall(r"^ *\| ([^|]*) \|", text, re.MULTILINE)
    return cells[cells.index("---") + 1 :]
