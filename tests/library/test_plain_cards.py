"""What is read of a header without astropy is what astropy reads, but where astropy changes what the card says.

What a card says that breaks the standard is in test_cards_as_written.py.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits.column import KEYWORD_NAMES
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from lco_ingester.exceptions import IngesterError
from lco_ingester.file.headers.frame_header import cards
from lco_ingester.file.headers.parse import as_astropy_reads
from lco_ingester.file.headers.plain_cards import split_header
from lco_ingester.file.headers.raw_header import BLOCK, RawHeader
from lco_ingester.file.headers.structural_cards import is_structural
from tests.support.full_header import full_header
from tests.support.synthetic import compressed, fits_bytes, header, headers_of, in_blocks

SHIPPED = sorted(Path(fits.__file__).parent.glob("tests/data/*.fits"))
OF_SHAPE = [
    "EXTNAME", "EXTVER", "EXTLEVEL", "INHERIT", "NEXTEND", "EXTEND", "BLOCKED", "BSCALE", "BZERO", "BLANK", "CHECKSUM",
    "DATASUM", "GROUPS", "THEAP", "ZBLANK", "ZSCALE", "ZSIMPLE", "ZTENSION", "ZEXTEND", "ZBLOCKED", "ZNAXIS",
    "ZNAXIS1", "ZNAXIS3", "ZHECKSUM", "ZDATASUM", "ZMASKCMP", "ZQUANTIZ", "ZDITHER0", "ZNAME9", "ZVAL9", "ZTILE9",
    "NAXIS7",
    *(f"{name}{number}" for name in KEYWORD_NAMES for number in (1, 7)),
]  # fmt: skip

PRINTABLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
KEYWORDS = st.one_of(
    st.sampled_from(["A", "B-_9", "OBJECT", "COMMENT", "HISTORY", "", "CONTINUE", "HIERARCH"]),
    st.from_regex(r"[A-Z0-9_-]{1,8}", fullmatch=True),
)
NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.floats().map("{:.8E}".format),
    st.from_regex(r"[+-]?[0-9]{0,22}\.?[0-9]{0,20}([EDed][+-]?[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"\( ?[0-9.]{1,4} ?, ?-?[0-9.]{1,4} ?\)", fullmatch=True),
)
TEXTS = st.one_of(
    st.text(PRINTABLE, max_size=66),
    st.from_regex(r"[A-Z]{1,3}(\.[A-Z0-9]{1,2})?:  ?-?[0-9.]{1,4}", fullmatch=True),
).map("'{}'".format)
WORDS = st.one_of(
    st.sampled_from(["T", "F", "", "NaN", "'it''s'", "'no end", "'&'", "'goes on &'"]), st.text(PRINTABLE)
)
COMMENTS = st.one_of(st.just(""), st.text(PRINTABLE, max_size=30).map(" / {}".format), st.just("/"), st.just(" star's"))
pytestmark = pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")

LINES = st.one_of(
    st.builds(
        lambda keyword, equals, value, wide, comment: f"{keyword:8}{equals}{value:>{wide}}{comment}"[:80],
        KEYWORDS,
        st.sampled_from(["= ", "= ", "= ", "=", "  ", " ="]),
        st.one_of(NUMBERS, TEXTS, WORDS),
        st.sampled_from([20, 20, 20, 0, 21, 30]),
        COMMENTS,
    ),
    st.text(PRINTABLE, max_size=80),
    st.builds("HIERARCH {} = {}".format, st.sampled_from(["OBJECT", "ESO DET X", "A"]), NUMBERS),
).filter(
    lambda line: not (line.lstrip().upper().startswith("END") or ("=" in line[:8] and line[8:10] == "= "))
)  # astropy ends a header at cards that are like END


def by_us(headers: list[RawHeader]) -> list[dict[str, Any]] | str:
    """The values of each header, or what is wrong."""
    try:
        return [dict(each.cards(())) for each in as_astropy_reads(headers)]
    except IngesterError as error:
        return error.reason


def by_astropy(content: bytes) -> list[dict[str, Any]] | str:
    """The same by astropy alone."""
    try:
        # Without astropy's record-valued cards, which make OBJECT.X = 1.0 of OBJECT = 'X: 1'.
        off = fits.conf.set_temp("enable_record_valued_keyword_cards", False)
        with off, fits.open(io.BytesIO(content)) as hdus:
            return [dict(cards(hdu.header, ())) for hdu in hdus]
    except IngesterError as error:
        return error.reason
    except Exception:  # whatever astropy raises over a header
        return "FITS_STRUCTURE"


def typed(headers: list[dict[str, Any]] | str) -> Any:
    """1, 1.0 and True are not the same."""
    if isinstance(headers, str):
        return headers
    return [{keyword: (type(value), value) for keyword, value in each.items()} for each in headers]


@given(st.lists(LINES, max_size=12))
@example(["OBJECT  = 'plain'", "HIERARCH OBJECT = 'odd'", "OBJECT  = 'plain'"])
@example(["HIERARCH OBJECT = 'odd'", "OBJECT  = 'plain'"])
@example(["OBJECT  = 'plain'", "OBJECT  = 'goes on &'", "CONTINUE  'here'"])
@example(["OBJECT  = 'goes on &'", "CONTINUE  'here'", "OBJECT  = 'plain'"])
@example(["A       = 'plain'", "A       = 'X.1: 2'"])
@example(["A       = 'X.1: 2'", "A       = 'plain'"])
@example(["A       =                1E400", "A       =                    1"])
@example(["HIERARCH 0=(0,-0.)"])
@example(["HISTORY one", "HISTORY 'goes on &'", "CONTINUE  'here'", "HISTORY two", "A       =                    1"])
@example(["HISTORY 'goes on &'", "CONTINUE  'here'", "HISTORY one", "HISTORY two", "COMMENT three", "HISTORY four"])
@example(["HISTORY = 'text'", "COMMENT =                    1", "HISTORYX=                    1", "COMMENTS= 'x'"])
@settings(max_examples=1500, deadline=None, derandomize=True)
def test_any_cards_are_read_as_by_astropy(lines: list[str]) -> None:
    raw = RawHeader(0, 0, in_blocks("SIMPLE  =                    T", "BITPIX  = 8", "NAXIS   = 0", *lines))
    [ours] = as_astropy_reads([raw])
    theirs = by_astropy(raw.cleaned.ljust(len(raw.raw)))
    assume(not isinstance(theirs, str))  # astropy cannot read it; we can
    as_they_stand = typed([dict(ours.cards(()))])[0]
    expected = typed(theirs)[0]
    left_out = {"", *ours.repaired, *(keyword for keyword in as_they_stand if set("'=") & set(keyword))}
    if any(line.startswith("CONTINUE") for line in lines):
        left_out |= {"COMMENT", "HISTORY"}  # astropy continues them as if they were texts
    compared = as_they_stand.keys() - left_out
    assert {keyword: as_they_stand[keyword] for keyword in compared} == {each: expected.get(each) for each in compared}


@given(
    st.dictionaries(st.sampled_from(OF_SHAPE), st.sampled_from(["0", "1", "2.0", "'X'", "'ZBLANK'", "T"]), max_size=3),
    st.sets(st.integers(0, 40), max_size=2),
    st.sampled_from(["RICE_1", "HCOMPRESS_1", "floats", "table"]),
)
@settings(max_examples=500, deadline=None, derandomize=True)
def test_the_cards_that_make_an_hdu_are_shown_as_by_astropy(changes: dict[str, str], gone: set[int], kind: str) -> None:
    first, second = FILES[kind]
    lines = [second[at : at + 80].decode() for at in range(0, second.index(b"END     "), 80)]
    kept = [line for at, line in enumerate(lines) if at not in gone and line[:8].rstrip() not in changes]
    raw = in_blocks(*kept, *(f"{keyword:8}= {value:>20}" for keyword, value in changes.items()))
    headers = [RawHeader(0, 0, first), RawHeader(1, BLOCK, raw)]
    assume(raw.startswith(b"XTENSION") and are_sized(headers))
    theirs = by_astropy(first + raw + bytes(10 * BLOCK))
    assert isinstance(theirs, str) or typed(by_us(headers)) == typed(theirs)


def are_sized(headers: list[RawHeader]) -> bool:
    """Whether they come as far as to astropy."""
    try:
        return all(header.data_size() >= 0 for header in headers)
    except IngesterError:
        return False


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_astropys_own_files_are_read_as_by_astropy(path: Path) -> None:
    ours = as_found(path.read_bytes())
    if ours is not None:  # else it is refused, which the corpus looks at
        assert typed(ours) == typed(by_astropy(path.read_bytes()))


def test_a_real_header_is_split_by_what_makes_its_hdu() -> None:
    split = split_header(full_header(1, 100, 0).tostring())
    assert set(split.structural) <= {
        "SIMPLE",
        "BITPIX",
        "NAXIS",
        "NAXIS1",
        "NAXIS2",
        "EXTEND",
        "BSCALE",
        "BZERO",
        "EXTNAME",
    }
    assert len(split.plain) > 290
    assert not any(map(is_structural, split.plain))
    assert (split.repeated, split.repaired, split.without_value) == (set(), {}, set())


def as_found(content: bytes) -> list[dict[str, Any]] | None:
    """The values of each header of a file, None if it is refused."""
    try:
        return [dict(each.cards(())) for each in headers_of(content, validation="headers")]
    except IngesterError:
        return None


def hdus_of(content: bytes) -> tuple[bytes, bytes]:
    """The first header, which is one block, and what comes after it."""
    return content[:BLOCK], content[BLOCK:]


FILES = {
    "RICE_1": hdus_of(compressed({"OBJECT": "plain"}, name="SCI")),
    "HCOMPRESS_1": hdus_of(compressed(kind="HCOMPRESS_1", quantize_level=16)),
    "floats": hdus_of(compressed(dtype=np.float32, quantize_method=1)),
    "table": hdus_of(fits_bytes(fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("X", "1J")], header()))),
}
