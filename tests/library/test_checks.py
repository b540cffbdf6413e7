"""VALIDATION, VALIDATION_WARN_ONLY and ARCHIVE_EXTENSIONS: which checks run, which only warn, which files are read."""

import gzip
import hashlib
import io
import logging
from typing import Any, get_args

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lco_ingester import ingester, steps
from lco_ingester.exceptions import ExtensionNotAcceptedError, FileChangedError, IngesterError
from lco_ingester.file.checks import STRICT_ONLY
from lco_ingester.file.checksum import OnesComplementSum
from lco_ingester.file.datafile import StreamFile
from lco_ingester.metrics import Metrics
from lco_ingester.services import Services
from lco_ingester.settings import CheckName
from tests.support.corpus import BLOCK, FRAME, MEMBER, ONE, PACKAGE, changed, guarded, spoilt, with_card
from tests.support.synthetic import checks, compressed, fits_bytes, header, headers_of, image, package, rules

FAILING: dict[str, tuple[str, bytes]] = {
    "size": (FRAME, ONE[: BLOCK + 3000]),
    "padding": (FRAME, ONE[: BLOCK + 7200]),
    "trailing": (FRAME, ONE + b"noise"),
    "datasum": (FRAME, with_card(ONE, "DATASUM", "'1'")),
    "checksum": (FRAME, spoilt(guarded(), b"'coj     '", b"'cpt     '")),
    "characters": (FRAME, with_card(ONE, "OBJECT", "'50\xb0   '")),
    "members": (PACKAGE, package({MEMBER: ONE, "b.fits": ONE[:-1]})),
}


def record(check: str, **changes: Any) -> dict[str, Any]:
    """The record of the file that fails this check."""
    name, content = FAILING[check]
    return steps.read_frame(StreamFile(io.BytesIO(content), name), rules(), checks(**changes), Metrics.off()).record


def test_there_is_a_failing_file_for_each_check() -> None:
    assert set(FAILING) == set(get_args(CheckName))


