"""astropy and tarfile find in the sample frames what their kinds promise."""

import hashlib
import tarfile
import time
import warnings
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from astropy.io import fits
from astropy.wcs import WCS

from ingester_demo.sample_frames import SampleFrame, make_frames

NIGHT = date(2026, 11, 20)
REQUIRED = {"PROPID", "DATE-OBS", "INSTRUME", "SITEID", "TELID", "OBSTYPE", "BLKUID"}


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SampleFrame]:
    made = make_frames(tmp_path_factory.mktemp("frames"), 14, NIGHT)
    return {frame.kind: frame for frame in made}


def headers(path: Path) -> list[fits.Header]:
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        for hdu in hdus:
            _ = hdu.data
        return [hdu.header for hdu in hdus]


def md5s(frames: list[SampleFrame]) -> list[str]:
    return [hashlib.md5(frame.path.read_bytes(), usedforsecurity=False).hexdigest() for frame in frames]


def test_the_default_is_ten_good_frames_and_two_bad_ones(tmp_path: Path) -> None:
    made = make_frames(tmp_path / "new")
    assert Counter(frame.good for frame in made) == {True: 10, False: 2}
    assert {frame.reason for frame in made} == {None, "FITS_TRUNCATED", "HEADER_MISSING"}
    assert len({frame.kind for frame in made}) == 12
    assert all(40_000 < frame.path.stat().st_size < 400_000 for frame in made)


def test_the_good_images_are_valid_and_have_the_required_keywords(frames: dict[str, SampleFrame]) -> None:
    images = [frame for frame in frames.values() if frame.good and ".fits" in frame.path.name]
    assert len(images) == 10
    for frame in images:
        with warnings.catch_warnings(action="error"):
            found = headers(frame.path)
        assert any(set(header) >= REQUIRED for header in found), frame.kind


def test_names_and_extensions_follow_the_observatorys_scheme(frames: dict[str, SampleFrame]) -> None:
    names = {kind: frame.path.name for kind, frame in frames.items()}
    assert names["raw"] == "coj1m011-fa12-20261120-0001-e00.fits"
    assert names["raw compressed"].endswith("-e00.fits.fz")
    assert names["catalogue"].endswith("-e91_cat.fits")
    assert names["guide"].endswith("-g00.fits")
    assert names["FLOYDS package"].endswith(".tar.gz")
    assert all(
        name.count(".") == name.count(".fits") + name.count(".fz") + 2 * name.count(".tar") for name in names.values()
    )


def test_the_reduced_frame_has_a_sky_with_distortions_and_its_calibration_frames(
    frames: dict[str, SampleFrame],
) -> None:
    with fits.open(frames["reduced compressed"].path) as hdus:
        header = hdus[1].header
        sky = WCS(header)
    assert (header["RLEVEL"], header["NAXIS1"]) == (91, 300)
    assert header["CTYPE1"] == "RA---TAN-SIP"
    assert sky.sip is not None
    assert sky.all_pix2world(150.5, 150.5, 1) == pytest.approx([204.2538, -29.8658])
    assert header["L1IDBIAS"].endswith(".fits")


def test_the_catalogue_has_its_keywords_before_its_table(frames: dict[str, SampleFrame]) -> None:
    primary, table = headers(frames["catalogue"].path)
    assert set(primary) >= REQUIRED
    assert primary["NAXIS"] == 0
    assert table["XTENSION"] == "BINTABLE"


@pytest.mark.parametrize(("kind", "member"), [("FLOYDS package", "e91.fits"), ("NRES package", "e91.fits.fz")])
def test_a_package_holds_a_spectrum_among_other_files(
    frames: dict[str, SampleFrame], tmp_path: Path, kind: str, member: str
) -> None:
    with tarfile.open(frames[kind].path) as package:
        names = [each.name for each in package.getmembers() if each.isfile()]
        [spectrum] = [name for name in names if name.endswith(member)]
        assert names[0].endswith(".txt"), "the spectrum is not simply the first member"
        package.extract(spectrum, tmp_path, filter="data")
    found = headers(tmp_path / spectrum)[-1]
    assert set(found) >= REQUIRED
    assert ({"RADIUS", "RA", "DEC"} <= set(found)) == (kind == "FLOYDS package")


@pytest.mark.filterwarnings("ignore:File may have been truncated")
def test_the_bad_frames_have_the_error_of_their_kind(frames: dict[str, SampleFrame]) -> None:
    truncated = frames["truncated"].path
    whole = frames["raw"].path.stat().st_size
    header = fits.getheader(truncated)
    assert set(header) >= REQUIRED
    assert len(header.tostring()) < truncated.stat().st_size < whole - 300 * 300
    [found] = headers(frames["keyword missing"].path)
    assert REQUIRED - set(found) == {"BLKUID"}


def test_frames_differ_from_each_other_and_have_the_same_bytes_when_made_again(tmp_path: Path) -> None:
    first, again, later = (
        md5s(make_frames(tmp_path / name, 28, NIGHT, pixels=60, first=number))
        for name, number in (("first", 1), ("again", 1), ("later", 29))
    )
    assert len(set(first + later)) == 56
    assert first == again


def test_without_a_night_the_frames_are_recent_but_not_of_the_future(tmp_path: Path) -> None:
    made = make_frames(tmp_path, 14, pixels=60)
    now = datetime.now(UTC).replace(tzinfo=None)
    for frame in made:
        if ".fits" in frame.path.name and frame.good:
            header = next(each for each in headers(frame.path) if "DATE-OBS" in each)
            assert now - timedelta(days=3) < datetime.fromisoformat(header["DATE-OBS"]) < now


def test_hundreds_are_made_within_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    made = make_frames(tmp_path, 70, NIGHT, pixels=100)
    assert len({frame.path for frame in made}) == 70
    assert time.monotonic() - began < 10
