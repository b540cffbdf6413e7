"""Header → record, rule by rule (docs/record.md). Each record comes from a real file in memory."""

import io
import json
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from ingester_demo.archive_rules import field_errors
from lco_ingester.exceptions import DoNotRetryError, HeaderMissingError, HeaderUnreadableError, HeaderValueError
from lco_ingester.record.build import build_record, end_of_exposure, header_of
from lco_ingester.record.lco import ARCHIVE_KEYWORDS, NUMBERS, OPTIONAL_TEXTS
from lco_ingester.settings import Settings
from tests.support.synthetic import (
    ABSENT,
    BASENAME,
    CARDS,
    compressed,
    fits_bytes,
    header,
    headers_of,
    image,
    record_of,
    record_of_file,
    rules,
)

DATE_OBS = CARDS["DATE-OBS"]
A_YEAR_LATER = "2021-01-01T03:04:05.678000"  # 2020 is a leap year: 365 days are a day less
PRIVATE_UNTIL = "3018-05-05T03:04:05.678000"


def spoilt(written: bytes, instead: bytes) -> bytes:
    """A good frame with these bytes of its header replaced by as many others."""
    content = image()
    assert content.count(written) == 1
    return content.replace(written, instead.ljust(len(written)))


# Which header


def test_the_record_has_all_cards_and_basename_and_area() -> None:
    record = record_of({"OBJECT": "M 83"})
    assert record.items() >= {**CARDS, "OBJECT": "M 83", "basename": BASENAME, "area": None}.items()
    assert record.items() >= {"SIMPLE": True, "BITPIX": 8, "NAXIS": 0}.items()
    assert "version_set" not in record


def test_the_first_hdu_with_all_required_keywords_gives_the_record() -> None:
    several = fits_bytes(
        fits.PrimaryHDU(header=header({"BLKUID": ABSENT, "OBJECT": "none"})),
        fits.ImageHDU(np.zeros((2, 2)), header({"OBJECT": "first"})),
        fits.ImageHDU(np.zeros((2, 2)), header({"OBJECT": "second"})),
    )
    assert record_of_file(several)["OBJECT"] == "first"


def test_missing_keywords_of_the_best_hdu_are_named() -> None:
    several = fits_bytes(
        fits.PrimaryHDU(),
        fits.ImageHDU(np.zeros((2, 2)), header({"BLKUID": ABSENT, "SITEID": ABSENT})),
        fits.ImageHDU(np.zeros((2, 2)), header({"BLKUID": ABSENT, "SITEID": ABSENT, "TELID": ABSENT})),
    )
    with pytest.raises(HeaderMissingError) as raised:
        record_of_file(several)
    assert isinstance(raised.value, DoNotRetryError)
    assert raised.value.found == "HDU 1 without SITEID, BLKUID"


def test_a_required_keyword_without_a_value_is_there() -> None:
    assert record_of({"BLKUID": None})["BLKUID"] is None


def test_other_required_keywords_can_be_asked_for() -> None:
    with pytest.raises(HeaderMissingError, match="OBSID"):
        record_of(required_headers=("SITEID", "OBSID"))
    assert record_of({"BLKUID": ABSENT}, required_headers=("SITEID",))["SITEID"] == "coj"


def test_without_required_keywords_the_first_hdu_is_taken() -> None:
    assert record_of({"BLKUID": ABSENT}, required_headers=())["SITEID"] == "coj"


# Cards


def test_of_a_repeated_keyword_the_first_card_counts() -> None:
    cards = header()
    cards.append(("OBJECT", "first"))
    cards.append(("OBJECT", "second"))
    assert record_of_file(fits_bytes(fits.PrimaryHDU(header=cards)))["OBJECT"] == "first"


def test_a_card_without_a_value_is_null() -> None:
    assert record_of({"OBJECT": None})["OBJECT"] is None


def test_history_comment_and_the_blank_keyword_are_dropped() -> None:
    cards = header()
    for keyword in ("HISTORY", "COMMENT", ""):
        cards[keyword] = "some words"
    assert not {"HISTORY", "COMMENT", ""} & set(record_of_file(fits_bytes(fits.PrimaryHDU(header=cards))))


