"""Complete, truncated and damaged files, and files that are not FITS."""

import gzip
import hashlib
import io
import json
import logging
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from lco_ingester.exceptions import (
    DoNotRetryError,
    FitsStructureError,
    GzipDamagedError,
    HeaderUnreadableError,
    IngesterError,
    NotFitsError,
    RetryError,
    TrailingBytesError,
    TruncatedFrameError,
)
from lco_ingester.file.headers.raw_header import BLOCK
from lco_ingester.file.stream import HashingReader, unpacked
from lco_ingester.file.validation import read_headers
from tests.support.synthetic import checks, compressed, fits_bytes, header, headers_of, image, record_of_file

ONE_IMAGE = image(pixels=60)
SEVERAL = fits_bytes(
    fits.PrimaryHDU(np.zeros((60, 60)), header()),
    fits.ImageHDU(np.zeros((60, 60)), name="ERR"),
    fits.ImageHDU(np.zeros((60, 60)), name="BPM"),
)


def names(content: bytes) -> list[str]:
    return [each.get("EXTNAME", "") for each in headers_of(content, "a-e00.fits")]


def where(number: int) -> tuple[int, int, int]:
    """Where HDU `number` of SEVERAL begins, where its data do, and where it ends."""
    found = fits.open(io.BytesIO(SEVERAL))[number].fileinfo()
    return found["hdrLoc"], found["datLoc"], found["datLoc"] + found["datSpan"]


def test_a_whole_file_gives_the_header_of_every_hdu() -> None:
    assert names(SEVERAL) == ["", "ERR", "BPM"]
    assert names(image()) == [""], "a header alone is a whole file"
    assert len(names(compressed())) == 2


@pytest.mark.parametrize("missing", [1, 100, BLOCK, 2 * BLOCK])
def test_a_truncated_frame_is_worth_another_try(missing: int) -> None:
    with pytest.raises(TruncatedFrameError) as raised:
        names(ONE_IMAGE[:-missing])
    assert isinstance(raised.value, RetryError)
    assert raised.value.found == str(len(ONE_IMAGE) - missing)
    assert str(len(ONE_IMAGE)) in raised.value.expected


@pytest.mark.parametrize("size", [0, 1, 8, 80, BLOCK - 1])
def test_a_file_shorter_than_a_block_is_truncated(size: int) -> None:
    with pytest.raises(TruncatedFrameError):
        names(ONE_IMAGE[:size])


def test_a_header_without_its_end_is_truncated() -> None:
    many = image({f"KEY{number}": number for number in range(100)})
    assert len(many) > 2 * BLOCK
    with pytest.raises(TruncatedFrameError, match="END"):
        names(many[:BLOCK])
    with pytest.raises(TruncatedFrameError):
        names(many[: 2 * BLOCK - 100])


@pytest.mark.parametrize("written", [1, 4, 8, 9, 80, 100, 2048, 2879, BLOCK + 1, 4096, 2 * BLOCK, 2 * BLOCK + 1216])
def test_a_header_that_turns_to_zeros_is_still_being_written(written: int) -> None:
    many = image({f"KEY{number}": number for number in range(100)}, pixels=60)
    with pytest.raises(TruncatedFrameError, match="zeros"):
        names(many[:written] + bytes(len(many) - written))


@pytest.mark.parametrize("written", [3, 8, 40, 64, 1000, 2879])
def test_a_later_header_that_turns_to_zeros_is_still_being_written(written: int) -> None:
    begin, _, _ = where(2)
    with pytest.raises(TruncatedFrameError, match=r"HDU 2.*zeros"):
        names(SEVERAL[: begin + written] + bytes(len(SEVERAL) - begin - written))


def test_zeros_behind_an_end_are_forgiven_with_the_other_characters() -> None:
    end = ONE_IMAGE.index(b"END     ") + 80
    filled = ONE_IMAGE[:end] + bytes(BLOCK - end) + ONE_IMAGE[BLOCK:]
    with pytest.raises(TruncatedFrameError, match=f"zeros from byte {end} on"):
        names(filled)
    assert len(headers_of(filled, validation_warn_only=("characters",))) == 1


def test_an_illegal_byte_before_the_zeros_is_named() -> None:
    with pytest.raises(HeaderUnreadableError, match="byte 0xb0"):
        names(ONE_IMAGE[:100] + b"\xb0" + ONE_IMAGE[101:400] + bytes(BLOCK))


@pytest.mark.parametrize("number", [1, 2])
def test_a_file_cut_in_the_data_of_any_hdu_is_truncated(number: int) -> None:
    _, data, end = where(number)
    for size in (data, data + 1, end - BLOCK, end - 1):
        with pytest.raises(TruncatedFrameError):
            names(SEVERAL[:size])


@pytest.mark.parametrize("more", [8, 80, BLOCK - 1])
def test_a_file_cut_in_the_header_of_a_later_hdu_is_truncated(more: int) -> None:
    begin, _, _ = where(2)
    with pytest.raises(TruncatedFrameError, match="HDU 2"):
        names(SEVERAL[: begin + more])


def test_a_file_cut_between_two_hdus_is_a_whole_file_by_all_that_can_be_seen() -> None:
    begin, _, _ = where(2)
    assert names(SEVERAL[:begin]) == ["", "ERR"]


def test_a_cut_compressed_frame_is_truncated() -> None:
    with pytest.raises(TruncatedFrameError):
        names(compressed()[:-BLOCK])


@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n" + b"x" * BLOCK, b"SIMPLE" + b"x" * BLOCK, b"<html>", ONE_IMAGE[1:]],
    ids=["PNG", "almost", "HTML", "shifted"],
)
def test_what_does_not_begin_as_fits_is_refused(content: bytes) -> None:
    with pytest.raises(NotFitsError, match="SIMPLE") as raised:
        names(content)
    assert isinstance(raised.value, DoNotRetryError)


