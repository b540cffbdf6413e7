"""The record holds what the card says by the FITS standard, not what a library makes of it."""

import io
import logging
from typing import Any

import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from lco_ingester.exceptions import FitsStructureError, HeaderMissingError, HeaderValueError
from lco_ingester.file.headers.raw_header import BLOCK, CARD
from lco_ingester.record.build import build_record
from tests.support.synthetic import (
    ABSENT,
    BASENAME,
    CARDS,
    Cards,
    compressed,
    fits_bytes,
    header,
    headers_of,
    image,
    record_of,
    record_of_file,
    rules,
)

RECORD_VALUED = ["TILEID: 1106", "V: 550.0", "LCOEngineering: 1", "AXIS.1: 2", "X: 007", "X: 1E5", "X.Y.1: -3.50"]
WCS: Cards = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 4.5, "CRPIX2": 4.5, "CRVAL1": 180.0, "CRVAL2": 45.0,
    "CD1_1": -0.001, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 0.001,
}  # fmt: skip


def with_lines(content: bytes, *lines: str, behind: bytes = b"", hdu: int = 0) -> bytes:
    """The file with these cards before the END of an HDU, and these bytes behind it in the same block."""
    begin = 0
    for _ in range(hdu):
        begin = content.index(b"XTENSION", begin + 1)
    end = next(at for at in range(begin, len(content), CARD) if content[at : at + 8] == b"END     ")
    rest = begin + -(-(end + CARD - begin) // BLOCK) * BLOCK
    cards = b"".join(line.encode("latin-1").ljust(CARD)[:CARD] for line in (*lines, "END")) + behind
    made = content[begin:end] + cards
    return content[:begin] + made.ljust(-(-len(made) // BLOCK) * BLOCK) + content[rest:]


def without(content: bytes, *keywords: str) -> bytes:
    """The file without these cards; their places are comments."""
    cards = [content[at : at + CARD] for at in range(0, len(content), CARD)]
    gone = [b"COMMENT gone".ljust(CARD) if card[:8].decode("latin-1").strip() in keywords else card for card in cards]
    return b"".join(gone)


# Record-valued keyword cards


@pytest.mark.parametrize("text", RECORD_VALUED)
@pytest.mark.parametrize("keyword", ["OBJECT", "FILTER", "PROPID", "DP1", "EXTNAME"])
def test_a_text_that_looks_like_a_record_stays_the_text_of_its_keyword(keyword: str, text: str) -> None:
    content = with_lines(without(image(), keyword), f"{keyword:8}= '{text}' / comment")
    assert record_of_file(content)[keyword] == text
    nested = record_of_file(content, archive_record_format="ocs")
    assert nested["headers"][keyword] == text
    assert not any("." in each for each in nested["headers"])


@pytest.mark.parametrize("text", RECORD_VALUED)
@pytest.mark.parametrize("line", ["OBJECT  =   '{}'", "object  = '{}'", "OBJECT  ='{}'", "OBJECT = '{}'"])
def test_so_does_one_that_is_not_in_the_fixed_format(line: str, text: str) -> None:
    assert record_of_file(with_lines(image(), line.format(text)))["OBJECT"] == text


@pytest.mark.parametrize("keyword", ["OBJECT", "EXTNAME", "ZFILTER"])
def test_so_does_one_in_a_file_that_astropy_judges(keyword: str) -> None:
    unusual = with_lines(compressed(), "ZBLANK  = 5", "ZMASKCMP= 'RICE_1'", f"{keyword:8}= 'TILEID: 1106'", hdu=1)
    record = record_of_file(unusual, extension=".fits.fz")
    assert (record[keyword], record["NAXIS1"]) == ("TILEID: 1106", 30)


@pytest.mark.parametrize("made", [header, lambda cards: fits.Header.fromstring(header(cards).tostring())])
def test_so_does_one_in_a_header_of_astropy_that_a_site_gives(made: Any) -> None:
    given_by_site = made({"OBJECT": "TILEID: 1106", "PROPID": "LCOEngineering: 1"})
    record = build_record([given_by_site], BASENAME, ".fits", rules())
    assert (record["OBJECT"], record["PROPID"]) == ("TILEID: 1106", "LCOEngineering: 1")


def test_a_private_frame_stays_private_whatever_its_proposal_looks_like() -> None:
    content = with_lines(without(image(), "PROPID"), "PROPID  = 'LCOEngineering: 1'")
    assert record_of_file(content)["L1PUBDAT"].startswith("3018-")


# Other conveniences


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("1D5", 1e5), ("1.0d0", 1.0), ("+2", 2), ("-0", 0), ("1.", 1.0), ("'T'", "T"), ("T", True), ("''", ""),
        ("'  a  '", "  a"), ("'&'", "&"), ("9" * 30, int("9" * 30)), ("(1, 2)", "(1+2j)"), ("", None), ("/ c", None),
        ("'it''s / no comment' / c", "it's / no comment"), ("'1.0'", "1.0"), ("1E400", None), ("NaN", None),
    ],
)  # fmt: skip
def test_the_value_is_that_of_the_standard(field: str, value: Any) -> None:
    found = record_of_file(with_lines(image(), f"X       = {field}"))["X"]
    assert (type(found), found) == (type(value), value)


def test_a_text_over_several_cards_ends_where_no_ampersand_asks_for_more() -> None:
    for lines, value in [
        (["X       = 'a&'", "CONTINUE  'b&'", "CONTINUE  'c' / d"], "abc"),
        (["X       = 'a&'", "CONTINUE  'b&'"], "ab&"),
        (["X       = 'a&'", "Y       = 1"], "a&"),
        (["X       = 'a&'", "CONTINUE  no text"], "a&"),
        (["X       = 'X.1: 2&'", "CONTINUE  '3'"], "X.1: 23"),
    ]:
        assert record_of_file(with_lines(image(), *lines))["X"] == value


def test_bscale_bzero_blank_and_extend_stay_as_they_are_written() -> None:
    lines = ["BSCALE  = 2.0", "BZERO   = 32768", "BLANK   = -1"]
    two = fits_bytes(fits.PrimaryHDU(None, header({"EXTEND": ABSENT})), fits.ImageHDU())
    record = record_of_file(with_lines(without(two, "EXTEND"), *lines, "EXTEND  = F"))
    assert [record[keyword] for keyword in ("BSCALE", "BZERO", "BLANK", "EXTEND")] == [2.0, 32768, -1, False]


# Cards without a value indicator


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X       ='field 1'", "field 1"),
        ("X       ='field 1'/ comment", "field 1"),
        ("X       =1.25", 1.25),
        ("X       =2.0 / e/ADU", 2.0),
        ("X       =T", True),
        ("X       =-3", -3),
        ("X       =/ undefined", None),
        ("X= 'near'", "near"),
        ("X='nearer' / c", "nearer"),
        ("X          = 'far'", "far"),
        ("x       ='small letters'", "small letters"),
        ("X       = 'no end", "no end"),
        ("X       = 'no slash' before it", "no slash"),
        ("X       = 'O'Brien' / c", "O'Brien"),
        # Not clear
        ("X       =field 1", None),
        ("X       ='no end", None),
        ("X       = 'no end / or a comment", None),
        ("X       =1 2", None),
        ("X       field 1", None),
        ("X       : 'field 1'", None),
    ],
)
def test_a_card_that_breaks_the_standard_is_repaired_where_it_is_clear(line: str, value: Any) -> None:
    content = with_lines(image(), line)
    record = record_of_file(content)
    assert (type(record["X"]), record["X"]) == (type(value), value)
    assert headers_of(content)[0].repaired["X"] == line