def test_the_blacklist_can_be_another() -> None:
    cards = header({"OBJECT": "M 83"})
    cards["HISTORY"] = "some words"
    record = record_of_file(fits_bytes(fits.PrimaryHDU(header=cards)), header_blacklist=("OBJECT",))
    assert "OBJECT" not in record
    assert record["HISTORY"] == "some words"


@pytest.mark.parametrize("null", ["N/A", "UNKNOWN", "UNSPECIFIED"])
def test_null_texts_mean_an_empty_text_but_none_for_integer_keywords(null: str) -> None:
    record = record_of({"OBJECT": null, "BLKUID": null, "REQNUM": null})
    assert (record["OBJECT"], record["BLKUID"], record["REQNUM"]) == ("", None, None)


@pytest.mark.parametrize("text", ["n/a", "N/A, N/A", "Unknown", "NONE", "UNSPECIFIED1"])
def test_texts_that_only_resemble_null_stay(text: str) -> None:
    assert record_of({"OBJECT": text})["OBJECT"] == text


def test_numbers_and_flags_keep_their_kinds() -> None:
    record = record_of({"NUMBER": 7, "RATIO": 0.25, "FLAG": False, "DIGITS": "0007"})
    assert [record[key] for key in ("NUMBER", "RATIO", "FLAG", "DIGITS")] == [7, 0.25, False, "0007"]


def test_a_complex_number_becomes_text() -> None:
    json.dumps(record_of({"CPLX": 1 + 2j}))


def test_a_card_that_cannot_be_read_is_named() -> None:
    with pytest.raises(HeaderUnreadableError, match=r"byte 0x00 in card \d+ \(INSTRUME\) of HDU 0"):
        record_of_file(spoilt(b"'fa12    '", b"'fa\x0012"))


@pytest.mark.parametrize("keyword", ["FILTER", "INSTRUME", "SITEID", "TELID"])
@pytest.mark.parametrize("value", ["", "N/A", None])
def test_empty_texts_that_the_archive_refuses_are_left_out(keyword: str, value: str | None) -> None:
    assert keyword not in record_of({keyword: value})


@pytest.mark.parametrize(
    ("written", "posted"),
    [
        (0.1 + 0.2, 0.3),
        (1e-7, 0.0),
        (30.0, 30.0),
        (30, 30),
        ("0.30000000000000004", 0.3),
        ("30.0000000", 30.0),
        ("1e-07", 0.0),
        ("30.0", "30.0"),
    ],
)
def test_an_exposure_time_has_at_most_six_decimals(written: Any, posted: Any) -> None:
    assert record_of({"EXPTIME": written})["EXPTIME"] == posted


@pytest.mark.parametrize("written", ["", " ", "N/A", " N/A", "UNKNOWN"])
@pytest.mark.parametrize("keyword", ["EXPTIME", "BLKUID", "REQNUM"])
def test_an_empty_text_for_a_number_is_null(keyword: str, written: str) -> None:
    versions = {"version_set": [{"key": "k", "md5": "m", "extension": ".fits"}]}
    made = build_record([header({keyword: written})], BASENAME, ".fits", rules())
    assert made[keyword] is None
    assert field_errors(made | versions) == {}


@pytest.mark.parametrize("written", ["NONE", "none ", "None"])
def test_none_in_any_case_is_not_an_integer(written: str) -> None:
    record = record_of({"BLKUID": written, "REQNUM": written, "OBJECT": written})
    assert (record["BLKUID"], record["REQNUM"], record["OBJECT"]) == (None, None, written.strip())