@pytest.mark.parametrize("value", [b"F", b"7", b" "])
def test_a_file_that_does_not_claim_to_be_standard_fits_is_refused(value: bytes) -> None:
    claim = b"SIMPLE  =                    "
    with pytest.raises(FitsStructureError, match="SIMPLE"):
        names(ONE_IMAGE.replace(claim + b"T", claim + value))


def test_a_damaged_header_of_a_later_hdu_is_refused() -> None:
    begin, _, _ = where(1)
    damaged = bytearray(SEVERAL)
    damaged[begin + 10] = 0
    with pytest.raises(HeaderUnreadableError, match=r"byte 0x00 .* of HDU 1"):
        names(bytes(damaged))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("keyword", "value"), [("GCOUNT", "-1"), ("NAXIS1", "-60")])
def test_sizes_that_lead_backwards_are_refused_and_not_followed_for_ever(keyword: str, value: str) -> None:
    begin, _, _ = where(2)
    card = SEVERAL.index(f"{keyword:8}= ".encode(), begin)
    with pytest.raises(FitsStructureError, match="HDU 2"):
        names(SEVERAL[:card] + f"{keyword:8}= {value:>20}".encode() + SEVERAL[card + 30 :])


@pytest.mark.parametrize("more", [b"x", b"\0" * BLOCK, b"trailing bytes" * 1000])
def test_trailing_bytes_are_worth_a_warning_only(more: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert names(ONE_IMAGE + more) == [""]
    assert f"a-e00.fits: end of file: expected its end after 1 HDUs and {len(ONE_IMAGE)} bytes" in caplog.text
    with pytest.raises(TrailingBytesError):
        headers_of(ONE_IMAGE + more, validation_warn_only=())


@pytest.mark.parametrize("reserved", [1, BLOCK, 100 * BLOCK])
def test_zeros_where_nextend_promises_an_hdu_are_space_reserved_for_it(reserved: int) -> None:
    several = fits_bytes(fits.PrimaryHDU(header=header({"NEXTEND": 4})), *(fits.ImageHDU(np.ones(9)) for _ in range(4)))
    begin = several.index(b"XTENSION", several.index(b"XTENSION") + 1)
    assert len(names(several + bytes(reserved))) == 5, "all that is promised is there"
    for changes in ({}, {"validation": "headers"}):
        with pytest.raises(TruncatedFrameError, match="4 HDUs after the first, as NEXTEND says, found zeros after 2"):
            headers_of(several[:begin] + bytes(reserved), **changes)
    assert len(headers_of(several[:begin] + bytes(reserved), validation_warn_only=("size", "trailing"))) == 2


@pytest.mark.parametrize("promised", ["many", "", -1, 4.0, 1])
def test_a_nextend_that_promises_no_more_changes_nothing(promised: object) -> None:
    two = fits_bytes(fits.PrimaryHDU(header=header({"NEXTEND": promised})), fits.ImageHDU(np.ones(9)))
    assert len(names(two + bytes(BLOCK))) == 2


def test_a_nextend_that_was_copied_from_a_larger_file_refuses_no_whole_file() -> None:
    assert names(image({"NEXTEND": 4})) == [""]
    assert names(image({"NEXTEND": 4}) + b"noise") == [""]


@pytest.mark.parametrize("letters", range(1, 8))
def test_the_first_letters_of_another_header_are_no_trailing_bytes(letters: int) -> None:
    with pytest.raises(TruncatedFrameError, match="a whole HDU 1"):
        names(ONE_IMAGE + b"XTENSIO"[:letters])


def test_a_gzipped_frame_is_read_as_the_frame_inside() -> None:
    assert names(gzip.compress(SEVERAL)) == ["", "ERR", "BPM"]


@pytest.mark.parametrize("size", [2, 15, 100, -5])
def test_a_cut_gzip_is_truncated(size: int) -> None:
    with pytest.raises(TruncatedFrameError):
        names(gzip.compress(SEVERAL)[:size])


def test_a_damaged_gzip_is_refused() -> None:
    packed = bytearray(gzip.compress(os.urandom(1000) + SEVERAL))
    packed[500] ^= 255
    with pytest.raises(GzipDamagedError):
        names(bytes(packed))
    with pytest.raises(GzipDamagedError):
        names(b"\x1f\x8b\x00\x00" + b"x" * 100)


def test_a_gzip_of_something_else_is_refused() -> None:
    with pytest.raises(NotFitsError):
        names(gzip.compress(b"hello" * 1000))


@pytest.mark.parametrize("mode", ["rb", "r+b", "a+b"])
def test_it_does_not_matter_for_what_else_the_file_was_opened(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a-e00.fits"
    path.write_bytes(SEVERAL)
    with path.open(mode) as stream:
        stream.seek(0)
        reader = HashingReader(stream)
        with unpacked(reader, checks()) as contents:
            assert len(read_headers(contents, checks())) == 3
        assert reader.finish() == (hashlib.md5(SEVERAL).hexdigest(), len(SEVERAL))
        assert not stream.closed
    assert path.read_bytes() == SEVERAL


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2 * BLOCK), st.binary(min_size=1, max_size=100)), max_size=4)
)
@settings(max_examples=100, deadline=None)
def test_whatever_is_damaged_the_error_is_one_of_ours(damages: list[tuple[int, int, bytes]]) -> None:
    content = bytearray(SEVERAL)
    for number, offset, damage in damages:
        begin = where(number)[0] + offset
        content[begin : begin + len(damage)] = damage
    with suppress(IngesterError):
        json.dumps(record_of_file(bytes(content)), allow_nan=False)
