"""Any header becomes JSON: generated ones, unusual ones, and those that astropy has to fix."""

import io
import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from lco_ingester.exceptions import HeaderValueError, IngesterError
from lco_ingester.file.headers.frame_header import FrameHeader, cards, json_value
from lco_ingester.settings import Settings, load_settings
from tests.support.synthetic import compressed, fits_bytes, header, headers_of, image, record_of, record_of_file

KEYWORDS = st.from_regex(r"X[A-Z0-9_-]{0,7}", fullmatch=True)
LONG_KEYWORDS = st.from_regex(r"ESO( [A-Z0-9]{1,8}){1,3}", fullmatch=True)
TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=300).map(str.rstrip)
NUMBERS = st.one_of(st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.one_of(TEXTS, NUMBERS, st.none(), st.complex_numbers(allow_nan=False, allow_infinity=False))


def raw(*lines: str) -> bytes:
    """A good frame with these cards, exactly as they are written here, before its END."""
    content = image()
    end = content.index(b"END     ")
    made = content[:end] + b"".join(line.encode().ljust(80) for line in (*lines, "END"))
    return made.ljust(-(-len(made) // 2880) * 2880)


def value_of(line: str) -> Any:
    """What becomes of a card, written as it is in the file."""
    return record_of_file(raw(line))["X"]


def same(written: Any, found: Any) -> bool:
    """Whether the record holds what the header does."""
    if isinstance(written, complex):
        return math.isclose(complex(found).real, written.real) and math.isclose(complex(found).imag, written.imag)
    if isinstance(written, float):
        return math.isclose(written, found, rel_tol=1e-12)  # a card holds so many digits
    return (type(written), written) == (type(found), found)


@given(st.dictionaries(KEYWORDS, VALUES, max_size=12))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_record_is_json_and_as_rich_as_its_header(values: dict[str, Any]) -> None:
    record = json.loads(json.dumps(record_of(values), allow_nan=False))
    expected = {key: "" if value in ("N/A", "UNKNOWN", "UNSPECIFIED") else value for key, value in values.items()}
    assert {key: record[key] for key, value in expected.items() if not same(value, record[key])} == {}


NULLS = load_settings(Settings).null_header_values


@given(st.dictionaries(LONG_KEYWORDS, TEXTS.filter(lambda text: len(text) < 30 and text not in NULLS), max_size=5))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_hierarch_keywords_keep_their_long_names(values: dict[str, str]) -> None:
    made = header()
    for keyword, value in values.items():
        made[f"HIERARCH {keyword}"] = value
    record = record_of_file(fits_bytes(fits.PrimaryHDU(None, made)))
    assert {keyword: record[keyword] for keyword in values} == values


@given(st.lists(st.binary(min_size=80, max_size=80), max_size=5), st.booleans())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_cards_of_any_bytes_give_a_record_or_an_error_of_ours(lines: list[bytes], readable: bool) -> None:
    text = bytes(range(0x20, 0x7F))
    made = b"".join(bytes(text[byte % len(text)] for byte in line) if readable else line for line in lines)
    content = image()
    end = content.index(b"END     ")
    content = (content[:end] + made + b"END".ljust(80)).ljust(2880 * 2)[: 2880 * 2]
    try:
        record = record_of_file(content)
    except IngesterError as error:
        record = {"error": str(error)}
    json.dumps(record, allow_nan=False)


@given(st.lists(st.tuples(KEYWORDS, st.text("'=/ .,()0123456789EDTF+-naif&", max_size=68)), max_size=6))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_values_of_any_shape_give_a_record_with_their_keywords(lines: list[tuple[str, str]]) -> None:
    record = record_of_file(raw(*(f"{keyword:8}= {value}" for keyword, value in lines)))
    json.dumps(record, allow_nan=False)
    assert record.keys() >= {keyword for keyword, _ in lines}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X       = NaN", None),
        ("X       = -inf / bare words, which FITS has not", None),
        ("X       = 1E400", None),
        ("X       = 'NaN'", "NaN"),
        ("X       = (1.5, -2)", "(1.5-2j)"),
        ("X       = (nan, 1)", "(nan, 1)"),
        ("X       =", None),
        ("X       = / undefined, with a comment", None),
        ("X       = ''", ""),
        ("X       = 'it''s'", "it's"),
        ("X       = '  spaces before count, behind not   '", "  spaces before count, behind not"),
        ("X       = 1.5D10", 1.5e10),
        ("X       = - 12", -12),
        ("X       = 007", 7),
        ("X       = 99999999999999999999999999", 99999999999999999999999999),
        ("X       = abc", "abc"),
        ("X       = 2020-01-01T00:00:00", "2020-01-01T00:00:00"),
        ("X       = TRUE", "TRUE"),
        ("X       = 'no end", "no end"),
        ("x       = 'small letters'", "small letters"),
        ("X     = 'too near'", "too near"),
    ],
)
def test_an_odd_value_is_this(line: str, value: Any) -> None:
    found = value_of(line)
    assert (type(found), found) == (type(value), value)


def test_a_long_text_is_put_together() -> None:
    text = "a word and 'another' & more " * 40
    assert record_of({"LONGTEXT": text})["LONGTEXT"] == text.rstrip()
    with_number = raw("X       = 'begins &'", "CONTINUE  'goes on&'", "CONTINUE  ' and ends' / comment")
    assert record_of_file(with_number)["X"] == "begins goes on and ends"


def test_a_continue_without_a_beginning_is_a_comment() -> None:
    for before in ("X       = 1", "CONTINUE  'more of nothing&'", "X       = 'whole'", "COMMENT words &'s"):
        record = record_of_file(raw(before, "CONTINUE  'of nothing'", "Y       = 2"))
        assert (record["SITEID"], record["Y"], "CONTINUE" in record) == ("coj", 2, False)


def test_of_keywords_that_differ_in_case_alone_the_first_counts() -> None:
    assert record_of_file(raw("X       = 1", "x       = 2", "X       = 3"))["X"] == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(1.5), 1.5),
        (np.float64("nan"), None),
        (np.float32("inf"), None),
        (np.int16(-7), -7),
        (np.bool_(True), True),
        (np.str_("text"), "text"),
        (np.complex64(1 + 2j), "(1+2j)"),
        (float("nan"), None),
        (None, None),
        (fits.card.Undefined(), None),
    ],
)
def test_a_value_of_numpy_is_one_of_json(value: Any, expected: Any) -> None:
    found = json_value(value)
    assert found == expected
    json.dumps(found, allow_nan=False)


