"""The area of the sky that a frame covers (docs/record.md, "area")."""

from typing import Any

import numpy as np
import pytest
from astropy.wcs import WCS

from lco_ingester.footprint import footprint
from tests.library.synthetic import record_of

SPECTROGRAPH = {"RADIUS": 3600.0, "RA": 1.0, "DEC": -10.0}
IMAGE = {
    "NAXIS1": 101,
    "NAXIS2": 51,
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRPIX1": 1.0,
    "CRPIX2": 1.0,
    "CRVAL1": 180.0,
    "CRVAL2": 0.0,
    "CD1_1": -0.001,
    "CD1_2": 0.0,
    "CD2_1": 0.0,
    "CD2_2": 0.001,
}
SIP = {
    "CTYPE1": "RA---TAN-SIP",
    "CTYPE2": "DEC--TAN-SIP",
    "A_ORDER": 2,
    "B_ORDER": 2,
    "A_2_0": 1e-3,
    "B_0_2": 1e-3,
}


def ring(cards: dict[str, Any]) -> list[list[float]]:
    area = footprint(cards)
    assert area is not None
    assert set(area) == {"type", "coordinates"}
    assert area["type"] == "Polygon"
    [corners] = area["coordinates"]
    assert len(corners) == 5
    assert corners[0] == corners[-1]
    return list(corners[:4])


# Spectrographs


def test_a_spectrograph_covers_a_square_around_its_pointing() -> None:
    corners = [[14.0, -9.0], [16.0, -9.0], [16.0, -11.0], [14.0, -11.0]]
    assert np.allclose(ring(SPECTROGRAPH), corners, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("ra", "dec", "degrees"),
    [
        ("01:00:00", "-10:00:00", (15.0, -10.0)),
        ("01:30:00.0", "+10:30:00", (22.5, 10.5)),
        ("00:00:30", "-00:30:00", (0.125, -0.5)),
        ("1.5", "10.5", (22.5, 10.5)),
        (0, 0, (0.0, 0.0)),
        (23.5, 45, (352.5, 45.0)),
    ],
)
def test_a_spectrographs_ra_is_in_hours_and_dec_in_degrees_as_number_or_text(
    ra: Any, dec: Any, degrees: tuple[float, float]
) -> None:
    west, north = ring({"RADIUS": 0.0, "RA": ra, "DEC": dec})[0]
    assert (west, north) == pytest.approx(degrees, rel=1e-12)


def test_a_square_is_neither_widened_nor_wrapped() -> None:
    corners = ring({"RADIUS": 3600, "RA": 0.0, "DEC": 80.0})
    assert corners == [[-1.0, 81.0], [1.0, 81.0], [1.0, 79.0], [-1.0, 79.0]]


@pytest.mark.parametrize("unset", ["RADIUS", "RA", "DEC"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_spectrograph_without_one_of_its_keywords_is_taken_for_an_image(unset: str, value: Any) -> None:
    assert footprint({**SPECTROGRAPH, unset: value}) is None
    assert ring({**IMAGE, **SPECTROGRAPH, unset: value}) == ring(IMAGE)


def test_the_spectrographs_keywords_go_before_an_image_wcs() -> None:
    assert ring({**IMAGE, **SPECTROGRAPH}) == ring(SPECTROGRAPH)


@pytest.mark.parametrize("wrong", [{"RA": "noon"}, {"DEC": "high"}, {"RADIUS": "wide"}, {"RA": True, "DEC": [1]}])
def test_a_pointing_that_cannot_be_read_gives_no_area(wrong: dict[str, Any]) -> None:
    assert footprint({**SPECTROGRAPH, **wrong}) is None


# Images


def test_an_images_corners_are_pixels_counted_from_one_in_this_order() -> None:
    (ra1, dec1), (ra2, dec2), (ra3, dec3), (ra4, dec4) = ring(IMAGE)
    assert (ra1, dec1) == pytest.approx((180.0, 0.0), abs=1e-12), "pixel (1,1) is the reference pixel here"
    assert (ra2, dec2) == pytest.approx((180.0, 0.05), rel=1e-5), "(1,NAXIS2)"
    assert (ra3, dec3) == pytest.approx((179.9, 0.05), rel=1e-5), "(NAXIS1,NAXIS2)"
    assert (ra4, dec4) == pytest.approx((179.9, 0.0), rel=1e-5, abs=1e-9), "(NAXIS1,1)"


def test_zero_counts_as_set() -> None:
    assert IMAGE["CD1_2"] == 0.0
    assert footprint(IMAGE) is not None


@pytest.mark.parametrize("unset", ["CD1_1", "CD1_2", "CD2_1", "CD2_2", "NAXIS1", "NAXIS2"])
@pytest.mark.parametrize("value", [None, "", "absent"])
def test_an_image_without_one_of_its_keywords_has_no_area(unset: str, value: Any) -> None:
    cards = {**IMAGE, unset: value}
    if value == "absent":
        del cards[unset]
    assert footprint(cards) is None


@pytest.mark.parametrize("depth", [1, 3])
def test_a_cube_has_no_area(depth: int) -> None:
    assert footprint({**IMAGE, "NAXIS3": depth}) is None


def test_distortions_move_the_corners() -> None:
    plain, distorted = ring(IMAGE), ring({**IMAGE, **SIP})
    assert distorted[0] == pytest.approx(plain[0], abs=1e-12)
    ra, dec = distorted[2]
    assert ra == pytest.approx(180 - 0.001 * (100 + 1e-3 * 100**2), rel=1e-5)
    assert dec == pytest.approx(0.001 * (50 + 1e-3 * 50**2), rel=1e-3)


def test_the_few_cards_that_are_used_give_what_the_whole_header_gives() -> None:
    cards = {**IMAGE, **SIP, "EQUINOX": 2000.0, "RADESYS": "ICRS", "LONPOLE": 170.0, "CROTA2": 3.0, "OBJECT": "M 83"}
    whole = WCS(cards, naxis=2).all_pix2world([[1, 1], [1, 51], [101, 51], [101, 1]], 1)
    assert [value for corner in ring(cards) for value in corner] == pytest.approx(list(whole.flat), rel=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        {"CTYPE1": "RA---XXX"},
        {"CTYPE1": True},
        {"CD1_1": 0.0, "CD2_2": 0.0},
        {"CD1_1": "wide"},
        {"NAXIS1": "wide"},
        {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CD1_1": -10.0},
        {"A_ORDER": 2, "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"},
    ],
    ids=str,
)
def test_a_wcs_that_makes_no_sense_gives_no_area_and_a_warning(
    wrong: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert footprint({**IMAGE, **wrong}, "a-e00.fits") is None
    assert "a-e00.fits: no footprint" in caplog.text


def test_a_frame_whose_wcs_makes_no_sense_has_a_record_all_the_same() -> None:
    assert record_of({**SPECTROGRAPH, "RA": "noon"})["area"] is None
