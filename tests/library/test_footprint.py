"""The area of the sky that a frame covers (docs/record.md, "area")."""

from typing import Any

import numpy as np
import pytest
from astropy.wcs import WCS

from lco_ingester.record.footprint import footprint
from tests.support.sphere import encloses, image_cards, legal, sky_at
from tests.support.synthetic import record_of

SPECTROGRAPH = {"RADIUS": 3600.0, "RA": 1.0, "DEC": 0.0}
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


def without(cards: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {keyword: value for keyword, value in cards.items() if not keyword.startswith(prefix)}


# Spectrographs


def test_a_spectrograph_covers_a_square_around_its_pointing() -> None:
    corners = [[14.0, 1.0], [16.0, 1.0], [16.0, -1.0], [14.0, -1.0]]
    assert np.allclose(ring(SPECTROGRAPH), corners, rtol=1e-12, atol=0)


def test_a_square_is_wider_in_ra_the_farther_it_is_from_the_equator() -> None:
    corners = ring({"RADIUS": 36.0, "RA": 1.0, "DEC": -60.0})
    assert np.allclose(corners, [[14.98, -59.99], [15.02, -59.99], [15.02, -60.01], [14.98, -60.01]], rtol=1e-12)


def test_a_square_across_ra_0_has_its_ra_between_0_and_360() -> None:
    corners = ring({"RADIUS": 3600, "RA": 0.0, "DEC": 0.0})
    assert corners == [[359.0, 1.0], [1.0, 1.0], [1.0, -1.0], [359.0, -1.0]]
    assert ring({"RADIUS": 0, "RA": -1e-20, "DEC": 0.0})[0] == [0.0, 0.0]


@pytest.mark.parametrize("dec", [-90.0, -89.9, -60.0, 0.0, 30.0, 85.0, 89.999, 90.0])
@pytest.mark.parametrize("radius", [1.0, 300.0, 3600.0, 72000.0], ids="{:g} arcsec".format)
@pytest.mark.parametrize("ra", [0.0, 23.999, 7.3])
def test_a_square_covers_the_circle_within_it_and_little_more_anywhere_on_the_sky(
    ra: float, radius: float, dec: float
) -> None:
    turns = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    area = footprint({"RADIUS": radius, "RA": ra, "DEC": dec})
    assert area is not None
    [closed] = area["coordinates"]
    assert legal(closed)
    for size, inside in ((0.0, True), (0.5, True), (0.94, True), (1.5, False)):
        # TAN's plane: a circle of angular radius r has there the radius tan(r)
        plane = np.degrees(np.tan(np.radians(size * radius / 3600)))
        circle = sky_at(
            image_cards(15 * ra, dec, CD1_1=1.0, CD1_2=0.0, CD2_1=0.0, CD2_2=1.0, CRPIX1=0.0, CRPIX2=0.0),
            np.column_stack([plane * np.cos(turns), plane * np.sin(turns)]),
        )
        assert (encloses(closed, circle) == inside).all(), f"{size} of the radius"


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


@pytest.mark.parametrize("unset", ["RADIUS", "RA", "DEC"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_spectrograph_without_one_of_its_keywords_is_taken_for_an_image(unset: str, value: Any) -> None:
    assert footprint({**SPECTROGRAPH, unset: value}) is None
    assert ring({**IMAGE, **SPECTROGRAPH, unset: value}) == ring(IMAGE)


def test_the_spectrographs_keywords_go_before_an_image_wcs() -> None:
    assert ring({**IMAGE, **SPECTROGRAPH}) == ring(SPECTROGRAPH)


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            {"RA": "noon"},
            {"RA": True},
            {"RA": [1]},
            {"RA": "25:00:00"},
            {"RA": 187.5},
            {"RA": 1e308},
            {"RA": "9" * 5000},
        ),
        *({"DEC": "high"}, {"DEC": False}, {"DEC": -90.01}, {"DEC": "91:00:00"}),
        *({"RADIUS": "wide"}, {"RADIUS": True}, {"RADIUS": -1.0}, {"RADIUS": 72001.0}),
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_a_pointing_that_cannot_be_read_or_is_nowhere_gives_no_area_and_one_warning(
    wrong: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert footprint({**SPECTROGRAPH, **wrong}, "a-e00.fits") is None
    [warning] = caplog.messages
    assert warning.startswith("a-e00.fits: no footprint: ")
    assert len(warning) < 400


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
@pytest.mark.parametrize("value", [None, ""])
def test_an_image_with_a_keyword_without_a_value_has_no_area(
    unset: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert footprint({**IMAGE, unset: value}) is None
    assert not caplog.messages


@pytest.mark.parametrize("absent", ["NAXIS1", "NAXIS2"])
def test_a_header_without_a_size_has_no_area(absent: str) -> None:
    assert footprint(without(IMAGE, absent)) is None


@pytest.mark.parametrize(
    "axes",
    [
        {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"},
        {"CTYPE1": "WAVE", "CTYPE2": "OFFSET"},
        {"CTYPE1": "RA---TAN", "CTYPE2": "VELO-LSR"},
        {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN"},
        {"CTYPE1": None, "CTYPE2": None},
    ],
    ids=str,
)
def test_axes_that_are_not_both_on_the_sky_give_no_area_and_no_warning(
    axes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert footprint({**IMAGE, **axes}) is None
    assert not caplog.messages


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


WRONG: list[dict[str, Any]] = [
    *({"CTYPE1": "RA---XXX"}, {"CTYPE1": True}, {"CTYPE1": "RA---SIN"}, {"CTYPE1": "RA", "CTYPE2": "DEC"}),
    *({"CTYPE1": f"RA---{code}", "CTYPE2": f"DEC--{code}"} for code in ("TNX", "ZPX", "TAB", "COP")),
    *({"CD1_1": 0.0, "CD2_2": 0.0}, {"CD1_1": "wide"}, {"CD1_1": 1e300}, {"CD1_1": 1e-300, "CD2_2": 1e-300}),
    *({"CD1_2": 0.001, "CD2_1": -0.001}, {"CD1_1": -9.0, "CRPIX1": 50.0}),
    *({"NAXIS1": size} for size in ("wide", 0, -5, 100.5, True, 10**18, 10**400)),
    *({"CRVAL1": "12:00:00"}, {"CRVAL1": None}, {"CRVAL2": 90.1}, {"CRVAL2": -1e9}, {"CRPIX1": "x"}, {"CRPIX1": 1e300}),
    {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CD1_1": -10.0},
    *({"A_ORDER": 2, "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}, {**SIP, "A_ORDER": 10**9, "B_ORDER": 10**9}),
    *({**SIP, "A_ORDER": 10}, {**SIP, "A_ORDER": "2"}, {**SIP, "A_ORDER": -1}, {**SIP, "A_2_0": -0.02}),
    *({"CUNIT1": "furlong"}, {"CUNIT1": "Angstrom"}, {"CUNIT1": 1}, {"LONPOLE": "x"}, {"LONPOLE": 1e300}),
    *({"RADESYS": 7}, {"RADESYS": "GAPPT"}, {"RADESYS": "FK5", "EQUINOX": 0.0}, {"EQUINOX": "old"}),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: str(wrong)[:60])
def test_a_wcs_that_makes_no_sense_gives_no_area_and_one_warning(
    wrong: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert footprint({**IMAGE, **wrong}, "a-e00.fits") is None
    [warning] = caplog.messages
    assert warning.startswith("a-e00.fits: no footprint: ")
    assert len(warning) < 400
    assert "wcslib" not in warning


def test_the_warning_names_the_value(caplog: pytest.LogCaptureFixture) -> None:
    footprint({**IMAGE, "CRVAL2": 90.1}, "a-e00.fits")
    footprint({**IMAGE, "CRPIX1": "middle"}, "a-e00.fits")
    assert ["latitude 90.1" in caplog.messages[0], "CRPIX1 is 'middle'" in caplog.messages[1]] == [True, True]


@pytest.mark.parametrize(
    "scale",
    [
        *({"CDELT1": 0.0, "CDELT2": 0.0}, {"CDELT1": 0.0, "CDELT2": 1.0, "CROTA2": 3.0}, {"PC1_1": "x"}),
        *({"CDELT1": 1.0}, {"CDELT2": 1.0, "PC1_1": 1.0}),
    ],
)
def test_a_scale_that_makes_no_sense_gives_no_area_and_one_warning(
    scale: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert footprint({**without(IMAGE, "CD"), **scale}) is None
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    "scale", [{}, {"CDELT1": 1.0, "CDELT2": None}, {"CROTA2": 3.0}, {"CDELT2": 1.0, "CDELT1": "", "PC1_1": 1.0}]
)
def test_an_image_without_a_scale_has_no_area_and_no_warning(
    scale: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert footprint({**without(IMAGE, "CD"), **scale}) is None
    assert not caplog.messages


@pytest.mark.parametrize(
    "scale",
    [
        {"CDELT1": -0.001, "CDELT2": 0.001},
        {"CDELT1": -0.001, "CDELT2": 0.001, "CROTA2": 0.0},
        {"PC1_1": -0.001, "PC2_2": 0.001},
        {"PC1_1": 0.5, "PC2_2": 2.0, "CDELT1": -0.002, "CDELT2": 0.0005, "CROTA2": 77.0},
    ],
    ids=str,
)
def test_a_scale_may_be_written_in_any_dialect(scale: dict[str, Any]) -> None:
    assert np.allclose(ring({**without(IMAGE, "CD"), **scale}), ring(IMAGE), rtol=0, atol=1e-11)


@pytest.mark.parametrize("unit", ["deg", "degree", "DEGREES", " deg ", ""])
def test_degrees_may_be_spelt_in_any_way(unit: str) -> None:
    assert ring({**IMAGE, "CUNIT1": unit, "CUNIT2": unit}) == ring(IMAGE)


@pytest.mark.parametrize("turns", [-1, 1, 2])
def test_the_ra_is_between_0_and_360_whatever_the_reference_pixel_says(turns: int) -> None:
    assert np.allclose(ring({**IMAGE, "CRVAL1": 180.0 + 360 * turns}), ring(IMAGE), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("width", "height"), [(1, 51), (101, 1), (1, 1), (2, 2)])
def test_an_image_one_pixel_wide_has_a_ring_as_flat(width: int, height: int) -> None:
    corners = ring({**IMAGE, "NAXIS1": width, "NAXIS2": height})
    assert corners[0] == [180.0, 0.0]
    assert (corners[1] == corners[0]) == (height == 1)
    assert (corners[3] == corners[0]) == (width == 1)


@pytest.mark.parametrize("ra", [0.0, 33.3, 123.4567, 190.0])
@pytest.mark.parametrize("dec", [90.0, 89.98, -90.0])
@pytest.mark.parametrize(
    "size", [{"NAXIS1": 1, "NAXIS2": 101, "CRPIX2": 51.0}, {"NAXIS1": 101, "NAXIS2": 101, "CRPIX2": 51.0}]
)
def test_a_pole_on_the_edge_breaks_the_archive_and_gives_no_area_and_a_warning(
    size: dict[str, Any], dec: float, ra: float, caplog: pytest.LogCaptureFixture
) -> None:
    assert footprint({**IMAGE, **size, "CRVAL1": ra, "CRVAL2": dec}) is None
    assert ["180 degrees wide" in each for each in caplog.messages] == [True]


def test_a_pole_inside_an_image_or_next_to_it_is_fine() -> None:
    for shift in (1.0, -1.0):
        assert len(ring({**IMAGE, "CRVAL2": 90.0, "CRPIX1": 1.0 + shift, "CRPIX2": 26.0})) == 4


def test_sip_without_its_suffix_is_sip_and_astropy_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    assert ring({**IMAGE, **without(SIP, "CTYPE")}) == ring({**IMAGE, **SIP})
    assert not caplog.messages


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ({"RADESYS": "ICRS", "EQUINOX": 1950.0}, (0.0, 0.0)),
        ({"RADESYS": "FK5"}, (0.0, 0.0)),
        ({"EQUINOX": "J2000.0"}, (0.0, 0.0)),
        ({"RADESYS": "FK4"}, (0.640691, 0.278410)),
        ({"EQUINOX": 1950.0}, (0.640691, 0.278410)),
        ({"EPOCH": "B1950"}, (0.640691, 0.278410)),
        ({"RADECSYS": "FK5", "EQUINOX": 1950.0}, (0.640714, 0.278408)),
        ({"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"}, (266.404988, -28.936178)),
        ({"CTYPE1": "SLON-TAN", "CTYPE2": "SLAT-TAN"}, (42.310, 59.528)),
        ({"CTYPE1": "ELON-TAN", "CTYPE2": "ELAT-TAN", "CRVAL1": 90.0}, (90.0, 23.439291)),
    ],
    ids=str,
)
def test_other_celestial_coordinates_become_ra_and_dec_of_the_icrs(
    system: dict[str, Any], expected: tuple[float, float]
) -> None:
    (ra, dec), *_ = ring({**IMAGE, "CRVAL1": 0.0, **system})
    assert (ra - expected[0] + 180) % 360 - 180 == pytest.approx(0.0, abs=1e-3)
    assert dec == pytest.approx(expected[1], abs=1e-3)


def test_a_frame_whose_wcs_makes_no_sense_still_has_a_record() -> None:
    assert record_of({**SPECTROGRAPH, "RA": "noon"})["area"] is None
