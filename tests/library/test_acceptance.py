"""Whatever we accept, the archive accepts: what it would refuse is refused before the upload."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingester_demo.archive_generations import CONFIGURATION_TYPES, LCO, NESTED_NAMES, OCS, Generation
from ingester_demo.archive_rules import field_errors
from lco_ingester.exceptions import FileNameUnusableError, HeaderValueError, IngesterError
from lco_ingester.file.datafile import StreamFile
from lco_ingester.frame import Record
from lco_ingester.ingester import upload_file_and_ingest_to_archive
from lco_ingester.metrics import Metrics
from lco_ingester.record.build import build_record, header_of
from lco_ingester.steps import read_frame
from tests.support.synthetic import BASENAME, CARDS, checks, image, record_of, rules, write_frame

GENERATIONS = {"lco": LCO, "ocs": OCS}
VERSION = {"version_set": [{"key": "k", "md5": "m", "extension": ".fits"}]}
FORMS = pytest.mark.parametrize("form", ["lco", "ocs"])


def refusals(record: Record, generation: Generation) -> dict[str, Any]:
    """What the demo's archive would refuse of the record as it arrives there."""
    return field_errors(json.loads(json.dumps(record | VERSION, allow_nan=False)), generation.fields)


@FORMS
@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("EXPTIME", "30,5"), ("EXPTIME", "half a minute"), ("EXPTIME", "1.5D1"), ("EXPTIME", "1_000"),
        ("EXPTIME", True), ("EXPTIME", 12345678), ("EXPTIME", 10000000.0), ("EXPTIME", "1e99"),
        ("EXPTIME", "nan"), ("EXPTIME", "Infinity"), ("EXPTIME", "30 s"), ("EXPTIME", "1e-99999999999999999999"),
        ("RLEVEL", "raw"), ("RLEVEL", -1), ("RLEVEL", 91.5), ("RLEVEL", True), ("RLEVEL", 2**31),
        ("BLKUID", "12a"), ("BLKUID", -1), ("BLKUID", 2**31), ("BLKUID", True), ("BLKUID", 1.5), ("BLKUID", "1e3"),
        ("REQNUM", "many"), ("REQNUM", "2147483648"), ("REQNUM", False),
        ("OBJECT", True), ("PROPID", False), ("OBSTYPE", True), ("INSTRUME", True), ("SITEID", False),
        ("TELID", True), ("FILTER", False),
        ("DATE-OBS", 20260102), ("DAY-OBS", "tonight"), ("L1PUBDAT", "soon"), ("L1PUBDAT", 20270102),
    ],
)  # fmt: skip
def test_a_value_that_the_archive_refuses_is_refused_before_the_upload(form: str, keyword: str, value: Any) -> None:
    with pytest.raises(HeaderValueError) as raised:
        record_of({keyword: value}, archive_record_format=form)
    assert raised.value.check == keyword
    assert raised.value.found == repr(value)


@pytest.mark.parametrize(("keyword", "value"), [("SITEID", "long"), ("TELID", "1m0ab"), ("SITEID", 1234)])
def test_codes_are_short_in_flat_records(keyword: str, value: Any) -> None:
    with pytest.raises(HeaderValueError, match=f"{keyword}: expected at most"):
        record_of({keyword: value})
    assert header_of(record_of({keyword: value}, archive_record_format="ocs"))[keyword] == value


@FORMS
@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("EXPTIME", " 30.5 "), ("EXPTIME", "+3E1"), ("EXPTIME", -1), ("EXPTIME", 9999999.999999), ("EXPTIME", ".5"),
        ("EXPTIME", None), ("EXPTIME", 1e-300), ("EXPTIME", "1e-999999"), ("RLEVEL", "91"), ("RLEVEL", 91.0),
        ("BLKUID", " 7 "), ("BLKUID", 2**31 - 1), ("REQNUM", "0017.0"), ("OBJECT", 83), ("FILTER", 1.5),
        ("PROPID", None), ("OBJECT", "x" * 68), ("INSTRUME", "fa 12#"),
    ],
)  # fmt: skip
def test_other_values_stay_good(form: str, keyword: str, value: Any) -> None:
    assert refusals(record_of({keyword: value}, archive_record_format=form), GENERATIONS[form]) == {}