@given(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.complex_numbers(),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
        st.floats(width=32).map(np.float32),
        st.integers(0, 255).map(np.uint8),
    )
)
def test_whatever_a_card_holds_the_record_is_json(value: Any) -> None:
    try:
        cards = header({"ANYVALUE": value, "EXPTIME": value})
    except ValueError:  # astropy knows no such card: NaN, infinity
        return
    try:
        record = build_record([cards], BASENAME, ".fits", rules())
    except HeaderValueError:  # of EXPTIME
        del cards["EXPTIME"]
        record = build_record([cards], BASENAME, ".fits", rules())
    assert json.loads(json.dumps(record, allow_nan=False)) == record


# RLEVEL


@pytest.mark.parametrize(
    ("written", "basename", "extension", "level"),
    [
        (91, "a-e00", ".fits", 91),
        ("91", "a-e00", ".fits", "91"),
        (ABSENT, "a-e90", ".fits", 90),
        (0, "a-e91", ".fits.fz", 91),
        ("", "a-e10", ".fits", 10),
        ("N/A", "a-e10", ".fits", 10),
        (None, "a-e10", ".fits", 10),
        (ABSENT, "a-e10_cat", ".fits", 10),
        (ABSENT, "a-b00", ".fits", 0),
        (ABSENT, "a-bias-bin2x2", ".fits", 0),
        (ABSENT, "a", ".fits", 0),
        (ABSENT, "a-e²²", ".fits", 0),
        (ABSENT, "LCO2020A-001_1_ftn_20200102_0001", ".tar.gz", 90),
        (0, "LCO2020A-001_1_ftn_20200102_0001", ".tar.gz", 90),
        (91, "LCO2020A-001_1_ftn_20200102_0001", ".tar.gz", 91),
    ],
)
def test_the_reduction_level_comes_from_the_header_or_else_the_name(
    written: Any, basename: str, extension: str, level: Any
) -> None:
    assert record_of({"RLEVEL": written}, basename, extension)["RLEVEL"] == level


# Catalogues


def test_a_catalogue_names_its_frame_and_is_of_type_catalog() -> None:
    record = record_of({"OBSTYPE": "EXPOSE"}, "a-e10_cat")
    assert (record["L1IDCAT"], record["OBSTYPE"]) == ("a-e10", "CATALOG")


def test_a_catalogue_that_names_its_frame_itself_is_believed() -> None:
    assert record_of({"L1IDCAT": "b-e91.fits"}, "a-e10_cat")["L1IDCAT"] == "b-e91"


def test_a_frame_that_is_not_a_catalogue_has_no_l1idcat() -> None:
    assert "L1IDCAT" not in record_of(basename="a-e10")


# DAY-OBS


@pytest.mark.parametrize("written", [ABSENT, "", "N/A", None])
def test_a_missing_day_is_the_date_of_date_obs(written: Any) -> None:
    assert record_of({"DAY-OBS": written})["DAY-OBS"] == "20200102"


@pytest.mark.parametrize("written", ["20200101", 20200101, "2020-01-01"])
@pytest.mark.parametrize("form", ["lco", "ocs"])
def test_a_day_in_the_header_stays_and_is_written_in_one_form(written: Any, form: str) -> None:
    record = record_of({"DAY-OBS": written}, archive_record_format=form)
    assert header_of(record)["DAY-OBS"] == record.get("observation_day", "20200101") == "20200101"


@pytest.mark.parametrize(
    "written", ["2020-1-1", "20200132", "202001-01", "2020", 20200101.0, True, "tonight", "2020-01-01T00:00:00", -1]
)
@pytest.mark.parametrize("form", ["lco", "ocs"])
def test_a_day_that_is_not_a_night_is_refused(written: Any, form: str) -> None:
    with pytest.raises(HeaderValueError) as raised:
        record_of({"DAY-OBS": written}, archive_record_format=form)
    assert raised.value.check == "DAY-OBS"


# L1PUBDAT


def test_a_public_date_in_the_header_stays() -> None:
    assert record_of({"L1PUBDAT": "2030-01-01", "OBSTYPE": "BIAS"})["L1PUBDAT"] == "2030-01-01"