@pytest.mark.parametrize("check", FAILING)
def test_a_failing_check_is_an_error_or_a_warning(check: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with pytest.raises(IngesterError) as raised:
        record(check, validation_warn_only=())
    caplog.clear()
    assert record(check, validation_warn_only=(check,))["SITEID"] in ("coj", "cpt")
    assert f"check {check}, only a warning: {raised.value}" in caplog.text


@pytest.mark.parametrize("check", FAILING)
def test_checks_that_the_record_does_not_need_are_left_out_on_demand(
    check: str, caplog: pytest.LogCaptureFixture
) -> None:
    if check in STRICT_ONLY:
        assert record(check, validation="headers", validation_warn_only=())["OBSTYPE"] == "EXPOSE"
        assert not caplog.text
    else:
        with pytest.raises(IngesterError):
            record(check, validation="headers")


def test_an_illegal_character_that_is_forgiven_is_a_question_mark() -> None:
    assert record("characters", validation_warn_only=("characters",))["OBJECT"] == "50?"


# Sums


@given(st.binary(max_size=4000).map(lambda data: data.ljust(-(-len(data) // 2880) * 2880, b"\0")), st.integers(1, 700))
@settings(deadline=None, derandomize=True)
def test_a_sum_is_the_same_in_whatever_pieces(data: bytes, words: int) -> None:
    total = OnesComplementSum()
    for start in range(0, len(data), words * 4):
        total.add(data[start : start + words * 4])
    expected = int(fits.PrimaryHDU()._compute_checksum(np.frombuffer(data, np.uint8))) if data else 0
    assert total.value == expected % 0xFFFFFFFF


@given(
    st.sampled_from([np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64]),
    st.integers(1, 40),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60),
    st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_sums_that_astropy_writes_are_right_and_one_changed_bit_is_seen(
    kind: type, width: int, text: str, place: int
) -> None:
    made = io.BytesIO()
    hdu = fits.ImageHDU(np.arange(width * 7).astype(kind).reshape(7, width))
    fits.HDUList([fits.PrimaryHDU(None, header({"OBJECT": text})), hdu]).writeto(made, checksum=True)
    content = made.getvalue()
    assert len(headers_of(content)) == 2
    at = place % len(content)
    # A CHECKSUM without its keyword, or with an empty value, promises nothing.
    assume(not content[at - at % 80 :].startswith(b"CHECKSUM") or at % 80 > 11)
    with pytest.raises(IngesterError):
        headers_of(changed(content, place, 1 << place % 8))


def test_of_a_tiled_frame_the_sums_of_its_table_count() -> None:
    made = io.BytesIO()
    with fits.open(io.BytesIO(compressed()), disable_image_compression=True) as hdus:
        hdus[1].header.update(ZHECKSUM="AAAAAAAAAAAAAAAA", ZDATASUM="7")
        fits.HDUList(list(hdus)).writeto(made, checksum=True)
    [_, image_inside] = headers_of(made.getvalue(), FRAME + ".fz")
    assert image_inside["DATASUM"] == "7", "the image's own is handed on and not verified"
    with pytest.raises(IngesterError, match="DATASUM of HDU 1"):
        headers_of(changed(made.getvalue(), -BLOCK), FRAME + ".fz")


@pytest.mark.parametrize("value", ["''", "'        '", ""])
def test_an_empty_sum_promises_nothing(value: str) -> None:
    assert len(headers_of(with_card(with_card(ONE, "DATASUM", value), "CHECKSUM", value))) == 1


# One reading


class Once(io.BytesIO):
    """A stream that counts the bytes that were read from it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        self.count += len(piece)
        return piece


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (FRAME, guarded()),
        (FRAME, ONE + b"noise" * 100000),
        (FRAME + ".fz", compressed()),
        (FRAME + ".gz", gzip.compress(guarded())),
        (PACKAGE, package({MEMBER: guarded(), "b.fits": ONE, "c.gz": gzip.compress(ONE)})),
        (PACKAGE[:-3], package({MEMBER: guarded(), "b.txt": b"x" * 100000}, "w")),
    ],
)
def test_a_file_is_read_once(name: str, content: bytes) -> None:
    stream = Once(content)
    validated = steps.read_frame(StreamFile(stream, name), rules(), checks(), Metrics.off())
    assert stream.count == len(content)
    assert validated.md5 == hashlib.md5(content).hexdigest()


def test_a_fault_in_a_file_that_changed_meanwhile_is_the_changes() -> None:
    class Growing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            at = self.tell()
            if len(self.getvalue()) == BLOCK:
                self.seek(BLOCK)
                self.write(b"more")
                self.seek(at)
            return super().read(size)

    file = StreamFile(Growing(spoilt(image(), b"'coj ", b"'co\xb0 ")), FRAME)
    with pytest.raises(FileChangedError) as raised:
        steps.read_frame(file, rules(), checks(), Metrics.off())
    assert "byte 0xb0" in str(raised.value.__cause__)


# Names


@pytest.mark.parametrize("name", ["a-e00.FITS", "a-e00.fits.gz", "a-e00.fit", "a.b-e00.fits", "a-e00.tar", "a-e00"])
def test_an_extension_that_the_archive_does_not_know_is_validated_but_not_uploaded(
    name: str, services: Services
) -> None:
    content = package({MEMBER: image({"OBJECT": name})}, "w") if "tar" in name else image({"OBJECT": name})
    file = StreamFile(io.BytesIO(content), name)
    assert steps.read_frame(file, rules(), checks(), Metrics.off()).record["OBJECT"] == name
    assert ingester.validate_fits_and_create_archive_record(io.BytesIO(content), name)["OBJECT"] == name
    with pytest.raises(ExtensionNotAcceptedError, match="first dot"):
        steps.validate(file, rules(), checks(), services)
    allowed = checks(archive_extensions=(name[name.find(".") :] if "." in name else "",))
    assert steps.validate(file, rules(), allowed, services).record["OBJECT"] == name  # type: ignore[union-attr]


def test_the_function_that_only_uploads_asks_for_the_extension_too() -> None:
    with pytest.raises(ExtensionNotAcceptedError, match=r"\.FITS"):
        ingester.upload_file_to_s3(io.BytesIO(image()), "a-e00.FITS")


def test_nan_is_gone_before_anything_is_sent() -> None:
    values = {"EXPTIME": "NaN", "AIRMASS": "inf", "CRVAL1": "-Infinity"}
    content = image()
    for keyword, value in values.items():
        content = with_card(content, keyword, value)
    made = steps.read_frame(StreamFile(io.BytesIO(content), FRAME), rules(), checks(), Metrics.off()).record
    assert [made[keyword] for keyword in values] == [None, None, None]


def test_a_table_before_the_frame_does_no_harm() -> None:
    table = fits.BinTableHDU(np.array([(1,)], dtype=[("a", "i4")]))
    content = fits_bytes(fits.PrimaryHDU(), table, fits.ImageHDU(np.zeros((3, 3)), header()))
    assert len(headers_of(content)) == 3