@pytest.mark.parametrize("keyword", [keyword for keyword in CARDS if keyword not in ("DAY-OBS", "RLEVEL", "DATE-OBS")])
@pytest.mark.parametrize("line", ["{:8}=some words", "{:8}'value'", "{:8}= 'no end / c"])
@pytest.mark.parametrize("form", ["lco", "ocs"])
def test_a_required_keyword_needs_a_value(keyword: str, line: str, form: str) -> None:
    content = with_lines(without(image(), keyword), line.format(keyword))
    with pytest.raises(HeaderMissingError, match=f"without {keyword}"):
        record_of_file(content, archive_record_format=form)


def test_a_required_keyword_that_the_record_lacks_is_refused() -> None:
    related = {"L1IDBIAS": ".fits"}  # nothing of it is left without its extension
    with pytest.raises(HeaderValueError, match="L1IDBIAS: expected a value in the record"):
        record_of(related, required_headers=("L1IDBIAS",))
    assert "L1IDBIAS" not in record_of(related)


@pytest.mark.parametrize("value", ["", "N/A", None])
def test_one_that_is_empty_is_left_out_by_its_rule(value: str | None) -> None:
    assert "TELID" not in record_of({"TELID": value})
    assert record_of({"TELID": value}, archive_record_format="ocs")["telescope_id"] == ""