def test_a_site_sees_its_own_keyword_in_the_error() -> None:
    with pytest.raises(HeaderValueError) as raised:
        record_of({"EXPOSED": "30,5"}, exposure_time_key="EXPOSED")
    assert raised.value.check == "EXPOSED"


@pytest.mark.parametrize("metadata", [{"NOTE": "a\0b"}, {"NOTE": "\ud800"}, {"NO\0TE": "a"}])
def test_text_that_no_database_holds_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(HeaderValueError) as raised:
        build_record([{**CARDS, **metadata}], BASENAME, ".pdf", rules(archive_record_format="ocs"))
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("name", ["a" * 1001 + ".fits", " .fits", " "])
def test_a_name_that_the_archive_refuses_is_refused_before_it_is_read(name: str) -> None:
    with pytest.raises(FileNameUnusableError):
        read_frame(StreamFile(io.BytesIO(image()), name), rules(), checks(), Metrics.off())


RELATED = ("L1IDBIAS", "L1IDCAT", "TARFILE")
TEXT = st.text(max_size=8) | st.text("0123456789.,+-eE_ :TZ", max_size=24)
VALUES = (
    TEXT
    | st.sampled_from(
        ["N/A", "UNKNOWN", "NONE", " ", "2026-01-02", "20260102", "2026-01-02 03:04:05", "2026-01-02T24:00:00",
         "2026-01-02T03:04:05.123456789", "+02026-01-02T03:04:05Z", "31/12/98", "TAI", "LOCAL", "a.fits", "-x00"]
    )
    | st.integers() | st.integers(0, 10**9) | st.floats() | st.booleans() | st.none() | st.decimals().map(str)
)  # fmt: skip
KEYWORDS = st.sampled_from(
    [
        *NESTED_NAMES,
        *RELATED,
        "TIMESYS",
        "TIME-OBS",
        "UT",
        "UTSTOP",
        "MJD-OBS",
        "NAXIS1",
        "RADIUS",
        "RA",
        "DEC",
        "CRVAL1",
    ]
)


@FORMS
@given(st.dictionaries(KEYWORDS, VALUES, max_size=6), st.sampled_from([BASENAME, "a-x00_cat", "bpm-a", " b"]))
@example({"EXPTIME": "30,5"}, BASENAME)
@example({"L1PUBDAT": "2026-01-02T24:00:00"}, BASENAME)
@settings(deadline=None, derandomize=True, max_examples=600)
def test_whatever_we_accept_the_archive_accepts(form: str, changes: dict[str, Any], basename: str) -> None:
    try:
        record = build_record(
            [{**CARDS, **changes}], basename, ".fits", rules(archive_record_format=form, required_headers=())
        )
    except HeaderValueError:
        return
    refused = refusals(record, GENERATIONS[form])
    if record.get("configuration_type") not in (None, *CONFIGURATION_TYPES):
        refused.pop("configuration_type")  # the archive's own list
    assert refused == {}


ODD = [
    {"EXPTIME": "1.23456789"}, {"EXPTIME": "30,5"}, {"DATE-OBS": "2026-01-02 03:04:05"}, {"DATE-OBS": "31/12/98"},
    {"DATE-OBS": "2026-01-02T03:04:05", "TIMESYS": "TDB"}, {"DATE-OBS": "2026-01-02", "UT": "03:04:05"},
    {"DATE-OBS": "2026-01-02.1234"}, {"L1PUBDAT": "2026-01-02T24:00:00"}, {"L1PUBDAT": "2026-01-02T23:59:60"},
    {"DAY-OBS": 20260102}, {"DAY-OBS": "2026-01-02"}, {"BLKUID": "007.0"}, {"BLKUID": True}, {"OBJECT": False},
    {"FILTER": " "}, {"TELID": "1m0ab"}, {"SITEID": ".."}, {"L1IDBIAS": " .fits"}, {"RLEVEL": "91.0"},
]  # fmt: skip


@pytest.mark.parametrize("environment", ["external_services", "ocs_external_services"])
@pytest.mark.parametrize("changes", ODD, ids=str)
def test_no_frame_is_uploaded_that_the_running_archive_then_refuses(
    environment: str, changes: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(environment)
    path = write_frame(tmp_path, changes)
    refused = ""
    try:
        with path.open("rb") as stream:
            record = upload_file_and_ingest_to_archive(stream)
    except IngesterError as error:
        refused = error.reason
    assert refused == "HEADER_VALUE" if refused else record["frameid"]