@pytest.mark.parametrize(
    ("written", "posted"),
    [
        ("2030-01-01T23:59:60", "2030-01-02T00:00:00"),
        ("2030-01-01T24:00:00", "2030-01-02T00:00:00"),
        (" 2030-01-01T01:02:03", "2030-01-01T01:02:03"),
    ],
)
def test_a_public_date_is_written_as_the_archive_reads_it(written: str, posted: str) -> None:
    assert record_of({"L1PUBDAT": written})["L1PUBDAT"] == posted


def test_a_public_date_that_cannot_be_read_is_refused_before_the_archive_does() -> None:
    with pytest.raises(HeaderValueError, match="L1PUBDAT"):
        record_of({"L1PUBDAT": "some day"})


@pytest.mark.parametrize("written", [ABSENT, "", "UNKNOWN", None])
def test_a_frame_is_public_after_365_days_written_in_iso_format(written: Any) -> None:
    assert record_of({"L1PUBDAT": written})["L1PUBDAT"] == A_YEAR_LATER


@pytest.mark.parametrize("obstype", ["BIAS", "DARK", "SKYFLAT", "EXPERIMENTAL"])
def test_a_calibration_is_public_at_once(obstype: str) -> None:
    assert record_of({"OBSTYPE": obstype})["L1PUBDAT"] == DATE_OBS


@pytest.mark.parametrize("proposal", ["EPO", "LCOEPO2020", "calibrate", "standard", "pointing", "mycalib"])
def test_a_public_proposal_is_public_at_once(proposal: str) -> None:
    assert record_of({"PROPID": proposal})["L1PUBDAT"] == DATE_OBS


@pytest.mark.parametrize("proposal", ["Calibrate", "epo", None])
def test_proposals_are_compared_by_case_and_may_be_null(proposal: str | None) -> None:
    assert record_of({"PROPID": proposal})["L1PUBDAT"] == A_YEAR_LATER


def test_a_private_proposal_stays_private_for_999_years() -> None:
    assert record_of({"PROPID": "LCOEngineering-2"})["L1PUBDAT"] == PRIVATE_UNTIL


@pytest.mark.parametrize("suffix", ["-t00", "-x00"])
def test_a_private_file_type_stays_private_for_999_years(suffix: str) -> None:
    assert record_of(basename=f"a{suffix}")["L1PUBDAT"] == PRIVATE_UNTIL


def test_public_goes_before_private() -> None:
    assert record_of({"OBSTYPE": "EXPERIMENTAL"}, "a-x00")["L1PUBDAT"] == DATE_OBS


def test_a_catalogue_is_not_a_calibration_even_if_its_frame_was() -> None:
    assert record_of({"OBSTYPE": "BIAS"}, "a-b10_cat")["L1PUBDAT"] == A_YEAR_LATER


def test_the_lists_of_the_public_date_can_be_others() -> None:
    others: dict[str, Any] = {
        "calibration_types": ("EXPOSE",),
        "public_proposals": (),
        "private_proposals": ("calib",),
        "private_file_types": ("-e00",),
    }
    assert record_of({}, "a-e01", **others)["L1PUBDAT"] == DATE_OBS
    assert record_of({"OBSTYPE": "BIAS", "PROPID": "calib"}, "a-e01", **others)["L1PUBDAT"] == PRIVATE_UNTIL
    assert record_of({"OBSTYPE": "BIAS"}, "a-e00", **others)["L1PUBDAT"] == PRIVATE_UNTIL


@pytest.mark.parametrize(
    ("written", "year_later", "day"),
    [
        ("2021-06-05", "2022-06-05T00:00:00", "20210605"),
        ("2021-06-05T01:02:03.5", "2022-06-05T01:02:03.500000", "20210605"),
        ("2021-06-05T01:02:03Z", "2022-06-05T01:02:03", "20210605"),
    ],
)
def test_a_date_that_every_archive_reads_stays_as_it_is_written(written: str, year_later: str, day: str) -> None:
    record = record_of({"DATE-OBS": written, "DAY-OBS": ABSENT})
    assert (record["DATE-OBS"], record["L1PUBDAT"], record["DAY-OBS"]) == (written, year_later, day)


