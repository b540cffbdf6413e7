"""The nested record, rule by rule, where it differs from the flat one (docs/record.md, "The nested record")."""

import json
from typing import Any

import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from ingester_demo.archive_generations import NESTED_FIELDS, NESTED_NAMES
from ingester_demo.archive_rules import field_errors
from lco_ingester.exceptions import HeaderValueError
from lco_ingester.frame import Record
from lco_ingester.record.build import announcement, build_record, facts_of
from tests.support.synthetic import ABSENT, BASENAME, CARDS, record_of, rules

DATE_OBS = CARDS["DATE-OBS"]


def ocs(changes: dict[str, Any] | None = None, basename: str = BASENAME, **rule_changes: Any) -> Record:
    return record_of(changes, basename, archive_record_format="ocs", **rule_changes)


def test_the_header_and_what_the_archive_reads_stand_side_by_side() -> None:
    record = ocs({"OBJECT": "M 83", "FILTER": "rp", "EXPTIME": 30.0, "REQNUM": "17"})
    assert record["headers"].items() >= {**CARDS, "OBJECT": "M 83"}.items()
    assert {name: record[name] for name in record if name not in ("headers", "public_date")} == {
        "basename": BASENAME,
        "area": None,
        "related_frame_filenames": [],
        "reduction_level": 0,
        "observation_day": "20200101",
        "observation_date": DATE_OBS,
        "proposal_id": "LCO2020A-001",
        "instrument_id": "fa12",
        "target_name": "M 83",
        "site_id": "coj",
        "telescope_id": "1m0a",
        "exposure_time": 30.0,
        "primary_optical_element": "rp",
        "configuration_type": "EXPOSE",
        "observation_id": "610000001",
        "request_id": "17",
        "frame_basename": None,
        "size": "",
    }


@pytest.mark.parametrize("value", [ABSENT, None, "", "N/A"])
def test_what_has_no_value_is_an_empty_text_or_null_as_the_field_wants_it(value: Any) -> None:
    missing = ("PROPID", "INSTRUME", "OBJECT", "SITEID", "TELID", "FILTER", "EXPTIME", "BLKUID", "REQNUM", "RLEVEL")
    record = ocs(dict.fromkeys(missing, value), required_headers=())
    texts = ("proposal_id", "instrument_id", "target_name", "site_id", "telescope_id", "primary_optical_element")
    assert {record[name] for name in texts} == {""}
    assert [record[name] for name in ("exposure_time", "observation_id", "request_id")] == [None] * 3
    assert record["reduction_level"] == 0


def test_a_type_that_is_not_there_is_refused_before_the_archive_does() -> None:
    with pytest.raises(HeaderValueError, match="OBSTYPE"):
        ocs({"OBSTYPE": ABSENT}, required_headers=())


@pytest.mark.parametrize("keyword", ["REQNUM", "TRACKNUM", "BLKUID", "MOLUID"])
@pytest.mark.parametrize("value", ["NONE", "none", "0000None", "N/A", "UNKNOWN"])
def test_whole_numbers_that_are_none_are_null(keyword: str, value: str) -> None:
    assert ocs({keyword: value})["headers"][keyword] is None


def test_none_is_a_text_like_others_elsewhere_and_in_flat_records_that_have_fewer_whole_numbers() -> None:
    assert ocs({"OBJECT": "NONE"})["target_name"] == "NONE"
    assert record_of({"MOLUID": "NONE"})["MOLUID"] == "NONE"


def test_texts_are_texts_whatever_the_card_holds() -> None:
    record = ocs({"DAY-OBS": 20200101, "OBJECT": 83, "TELID": 1.5})
    assert (record["observation_day"], record["target_name"], record["telescope_id"]) == ("20200101", "83", "1.5")


def test_an_exposure_time_is_rounded_beside_the_header_and_not_in_it() -> None:
    record = ocs({"EXPTIME": 0.1 + 0.2})
    assert (record["exposure_time"], record["headers"]["EXPTIME"]) == (0.3, 0.1 + 0.2)


# Related frames


def test_related_frames_are_listed_in_the_order_of_their_keywords_and_empty_ones_stay_in_the_header() -> None:
    cards = {
        "GUIDETAR": "g.tar.gz",
        "L1IDARC": "a.fits",
        "L1ID1D": "",
        "L1IDBIAS": "b-bin1x1.fits.fz",
        "L1IDDARK": "N/A",
    }
    record = ocs(cards)
    assert record["related_frame_filenames"] == ["b-bin1x1", "a", "g"]
    assert {keyword: record["headers"][keyword] for keyword in cards} == {
        "GUIDETAR": "g", "L1IDARC": "a", "L1ID1D": "", "L1IDBIAS": "b-bin1x1", "L1IDDARK": "",
    }  # fmt: skip


def test_a_related_frame_that_is_only_an_extension_is_left_out() -> None:
    assert ocs({"L1IDBIAS": ".fits", "L1IDDARK": None})["related_frame_filenames"] == []


def test_other_related_frames_can_be_asked_for() -> None:
    record = ocs({"PARENT": "a.fits", "L1IDBIAS": "b.fits"}, related_frame_keys=("PARENT",))
    assert (record["related_frame_filenames"], record["headers"]["L1IDBIAS"]) == (["a"], "b.fits")


# The type that the file's name tells