class Stumbling:
    """A card over which astropy stumbles."""

    keyword = "X"
    field_specifier = None

    @property
    def value(self) -> Any:
        raise AttributeError("'NoneType' object has no attribute 'group'")


def test_a_card_that_cannot_be_read_is_one_clear_error() -> None:
    with pytest.raises(HeaderValueError, match="X: expected a readable card, found 'NoneType'"):
        list(cards(SimpleNamespace(cards=[Stumbling()]), ()))


def test_a_compressed_frame_of_floats_with_odd_cards_is_json_too() -> None:
    content = compressed({"HIERARCH ESO DET X": 1.5, "CPLX": 1 + 2j, "UNDEF": None}, dtype=np.float32)
    with fits.open(io.BytesIO(content)) as hdus:
        assert hdus[1].header["CPLX"] == 1 + 2j
    [_, found] = headers_of(content)
    values = dict(found.cards(()))
    assert (values["ESO DET X"], values["CPLX"], values["UNDEF"]) == (1.5, "(1+2j)", None)


def test_reading_a_header_leaves_it_as_it_was() -> None:
    bare = fits.Header.fromstring("RLEVEL  =                  NaN".ljust(80) + "END".ljust(80))
    assert dict(cards(bare, ())) == dict(cards(bare, ())) == {"RLEVEL": None}


def test_a_header_is_a_mapping_of_its_values() -> None:
    found = FrameHeader({"A": 1, "LONG name": 2}, without_value=["B"])
    assert list(found.items()) == [("A", 1), ("LONG name", 2)]
    assert (len(found), bool(FrameHeader({})), "a" in found, "B" in found) == (2, False, True, False)
    assert list(found.cards(("A",))) == [("LONG name", 2), ("B", None)]