@pytest.mark.parametrize(
    ("written", "posted", "day"),
    [
        ("2021-06-05 01:02:03", "2021-06-05T01:02:03", "20210605"),
        ("2021-06-05T01:02:03+02:00", "2021-06-04T23:02:03", "20210604"),
        ("2021-06-05T24:00:00", "2021-06-06T00:00:00", "20210606"),
        ("+02021-06-05", "2021-06-05T00:00:00", "20210605"),
    ],
)
@pytest.mark.parametrize("form", ["lco", "ocs"])
def test_other_forms_of_a_date_are_written_as_the_archive_reads_them(
    written: str, posted: str, day: str, form: str
) -> None:
    cards = {"DATE-OBS": written, "DAY-OBS": ABSENT, "OBSTYPE": "BIAS"}
    record = record_of(cards, archive_record_format=form)
    made = header_of(record)
    assert (made["DATE-OBS"], made["L1PUBDAT"], made["DAY-OBS"]) == (posted, posted, day)
    assert record.get("observation_date", posted) == posted


@pytest.mark.parametrize(
    "written",
    [
        "", None, "N/A", "05/06/21", "yesterday", "2021-06-05T01:02:61", 7, True, 20210605, 20210605.5, "20210605",
        "2021-06-05.1234", "2021-06-05+05:00", "20210605T010203", "2021-W22-6", "2021-06-05T24:00", "2021-06-05T01",
        "2021-06-05T01:02", "2021-06-05t01:02:03", "2021-06-05T01:02:03 UTC", "2021-06-05T01:02:03,5", "2021-156",
        "2021-06-05  01:02:03", "2021-06-05T1:02:03", "2021-6-5", "2021-06-05T", "2021-06-05Z", "2021-06-05T01:02:03.",
    ],
)  # fmt: skip
def test_a_null_or_unreadable_date_of_observation_is_refused(written: Any) -> None:
    with pytest.raises(HeaderValueError) as raised:
        record_of({"DATE-OBS": written})
    assert raised.value.check == "DATE-OBS"
    assert isinstance(raised.value, DoNotRetryError)


def test_a_date_of_observation_must_be_there_even_if_it_is_not_required() -> None:
    with pytest.raises(HeaderValueError):
        record_of({"DATE-OBS": ABSENT}, required_headers=("SITEID",))


def test_a_date_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(HeaderValueError, match="DATE-OBS"):
        record_of({"DATE-OBS": "9999-12-31T00:00:00"})


# Related frames


@pytest.mark.parametrize(
    "keyword",
    [
        "L1IDBIAS", "L1IDDARK", "L1IDFLAT", "L1IDSHUT", "L1IDMASK", "L1IDFRNG", "L1IDCAT", "TARFILE", "ORIGNAME",
        "ARCFILE", "FLATFILE", "GUIDETAR",
    ],
)  # fmt: skip
def test_related_frames_lose_their_extension_and_empty_ones_are_dropped(keyword: str) -> None:
    assert record_of({keyword: "a-b.fits.fz"})[keyword] == "a-b"
    assert record_of({keyword: "a-b"})[keyword] == "a-b"
    for empty in ("", "N/A", None, ".fits"):
        assert keyword not in record_of({keyword: empty})


def test_other_keywords_with_file_names_stay() -> None:
    assert record_of({"L1IDARC": "a.fits"})["L1IDARC"] == "a.fits"


# Tile-compressed images


def test_a_compressed_frame_is_described_as_the_image_it_holds() -> None:
    record = record_of_file(compressed({"OBJECT": "M 83"}), extension=".fits.fz")
    assert record.items() >= {"NAXIS": 2, "NAXIS1": 30, "NAXIS2": 20, "BITPIX": 16, "OBJECT": "M 83"}.items()
    assert not {key for key in record if key.startswith(("Z", "TTYPE", "TFORM"))}
    assert "TFIELDS" not in record


def test_a_compressed_float_frame_has_no_dither_seed_and_no_bzero() -> None:
    record = record_of_file(compressed(dtype=np.float32, quantize_level=16, dither_seed=1), extension=".fits.fz")
    assert record["BITPIX"] == -32
    assert not {"ZDITHER0", "BZERO"} & set(record)


