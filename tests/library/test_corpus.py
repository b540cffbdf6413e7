"""A hundred damaged and hostile files, and astropy's own: each gives a record or its own error."""

import io
import json
import os
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import astropy.io.fits
import numpy as np
import pytest
from astropy.io import fits

from lco_ingester.exceptions import IngesterError
from lco_ingester.file.datafile import PathFile, StreamFile
from lco_ingester.metrics import Metrics
from lco_ingester.record.build import build_record
from lco_ingester.steps import read_frame
from tests.support.corpus import FILES
from tests.support.synthetic import checks, header, headers_of, rules

REFUSED = {
    "checksum_false.fits": "FITS_CHECKSUM",
    "chandra_time.fits": "FITS_CHECKSUM",
    "memtest.fits": "FITS_CHECKSUM",
    "lzw.fits.Z": "NOT_FITS",
}
SHIPPED = sorted(
    path for path in (Path(astropy.io.fits.__file__).parent / "tests" / "data").rglob("*") if path.is_file()
)


def answer(name: str, content: bytes) -> tuple[str, str]:
    """Reason code and text of the error that a file gives; '' and its record, which JSON must have, if it gives one."""
    try:
        validated = read_frame(StreamFile(io.BytesIO(content), name), rules(), checks(), Metrics.off())
    except IngesterError as error:
        return error.reason, str(error)
    return "", json.dumps(validated.record, allow_nan=False)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(("name", "content", "reason"), FILES.values(), ids=FILES)
def test_a_damaged_file_gives_its_own_reason(
    name: str, content: Callable[[], bytes], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found, text = answer(name, content())
    assert found == reason, text
    assert "\n" not in text
    assert os.listdir(tmp_path) == [], "nothing is ever written"


def test_astropy_ships_some_files_to_test_with() -> None:
    assert len(SHIPPED) > 25


@pytest.mark.timeout(30)
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_file_that_astropy_tests_itself_with_is_answered(path: Path) -> None:
    try:
        headers = headers_of(path.read_bytes(), path.name)
    except IngesterError as error:
        refused = error.reason
    else:
        refused = ""
        for header in headers:
            header["DATE-OBS"] = "2020-01-02"
            record = build_record([header], "a-e00", ".fits", rules(required_headers=()))
            assert record.keys() >= {key for key in header if key.strip() and key not in ("COMMENT", "HISTORY")}
            json.dumps(record, allow_nan=False)
    assert refused == REFUSED.get(path.name, "")
    if refused != "NOT_FITS":
        assert astropy_agrees(path) == (refused != "FITS_CHECKSUM")


def astropy_agrees(path: Path) -> bool:
    """Whether astropy finds all sums right; it stumbles over an empty DATASUM, which promises nothing."""
    with warnings.catch_warnings(), fits.open(path, disable_image_compression=True) as hdus:
        warnings.simplefilter("ignore")
        return all(hdu.verify_datasum() and hdu.verify_checksum() for hdu in hdus if hdu.header.get("DATASUM") != "")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "big-e00.fits"
    fits.PrimaryHDU(np.zeros((4000, 4000), np.int16), header()).writeto(path, checksum=True)
    tracemalloc.start()
    try:
        read_frame(PathFile(str(path)), rules(), checks(), Metrics.off())
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 8
    finally:
        tracemalloc.stop()