def test_a_card_without_a_value_does_not_hide_one_with_a_value() -> None:
    lines = ["X       some words", "X       = 1", "TELESCOPE = 'too long'", "TELESCOP= 'right'"]
    record = record_of_file(with_lines(image(), *lines))
    assert (record["X"], record["TELESCOP"]) == (1, "right")


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z][A-Z0-9_-]{0,7}", fullmatch=True).filter(lambda name: name not in {*CARDS, "END"}),
        st.tuples(
            st.sampled_from(["= ", "=", " =", "  ", "= '"]),
            st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60),
        ),
        max_size=10,
    )
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_keyword_is_lost_between_header_and_record(cards: dict[str, tuple[str, str]]) -> None:
    structural = {"SIMPLE", "BITPIX", "NAXIS", "EXTEND", "GROUPS", "NEXTEND", "CHECKSUM", "DATASUM", "PCOUNT", "GCOUNT"}
    dropped = {"COMMENT", "HISTORY", "CONTINUE", "FILTER", *structural}  # the blacklist, and a rule for FILTER
    kept = {keyword: card for keyword, card in cards.items() if keyword not in dropped and keyword[:5] != "NAXIS"}
    lines = [f"{keyword:8}{indicator}{rest}" for keyword, (indicator, rest) in kept.items()]
    content = with_lines(image(), *lines)
    related = {"L1PUBDAT": "2020-01-02"}
    record = record_of_file(with_lines(content, *(f"{each:8}= '{value}'" for each, value in related.items())))
    assert kept.keys() - record.keys() == set()


# What stands behind the END


@pytest.mark.parametrize(
    "left",
    [
        "NAXIS   =                    3", "NAXIS1  = 'x'", "BITPIX  =                    7", "PCOUNT  = -1",
        "CHECKSUM= 'x'", "DATASUM = '1'", "END", "SIMPLE  = F", "OBJECT  = '50\xb0'", "\xff\xfe\x01\t",
        "OBJECT  = 'old'", "NEXTEND = 5", "CONTINUE  'x'",
    ],
)  # fmt: skip
def test_what_stands_behind_the_end_is_not_the_header(left: str) -> None:
    good = image({"OBJECT": "new"}, pixels=8)
    behind = left.encode("latin-1").ljust(CARD)
    assert record_of_file(with_lines(good, behind=behind)) == record_of_file(good)
    later = fits_bytes(fits.PrimaryHDU(), fits.ImageHDU(None, header({"OBJECT": "new"})))
    assert record_of_file(with_lines(later, behind=behind, hdu=1)) == record_of_file(later)


# Repeated keywords


@pytest.mark.parametrize(
    "line",
    [
        "NAXIS1  = 8 / fastest axis", "NAXIS1  = +8", "BITPIX  =                   16 / bits", "NAXIS   =2",
        "naxis2  = 008", "SIMPLE  = T / yes",
    ],
)  # fmt: skip
def test_a_mandatory_keyword_may_be_repeated_with_the_same_value(line: str) -> None:
    good = image(pixels=8)
    assert record_of_file(with_lines(good, line)) == record_of_file(good)


@pytest.mark.parametrize("line", ["NAXIS1  = 9", "BITPIX  = 8", "NAXIS   = 3", "SIMPLE  = F"])
def test_but_not_with_another_value(line: str) -> None:
    with pytest.raises(FitsStructureError, match="expected one"):
        record_of_file(with_lines(image(pixels=8), line))


@pytest.mark.parametrize(
    "lines",
    [["CRVAL1  = 180. / again"], ["CRVAL1  = 1.8E2"], ["CTYPE1  = 'RA---TAN   '"], ["WCSAXES = 2", "WCSAXES = +2"],
     ["A_ORDER = 0", "A_ORDER =                    0 / Polynomial order"]],
)  # fmt: skip
def test_a_wcs_keyword_may_be_repeated_with_the_same_value(lines: list[str]) -> None:
    assert record_of_file(with_lines(image(WCS, pixels=8), *lines))["area"] is not None


