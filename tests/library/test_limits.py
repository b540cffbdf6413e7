"""No file makes us compute without end: whatever its bytes are, it is read in a time in proportion to its size."""

import gzip
import io
import tarfile
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lco_ingester.exceptions import (
    LONGEST_SIDE,
    FitsStructureError,
    GzipDamagedError,
    IngesterError,
    PackageError,
    TruncatedFrameError,
)
from lco_ingester.file.datafile import StreamFile
from lco_ingester.file.stream import CountingReader, unpacked
from lco_ingester.metrics import Metrics
from lco_ingester.steps import read_frame
from tests.support.synthetic import CARDS, checks, compressed, image, in_blocks, rules

FRAME = image()
GOOD = [f"{keyword:8}= " + (f"'{value}'" if isinstance(value, str) else str(value)) for keyword, value in CARDS.items()]
FIRST = ["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"]
TABLE = [
    "XTENSION= 'BINTABLE'",
    "BITPIX  = 8",
    "NAXIS   = 2",
    "NAXIS1  = 0",
    "NAXIS2  = 0",
    "PCOUNT  = 0",
    "GCOUNT  = 1",
]
IMAGE_INSIDE = ["TFIELDS = 0", "ZIMAGE  = T", "ZBITPIX = 8", "ZNAXIS  = 1", "ZNAXIS1 = 1"]


def read(content: bytes, extension: str = ".fits") -> IngesterError | None:
    """Reads a file and makes its record; the error, if there is one."""
    file = StreamFile(io.BytesIO(content), "a-e00" + extension)
    try:
        read_frame(file, rules(), checks(), Metrics.off())
    except IngesterError as raised:
        return raised
    return None


# Structural cards


KEYWORDS = (
    "SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS999", "PCOUNT", "GCOUNT", "GROUPS", "EXTEND",
    "TFIELDS", "THEAP", "TFORM1", "TTYPE1", "TDIM1", "TNULL1", "TBCOL1", "TSCAL1", "ZIMAGE", "ZBITPIX", "ZNAXIS",
    "ZNAXIS1", "ZPCOUNT", "ZGCOUNT", "ZTILE1", "ZCMPTYPE", "ZNAME1", "ZVAL1", "ZVAL1000", "ZTENSION", "ZSIMPLE",
    "ZQUANTIZ", "ZDITHER0", "ZBLANK", "ZSCALE", "ZZERO", "BSCALE", "BZERO", "BLANK", "EXTNAME", "EXTVER", "NEXTEND",
    "CHECKSUM", "DATASUM", "INHERIT", "CONTINUE", "END", "",
)  # fmt: skip
VALUES = st.one_of(
    st.integers(-2, 3).map(str),
    st.sampled_from(["8", "16", "-32", "-64", "999", "1000", "T", "F", "NaN", "-Inf", "1E400", "(1, 2)", ""]),
    st.sampled_from(["'IMAGE   '", "'BINTABLE'", "'TABLE   '", "'FOREIGN '", "'RICE_1'", "'1PJ(9999999999)'", "'&'"]),
    st.sampled_from([2**31, 2**63 - 1, 2**63, 2**64, 10**18, 10**60]).flatmap(
        lambda n: st.sampled_from([str(n), f"-{n}"])
    ),
    st.integers(1, 68).map(lambda digits: "9" * digits),
)
STRUCTURES = st.lists(st.tuples(st.sampled_from(KEYWORDS), VALUES), max_size=12)


def with_cards(start: list[str], changes: list[tuple[str, str]]) -> bytes:
    """A header in which these cards replace those of the same keyword, or follow them."""
    cards = {card[:8].rstrip(): card for card in start}
    repeated = []
    for keyword, value in changes:
        card = f"{keyword:8}= {value}"[:80]
        if keyword in cards and keyword not in repeated:
            cards[keyword] = card
        else:
            cards[f"{keyword}{len(cards)}"] = card
        repeated.append(keyword)
    return in_blocks(*cards.values())