def record_of_table(**cards: Any) -> dict[str, Any]:
    """The record of a compressed frame whose table has these cards."""
    with fits.open(io.BytesIO(compressed()), disable_image_compression=True) as hdus:
        hdus[1].header.update(cards)
        headers = headers_of(fits_bytes(*hdus), validation="headers")  # the sums are made up
    return build_record(headers, BASENAME, ".fits.fz", rules())


def test_checksums_of_a_compressed_frame_are_those_of_its_image() -> None:
    sums = {"ZHECKSUM": "of the image", "ZDATASUM": "1234", "CHECKSUM": "of the table", "DATASUM": "5678"}
    record = record_of_table(**sums)
    assert (record["CHECKSUM"], record["DATASUM"]) == ("of the image", "1234")
    assert not {"CHECKSUM", "DATASUM"} & set(record_of_table(CHECKSUM="of the table", DATASUM="5678"))


def test_a_compressed_frame_keeps_bscale() -> None:
    assert record_of_table(BSCALE=1.0)["BSCALE"] == 1.0


# When the exposure ended


@pytest.mark.parametrize(
    ("cards", "ended"),
    [
        ({"UTSTOP": "03:05:00.5", "EXPTIME": 9.0}, "2020-01-02T03:05:00.5"),
        ({"UTSTOP": "00:10:00"}, "2020-01-03T00:10:00"),
        ({"UTSTOP": "03:05:00Z"}, "2020-01-02T03:05:00"),
        ({"UTSTOP": "2020-01-02T03:06:00.25"}, "2020-01-02T03:06:00.25"),
        ({"UTSTOP": "05:05:00+02:00"}, "2020-01-02T03:05:00"),
        ({"UTSTOP": "2020-01-02 03:06:00"}, "2020-01-02T03:06:00"),
        ({"UTSTOP": "N/A", "EXPTIME": 10.0}, "2020-01-02T03:04:15.678"),
        ({"UTSTOP": "030500", "EXPTIME": 10.0}, "2020-01-02T03:04:15.678"),
        ({"UTSTOP": "03:05", "EXPTIME": 10.0}, "2020-01-02T03:04:15.678"),
        ({"UTSTOP": 3.5, "EXPTIME": 10.0}, "2020-01-02T03:04:15.678"),
        ({"EXPTIME": "10"}, "2020-01-02T03:04:15.678"),
        ({"EXPTIME": "long"}, "2020-01-02T03:04:05.678"),
        ({"EXPTIME": 1e30}, "2020-01-02T03:04:05.678"),
        ({"EXPTIME": None}, "2020-01-02T03:04:05.678"),
        ({}, "2020-01-02T03:04:05.678"),
    ],
)
def test_an_exposure_ends_at_utstop_or_after_exptime_or_when_it_began(cards: dict[str, Any], ended: str) -> None:
    assert end_of_exposure({"DATE-OBS": DATE_OBS, **cards}, rules().keys) == datetime.fromisoformat(ended)


def test_an_exposure_that_ends_beyond_the_calendar_is_not_an_error() -> None:
    end_of_exposure({"DATE-OBS": "9999-12-31T10:00:00", "UTSTOP": "01:00:00", "EXPTIME": 1e6}, rules().keys)


def test_reading_does_not_change_the_header() -> None:
    [cards] = headers_of(image({"RLEVEL": ABSENT}))
    before = dict(cards)
    build_record([cards], "a-e91_cat", ".fits", rules())
    assert dict(cards) == before


def test_the_default_keywords_are_those_by_which_the_archive_reads_a_flat_record() -> None:
    defaults = {name: Settings.model_fields[f"{name}_key"].default for name in ARCHIVE_KEYWORDS}
    assert defaults == ARCHIVE_KEYWORDS
    assert {*OPTIONAL_TEXTS, *NUMBERS} <= {*ARCHIVE_KEYWORDS.values()}