@pytest.mark.parametrize(
    ("lines", "keyword"),
    [
        (["WCSAXES = 99999999"], "WCSAXES"),
        (["WCSAXES = -99999999999999999"], "WCSAXES"),
        (["WCSAXES = 1E9"], "WCSAXES"),
        (["A_ORDER = 999999999"], "A_ORDER"),
        (["B_ORDER = -1"], "B_ORDER"),
        (["AP_ORDER= 1E6"], "AP_ORDER"),
        (["BP_ORDER= 10"], "BP_ORDER"),
        (["WCSAXES = 2", "WCSAXES = 3"], "WCSAXES"),
        (["A_ORDER = 0", "A_ORDER = 1"], "A_ORDER"),
        (["CRVAL1  = 181.0"], "CRVAL1"),
        (["CUNIT1  =arcsec"], "CUNIT1"),
        (["CROTA2    90"], "CROTA2"),
        (["RADESYS =FK4"], "RADESYS"),
        (["CD01_01 = 0.1", "CD01_01 = 0.2"], "CD01_01"),
    ],
)
def test_a_doubtful_wcs_costs_the_area_and_not_the_frame(
    lines: list[str], keyword: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        record = record_of_file(with_lines(image(WCS, pixels=8), *lines))
    assert record["area"] is None
    assert [keyword in message and BASENAME in message for message in caplog.messages] == [True]


def test_the_area_of_a_spectrograph_does_not_depend_on_the_wcs() -> None:
    content = image({**WCS, "RADIUS": 2.0, "RA": "12:00:00", "DEC": "45:00:00"}, pixels=8)
    assert record_of_file(with_lines(content, "CRVAL1  = 181.0"))["area"] is not None
    assert record_of_file(with_lines(content, "RADIUS  = 3.0"))["area"] is None


# Keywords of compressed images


@pytest.mark.parametrize("lines", [["ZIMAGE  = T"], ["ZNAXIS  = 9999"], ["ZIMAGE  = T", "ZBITPIX = 5", "ZNAXIS  = 2"]])
def test_keywords_of_compression_mean_something_in_a_binary_table_only(lines: list[str]) -> None:
    for content, hdu in [
        (image(pixels=8), 0),
        (fits_bytes(fits.PrimaryHDU(), fits.ImageHDU(None, header())), 1),
    ]:
        record = record_of_file(with_lines(content, *lines, "ZCMPTYPE= 'RICE_1'", hdu=hdu))
        assert (record["BITPIX"], record["ZCMPTYPE"]) == (16 if hdu == 0 else 8, "RICE_1")


@pytest.mark.parametrize(
    "gone",
    [
        ["ZTILE1", "ZTILE2"], ["ZTILE2"], ["ZNAME1", "ZVAL1", "ZNAME2", "ZVAL2"], ["ZVAL1"], ["ZTENSION"],
        ["ZPCOUNT", "ZGCOUNT"], ["ZQUANTIZ"], ["ZDITHER0"], ["EXTNAME"], ["ZSIMPLE", "ZEXTEND"],
        ["ZTILE1", "ZTILE2", "ZNAME1", "ZNAME2", "ZVAL1", "ZVAL2", "ZPCOUNT", "ZGCOUNT", "ZTENSION", "EXTNAME"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("unusual", [[], ["ZMASKCMP= 'RICE_1'"]])
def test_a_compressed_image_may_leave_out_what_has_a_default(gone: list[str], unusual: list[str]) -> None:
    whole = compressed({"OBJECT": "x"})
    with fits.open(io.BytesIO(whole)) as hdus:
        shape = hdus[1].data.shape
    record = record_of_file(with_lines(without(whole, *gone), *unusual, hdu=1), extension=".fits.fz")
    assert [record[each] for each in ("XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2")] == [
        "IMAGE",
        16,
        2,
        *shape[::-1],
    ]
    assert (record["PCOUNT"], record["GCOUNT"], record["OBJECT"]) == (0, 1, "x")


# A card that breaks the standard beside one that does not


@pytest.mark.parametrize(
    ("broken", "legal"),
    [
        ("PROPID='EPO'", "PROPID  = 'LCOEngineering'"),
        ("SITEID  ='cpt'", "SITEID  = 'coj'"),
        ("  SITEID= 'xyz'", "SITEID  = 'coj'"),
        ("OBJECT  ='one'", "OBJECT  = 'two'"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_card_without_a_value_indicator_does_not_count_beside_one_with_it(
    broken: str, legal: str, is_first: bool
) -> None:
    keyword, value = legal[:8].strip(), legal[10:].strip("'")
    lines = [broken, legal] if is_first else [legal, broken]
    record = record_of_file(with_lines(image({keyword: ABSENT}, pixels=8), *lines))
    assert record[keyword] == value


@pytest.mark.parametrize("line", ["NAXIS1  =11", " NAXIS1= 9000", " XTENSION= 'BINTABLE'", "TFIELDS = 1000"])
def test_a_structural_keyword_is_that_of_the_legal_card_and_of_this_kind_of_hdu(line: str) -> None:
    record = record_of_file(with_lines(image(WCS, pixels=8), line))
    assert record["NAXIS1"] == 8
    assert record["area"] is not None


@pytest.mark.parametrize("line", ["L1PUBDAT= '2099-01-01 / public", "L1PUBDAT  2099-01-01", "TIMESYS =TAI"])
def test_an_unclear_value_never_becomes_a_default_that_decides(line: str) -> None:
    with pytest.raises(HeaderValueError, match=line[:8].strip(" =")):
        record_of_file(with_lines(image(pixels=8), line))


@pytest.mark.parametrize("field", ["'fa12' 'camera'", "'a' 'b'", "N/A", "fa/12", '"coj"'])
def test_a_value_whose_end_is_not_clear_is_not_guessed(field: str) -> None:
    record = record_of_file(with_lines(image({"OBJECT": ABSENT}, pixels=8), f"OBJECT  = {field}"))
    assert record["OBJECT"] is None