@settings(max_examples=150, deadline=3000, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(first=STRUCTURES, table=STRUCTURES, foreign=STRUCTURES, data=st.sampled_from([0, 1, 2880, 9000]))
def test_whatever_the_structure_says_the_file_is_read_or_refused_at_once(
    first: list[tuple[str, str]], table: list[tuple[str, str]], foreign: list[tuple[str, str]], data: int
) -> None:
    error = read(
        with_cards([*FIRST, *GOOD], first)
        + with_cards([*TABLE, *IMAGE_INSIDE], table)
        + with_cards([*TABLE[1:], "XTENSION= 'FOREIGN '"], foreign)
        + bytes(data)
    )
    assert len(str(error)) < 3 * LONGEST_SIDE


@pytest.mark.parametrize("kind", ["first", "extension"])
@pytest.mark.parametrize("length", ["9" * 18, "1" + "0" * 17, "2"])
def test_999_axes_make_an_absurd_size_and_no_error_of_python(kind: str, length: str) -> None:
    axes = ["NAXIS   = 999", *(f"NAXIS{axis:<3}= {length}" for axis in range(1, 1000))]
    content = in_blocks(*FIRST[:2], *axes, *GOOD)
    if kind == "extension":
        content = FRAME + in_blocks("XTENSION= 'IMAGE   '", "BITPIX  = 8", *axes, "PCOUNT  = 0", "GCOUNT  = 1")
    error = read(content)
    assert isinstance(error, FitsStructureError)
    assert "at most 2^80 bytes" in str(error)


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        (["BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 0", f"PCOUNT  = {10**17}", "GCOUNT  = 1"], "FITS_TRUNCATED"),
        (
            ["BITPIX  = 64", "NAXIS   = 1", "NAXIS1  = 0", f"PCOUNT  = {10**18 - 1}", f"GCOUNT  = {10**9}"],
            "FITS_STRUCTURE",
        ),
        (["BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 0", "PCOUNT  = 1", f"GCOUNT  = {10**18}"], "FITS_STRUCTURE"),
        (["BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 0", f"PCOUNT  = {10**67}", "GCOUNT  = 1"], "FITS_STRUCTURE"),
        (["BITPIX  = 8", "NAXIS   = 1", f"NAXIS1  = -{10**18}", "PCOUNT  = 0", "GCOUNT  = 1"], "FITS_STRUCTURE"),
    ],
)
def test_sizes_that_no_file_can_have_are_refused(cards: list[str], reason: str) -> None:
    error = read(FRAME + in_blocks("XTENSION= 'IMAGE   '", *cards))
    assert error is not None
    assert error.reason == reason


@pytest.mark.parametrize("keyword", ["DATE-OBS", "DAY-OBS", "TIMESYS", "SITEID", "RLEVEL", "EXPTIME", "L1PUBDAT"])
@pytest.mark.parametrize("text", ["1", "x", "1.", " 1"])
def test_an_error_does_not_repeat_a_text_without_end(keyword: str, text: str) -> None:
    others = [card for card in GOOD if not card.startswith(keyword)]
    chain = [f"{keyword:8}= '1&'", *[f"CONTINUE  '{(text * 66)[:66]}&'"] * 2000]
    error = read(in_blocks(*FIRST, *others, *chain))
    assert error is not None
    assert error.reason == "HEADER_VALUE"
    assert len(str(error)) < 3 * LONGEST_SIDE


# CPU


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.USTAR_FORMAT)