@pytest.mark.parametrize(
    ("basename", "cards", "kind"),
    [
        ("coj1m011-fa12-20200101-0001-b00", {}, "BIAS"),
        ("coj1m011-fa12-20200101-0001-d00", {}, "DARK"),
        ("coj1m011-fa12-20200101-0001-f00", {}, "SKYFLAT"),
        ("coj1m011-fa12-20200101-0001-g00", {}, "GUIDE"),
        ("coj1m011-fa12-20200101-0001-s00", {}, "STANDARD"),
        ("ogg2m001-en06-20200101-0001-w00", {}, "LAMPFLAT"),
        ("coj1m011-fa12-20200101-0001-x00", {}, "EXPERIMENTAL"),
        ("coj1m011-fa12-20200101-0001-e91", {}, "EXPOSE"),
        ("ogg2m001-en06-20200101-0001-e00", {}, "SPECTRUM"),
        ("cptnrs03-fa13-20200101-0001-e00", {"ENCID": "igla"}, "TARGET"),
        ("cptnrs03-fa13-20200101-0001-e00", {"TELID": "igla"}, "TARGET"),
        ("cptnrs03-fa13-20200101-0001-a00", {"TELID": "igla"}, "DOUBLE"),
        ("ogg2m001-en06-20200101-0001-a00", {}, "ARC"),
        ("trace-cpt-nres03-20200101-e91", {}, "TRACE"),
        ("arc-cpt-nres03-20200101-e91", {}, "ARC"),
        ("arc", {}, "ARC"),
        ("coj-fa12-20200101-bias-bin1x1", {}, "BIAS"),
        ("coj-fa12-20200101-bpm-e1x1", {}, "BPM"),
    ],
)
@pytest.mark.parametrize("written", ["UNKNOWN", "", None, "N/A"])
def test_an_unknown_type_comes_from_the_name(basename: str, cards: dict[str, Any], kind: str, written: Any) -> None:
    record = ocs({"OBSTYPE": written, **cards}, basename)
    assert (record["configuration_type"], record["headers"]["OBSTYPE"]) == (kind, kind)


def test_a_type_in_the_header_is_believed() -> None:
    assert ocs({"OBSTYPE": "EXPOSE"}, "coj1m011-fa12-20200101-0001-b00")["configuration_type"] == "EXPOSE"


def test_a_catalogue_is_one_whatever_its_type_was() -> None:
    assert ocs({"OBSTYPE": "UNKNOWN"}, "a-e10_cat")["configuration_type"] == "CATALOG"


@pytest.mark.parametrize("basename", ["M83", "a-b-c-d", "a-b-c-d-", "a-b-c-d-q00", "tracer-b-c-d-"])
def test_a_type_that_the_name_does_not_give_is_an_error(basename: str) -> None:
    with pytest.raises(HeaderValueError) as raised:
        ocs({"OBSTYPE": "UNKNOWN"}, basename)
    assert raised.value.check == "OBSTYPE"


def test_a_calibration_of_unknown_type_is_public_at_once() -> None:
    assert ocs({"OBSTYPE": "UNKNOWN"}, "coj1m011-fa12-20200101-0001-b00")["public_date"] == DATE_OBS


# Dates


@pytest.mark.parametrize(
    ("written", "posted"),
    [
        ("2021-06-05T01:02:03.45", "2021-06-05T01:02:03.45"),
        ("2021-06-05T01:02:03Z", "2021-06-05T01:02:03Z"),
        ("2021-06-05", "2021-06-05T00:00:00"),
    ],
)
def test_dates_are_posted_as_written_or_in_the_form_that_every_archive_reads(written: str, posted: str) -> None:
    record = ocs({"DATE-OBS": written, "L1PUBDAT": written})
    assert (record["observation_date"], record["public_date"]) == (posted, posted)
    assert record["headers"]["DATE-OBS"] == written


def test_an_invalid_public_date_is_refused_before_the_upload() -> None:
    with pytest.raises(HeaderValueError) as raised:
        ocs({"L1PUBDAT": "soon"})
    assert raised.value.check == "L1PUBDAT"


# For those who come after


def test_both_formats_give_the_same_facts() -> None:
    for basename in (BASENAME, "bpm-fa12"):
        assert facts_of(ocs(basename=basename), rules().keys) == facts_of(record_of(basename=basename), rules().keys)


def test_an_announcement_is_flat_in_both_formats() -> None:
    more = {"version_set": [{"key": "k"}], "frameid": 7, "filename": "a.fits", "url": "http"}
    flat = announcement({**record_of(), **more})
    assert flat == {**record_of(), **more}
    assert announcement({**ocs(), **more}) == flat


KEYWORDS = st.sampled_from([*NESTED_NAMES, "L1IDBIAS", "L1IDARC", "ORIGNAME", "TRACKNUM", "ENCID", "UTSTOP"])
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 2**31 - 1),
    st.sampled_from(
        ["N/A", "UNKNOWN", "NONE", "", "a.b.c", "2020-01-02", "2020-01-02T03:04:05.6", "EXPOSE", "12:00:00"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
)
NUMBERS = ("exposure_time", "observation_id", "request_id")


@settings(deadline=None, derandomize=True)
@given(st.dictionaries(KEYWORDS, VALUES))
def test_whatever_a_header_holds_an_archive_finds_no_null_or_empty_text_where_it_takes_none(
    changes: dict[str, Any],
) -> None:
    header = fits.Header([(keyword, value) for keyword, value in {**CARDS, **changes}.items()])
    try:
        record = build_record([header], BASENAME, ".fits", rules(archive_record_format="ocs"))
    except HeaderValueError:
        return
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    version = {"key": "k", "md5": "m", "extension": ".fits"}
    refused = field_errors({**record, "version_set": [version]}, NESTED_FIELDS)
    assert set(refused) <= {"configuration_type"}, "which types there are only the archive knows"
    assert "" not in [record[field] for field in NUMBERS]