def member(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    return header(name, len(content), kind) + content + bytes(-len(content) % 512)


def packed(*members: bytes) -> bytes:
    return gzip.compress(b"".join([member("a-e91.fits", FRAME), *members, bytes(1024)]), 1)


def named_gzip(name: bytes) -> bytes:
    return b"\x1f\x8b\x08\x08" + bytes(6) + name + b"\0" + gzip.compress(FRAME)[10:]


BLANKS_AND_NUMBERS = f"A       = ({' ' * 15}1E{' ' * 20}1,{' ' * 15}1E{' ' * 10}1x"
EARLY_END = f"A       = {' ' * 20}{'9' * 35}E"
CONTINUED = f"CONTINUE  '{'x' * 66}&'"
SHORT_RECORDS = b"6 a=b\n" * 10_900  # 64 kB
DISTINCT_RECORDS = b"".join(b"12 %07x=\n" % number for number in range(5400))
INPUTS: dict[str, Callable[[], tuple[bytes, str]]] = {
    "pax headers of many records": lambda: (packed(*[member("x", SHORT_RECORDS, tarfile.XHDTYPE)] * 200), ".tar.gz"),
    "pax headers of many keywords": lambda: (packed(*[member("x", DISTINCT_RECORDS, b"x")] * 60), ".tar.gz"),
    "solaris' pax headers": lambda: (packed(*[member("x", SHORT_RECORDS, tarfile.SOLARIS_XHDTYPE)] * 60), ".tar.gz"),
    "global pax headers": lambda: (packed(*[member("x", SHORT_RECORDS, tarfile.XGLTYPE)] * 200), ".tar.gz"),
    "GNU's long names": lambda: (packed(*[member("x", b"/PaxHeader.1" * 340, b"L")] * 200), ".tar.gz"),
    "GNU's long links": lambda: (packed(*[member("x", b"x" * 60_000, tarfile.GNUTYPE_LONGLINK)] * 200), ".tar.gz"),
    "small members": lambda: (packed(*[member("x.fits.gz", gzip.compress(FRAME))] * 990), ".tar.gz"),
    "a long name in gzip": lambda: (packed(member("x.fits.gz", named_gzip(b"x" * 20_000_000))), ".tar.gz"),
    "zeros after gzip": lambda: (packed(member("x.fits.gz", gzip.compress(FRAME) + bytes(20_000_000))), ".tar.gz"),
    "many small gzip files": lambda: (gzip.compress(FRAME) + gzip.compress(b"") * 20_000, ".fits.gz"),
    "a text of many cards": lambda: (in_blocks(*FIRST, *GOOD, "OBJECT  = '&'", *[CONTINUED] * 40_000), ".fits"),
    "a header without END": lambda: (b"".join(card.ljust(80).encode() for card in [*FIRST, *["X"] * 12_000]), ".fits"),
    "many HDUs": lambda: (FRAME + in_blocks("XTENSION= 'FOREIGN '", *TABLE[1:]) * 400, ".fits"),
    "many cards of an image inside": lambda: (
        FRAME + in_blocks(*TABLE, *IMAGE_INSIDE, *(f"{f'ZVAL{n}':8}= 1" for n in range(1, 9000))),
        ".fits",
    ),
    "many odd cards": lambda: (in_blocks(*FIRST, *GOOD, *(f"{f'K{n}':8}= 'O'B'C" for n in range(10_000))), ".fits"),
    "many numbers with blanks": lambda: (in_blocks(*FIRST, *GOOD, *[BLANKS_AND_NUMBERS] * 3000), ".fits"),
    "many words after blanks": lambda: (in_blocks(*FIRST, *GOOD, *["A       =" + " " * 60 + "x"] * 40_000), ".fits"),
    "many numbers that end too early": lambda: (in_blocks(*FIRST, *GOOD, *[EARLY_END] * 10_000), ".fits"),
    "many quotes": lambda: (in_blocks(*FIRST, *GOOD, *(f"{f'K{n}':8}= '" + "''" * 33 for n in range(9000))), ".fits"),
}  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_a_file_that_was_made_to_take_long_does_not(name: str) -> None:
    content, extension = INPUTS[name]()
    assert len(content) < 4_000_000
    began = time.process_time()
    error = read(content, extension)
    took = time.process_time() - began
    assert took < 2.5, f"{took:.1f} s of CPU for {len(content)} bytes"
    assert len(str(error)) < 3 * LONGEST_SIDE


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK])
def test_pax_headers_and_long_names_are_limited_together(kind: bytes) -> None:
    def error_of(count: int) -> IngesterError | None:
        return read(packed(*[member("x", SHORT_RECORDS, kind)] * count), ".tar.gz")

    assert error_of(60) is None
    assert isinstance(error_of(70), PackageError)
    usual = [member("x", SHORT_RECORDS[:960], kind), member("y.txt", b"")]
    assert read(packed(*usual * 400), ".tar.gz") is None


@settings(max_examples=100, deadline=2000, derandomize=True)
@given(content=st.one_of(st.binary(min_size=1, max_size=600), st.text("0123 =\npath\0", min_size=1).map(str.encode)))
def test_pax_headers_of_noise_are_refused_or_read(content: bytes) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):
        error = read(member("x", content, kind) + member("a-e91.fits", FRAME) + bytes(1024), ".tar")
        assert error is None or error.reason.startswith("PACKAGE")


def test_a_members_name_is_not_longer_than_a_path() -> None:
    for length, is_good in ((4096, True), (4097, False)):
        error = read(packed(member("x", b"y" * length, tarfile.GNUTYPE_LONGNAME), member("y", b"")), ".tar.gz")
        assert (error is None) == is_good


def test_a_pax_keyword_without_a_value_leaves_the_headers_own() -> None:
    content = packed(member("x", b"8 path=\n8 size=\n", tarfile.XHDTYPE), member("y.fits", FRAME))
    assert read(content, ".tar.gz") is None


# Gzip is read as Python's own module reads it


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    parts=st.lists(st.tuples(st.binary(max_size=300), st.integers(1, 400), st.integers(0, 6)), min_size=1, max_size=4),
    padding=st.integers(0, 600),
    cut=st.integers(0, 30),
    behind=st.binary(max_size=3),
    reads=st.integers(1, 70_000),
)
def test_gzip_is_read_as_pythons_own_module_reads_it(
    parts: list[tuple[bytes, int, int]], padding: int, cut: int, behind: bytes, reads: int
) -> None:
    content = b"".join(gzip.compress(piece * times, level) + bytes(padding) for piece, times, level in parts) + behind
    content = content[: len(content) - cut]
    try:
        expected: bytes | None = gzip.decompress(content)
    except (EOFError, OSError):
        expected = None
    try:
        with unpacked(CountingReader(io.BytesIO(content)), checks()) as contents:
            found: bytes | None = b"".join(iter(lambda: contents.read(reads), b""))
    except (TruncatedFrameError, GzipDamagedError):
        found = None
    if content.startswith(b"\x1f\x8b"):  # else it is not gzip
        assert found == expected


def test_a_compressed_image_is_as_it_was() -> None:
    assert read(compressed(), ".fits.fz") is None
