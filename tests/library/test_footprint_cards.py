"""Which cards make an area: every way to write a WCS that astropy reads, and none that only looks like one."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from lco_ingester.record.footprint import footprint, outline
from tests.support.sphere import CD, Cards, Positions, image_cards, sky_at, swapped, vectors
from tests.support.synthetic import CARDS, fits_bytes, record_of_file

pytestmark = pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")

SCALES = ("CDELT1", "CDELT2", "CROTA2")
ELEMENTS = [(1, 1), (1, 2), (2, 1), (2, 2)]


def spelled(name: str, i: int, j: int) -> list[str]:
    """The keywords of a matrix's element, of at most 8 characters, that astropy reads."""
    digits = [[f"{index}", f"{index:02}", f"{index:03}"] for index in (i, j)]
    forms = [f"{name}{a}_{b}" for a, b in itertools.product(*digits)]
    return [f"{name}{i:03}{j:03}", *(form for form in forms if len(form) <= 8)]


def corners(cards: Cards) -> Positions | None:
    """The four corners of the area; None if there is none."""
    area = footprint(cards)
    if area is None:
        return None
    [ring] = area["coordinates"]
    step = (len(ring) - 1) // 4
    assert len(ring) == 5, "these images are small enough to have no points between their corners"
    return np.array(ring[:-1:step])


def by_astropy(cards: Cards) -> Positions | None:
    """The four corners by astropy, reading the whole header; None if they are nowhere."""
    width, height = cards["NAXIS1"], cards["NAXIS2"]
    try:
        found = sky_at(cards, np.array([[1, 1], [1, height], [width, height], [width, 1]]))
    except ValueError:
        return None
    return found if np.isfinite(found).all() else None


def assert_as_astropy(cards: Cards) -> None:
    found, expected = corners(cards), by_astropy(cards)
    assert found is not None, (cards, outline(cards).why)
    assert expected is not None, cards
    assert np.abs(vectors(found) - vectors(expected)).max() < 1e-11, cards


def without_matrix(**more: Any) -> Cards:
    return {key: value for key, value in image_cards(180.0, 45.0).items() if key not in CD} | more


def latitude_first(cards: Cards) -> Cards:
    """The image with its axes' names exchanged, and nothing else."""
    first, second = (("CTYPE1", "CTYPE2"), ("CRVAL1", "CRVAL2"))
    return {**cards, **{one: cards[other] for pair in (first, second) for one, other in (pair, pair[::-1])}}


_SMALL = st.floats(1e-4, 4e-3).map(lambda size: float(f"{size:.9g}"))
_TURNED = st.tuples(_SMALL, st.sampled_from([-1, 1])).map(math.prod)


def _matrix(name: str, diagonal: Any, others: Any) -> st.SearchStrategy[Cards]:
    """Some elements of a matrix that is not singular, each in one of its spellings."""
    one_each = [st.tuples(st.sampled_from(spelled(name, i, j)), diagonal if i == j else others) for i, j in ELEMENTS]
    return st.tuples(*one_each).map(lambda pairs: {key: value for key, value in pairs if value is not None})


# The second diagonal is smaller than the first, so that no matrix is singular or nearly so.
_PC = _matrix("PC", st.one_of(st.none(), st.floats(0.5, 1.5)), st.one_of(st.none(), st.floats(-0.3, 0.3)))
_CD = _matrix("CD", st.floats(2e-3, 4e-3), st.one_of(st.none(), st.floats(-1e-3, 1e-3)))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(pc=_PC, delta=st.tuples(_TURNED, _TURNED), turn=st.one_of(st.none(), st.floats(-360, 360)), swap=st.booleans())
def test_any_pc_matrix_in_any_spelling_gives_astropys_area(
    pc: Cards, delta: tuple[float, float], turn: float | None, swap: bool
) -> None:
    """With missing elements, CDELT, and perhaps CROTA2, which counts where there is no PC alone."""
    cards = without_matrix(CDELT1=delta[0], CDELT2=delta[1], **pc)
    assert_as_astropy((latitude_first(cards) if swap else cards) | ({} if turn is None else {"CROTA2": turn}))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(cd=_CD, beside=st.dictionaries(st.sampled_from(SCALES), st.floats(0.1, 3), max_size=3), swap=st.booleans())
def test_any_cd_matrix_in_any_spelling_gives_astropys_area(cd: Cards, beside: Cards, swap: bool) -> None:
    """With missing elements, which are 0, and with CDELT and CROTA2 beside it, which do not count."""
    cards = without_matrix(**cd, **beside)
    assert_as_astropy(latitude_first(cards) if swap else cards)


@pytest.mark.parametrize("spelling", [0, 1, 5])
@pytest.mark.parametrize("name", ["PC", "CD"])
def test_the_older_spellings_turn_the_image_as_the_usual_one_does(name: str, spelling: int) -> None:
    usual = image_cards(180.0, 45.0, rotation=30.0)
    scale = 1.0 if name == "CD" else 1e-3
    cards = {spelled(name, i, j)[spelling]: usual[f"CD{i}_{j}"] / scale for i, j in ELEMENTS}
    delta = {} if name == "CD" else {"CDELT1": scale, "CDELT2": scale}
    found, expected = corners(without_matrix(**cards, **delta)), corners(usual)
    assert found is not None
    assert expected is not None
    assert np.allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("other", ["CD001001", "CD01_01", "CD1_001"])
def test_an_element_written_twice_counts_if_both_have_one_value(other: str, caplog: pytest.LogCaptureFixture) -> None:
    cards = image_cards(180.0, 45.0)
    assert footprint({**cards, other: cards["CD1_1"]}) == footprint(cards)
    assert not caplog.messages
    assert footprint({**cards, other: 0.5}) is None
    assert [f"{other} is 0.5" in each or "but CD1_1 is" in each for each in caplog.messages] == [True]


@pytest.mark.parametrize("kept", [{"CD1_1": 1e-3}, {"CD1_2": 1e-3, "CD2_2": 1e-3}, {"CD1_1": 0.0, "CD2_2": 0.0}])
def test_a_matrix_that_is_singular_without_the_missing_elements_gives_no_area_and_one_warning(
    kept: Cards, caplog: pytest.LogCaptureFixture
) -> None:
    assert footprint(without_matrix(**kept)) is None
    assert ["singular" in each for each in caplog.messages] == [True]


@pytest.mark.parametrize("kind", ["BIAS", "DARK", "SKYFLAT", "LAMPFLAT"])
def test_a_calibration_with_half_a_matrix_was_never_calibrated(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Master frames of LCO keep CD1_1 and CD2_2 of one of the frames that they are made of."""
    half = without_matrix(CD1_1=-1e-3, CD2_2=1e-3)
    assert footprint({**half, "OBSTYPE": kind}) is None
    assert not caplog.messages
    assert footprint({**half, "OBSTYPE": "EXPOSE"}) is not None
    assert footprint({**image_cards(180.0, 45.0), "OBSTYPE": kind}) is not None


# Images only

_WCS = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 180.0, "CRVAL2": 45.0, "CRPIX1": 10.0, "CRPIX2": 5.0}
_SCALED = {**_WCS, "CD1_1": -1e-3, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-3}


def _catalogue(kind: type[fits.BinTableHDU] | type[fits.TableHDU]) -> bytes:
    column = fits.Column("X", "E" if kind is fits.BinTableHDU else "E15.7", array=np.arange(30.0))
    table = kind.from_columns([column])
    table.header.update({**CARDS, **_SCALED})
    return fits_bytes(fits.PrimaryHDU(), table)


@pytest.mark.parametrize("kind", [fits.BinTableHDU, fits.TableHDU])
def test_a_table_with_its_images_wcs_has_no_area(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert record_of_file(_catalogue(kind), "a-e91_cat")["area"] is None
    assert not caplog.messages


@pytest.mark.parametrize("extension", [".fits", ".fits.fz"])
def test_an_image_in_an_extension_and_a_tile_compressed_one_have_an_area(extension: str) -> None:
    data, header = np.arange(200, dtype=np.int16).reshape(10, 20), fits.Header({**CARDS, **_SCALED})
    hdu = fits.CompImageHDU(data, header) if extension == ".fits.fz" else fits.ImageHDU(data, header)
    assert record_of_file(fits_bytes(fits.PrimaryHDU(), hdu), "a-e00", extension)["area"] is not None


@pytest.mark.parametrize(
    ("cards", "why", "odd"),
    [
        ({"XTENSION": "BINTABLE"}, "'BINTABLE'", False),
        ({"XTENSION": "TABLE"}, "'TABLE'", False),
        ({"XTENSION": "A3DTABLE"}, "'A3DTABLE'", False),
        ({"XTENSION": "BINTABLE", "ZIMAGE": True}, "table that holds the image", True),
        ({"NAXIS": 0}, "NAXIS is 0", False),
        ({"NAXIS": 1}, "NAXIS is 1", False),
        ({"NAXIS": 3}, "NAXIS is 3", False),
        ({"NAXIS1": 0}, "NAXIS1 is 0", True),
        ({"NAXIS2": 0}, "NAXIS2 is 0", True),
    ],
)
def test_what_is_not_an_image_has_no_area(cards: Cards, why: str, odd: bool) -> None:
    found = outline({**image_cards(180.0, 45.0), **cards})
    assert (found.polygon, found.is_invalid) == (None, odd)
    assert why in found.why


@pytest.mark.parametrize("cards", [{"XTENSION": "IMAGE", "NAXIS": 2}, {"NAXIS": 2, "ZIMAGE": True}, {"NAXIS": None}])
def test_an_image_may_say_that_it_is_one(cards: Cards) -> None:
    plain = image_cards(180.0, 45.0)
    assert footprint({**plain, **cards}) == footprint(plain) is not None


# CRPIX at CRVAL

_SCAMP = [
    {"PV1_0": 0.0, "PV1_1": 1.0, "PV1_2": 0.0},
    {"PV1_0": 0.0, "PV1_1": 1.0, "PV1_2": 0.0, "PV2_0": 0.0, "PV2_1": 1.0, "PV2_2": 0.0},
    {"PV1_0": 0.0, "PV1_1": 0.999, "PV1_2": 0.0012, "PV2_1": 1.0},
    {"PV1_0": 3e-4, "PV1_1": 1.0, "PV1_2": 0.001},
    {"PV1_0": 3e-4, "PV1_1": 1.0, "PV1_2": 0.0},
    {"PV1_2": -0.0004},
    {"PV1_0": 0.0, "PV1_1": 1.0, "PV1_2": 0.0, "PV1_4": 1e-3},
]


@pytest.mark.parametrize("side", [0.05, 0.5, 10.0])
@pytest.mark.parametrize("dec", [-80.0, 0.0, 45.0])
@pytest.mark.parametrize("scamp", _SCAMP, ids=str)
def test_scamps_distortions_that_look_like_tans_parameters_give_no_area_and_one_warning(
    scamp: Cards, dec: float, side: float, caplog: pytest.LogCaptureFixture
) -> None:
    cards = image_cards(180.0, dec, side, **scamp)
    for each in (cards, swapped(cards)):
        caplog.clear()
        assert footprint(each, "a-e91.fits") is None
        assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    "cards",
    [
        {},
        {"CRPIX1": -5000.0, "CRPIX2": 9000.0},
        {"CRPIX1": -5000.0, "CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV2_1": 1.0},
        {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_0": 0.1, "PV1_1": 1.0, "PV2_0": -0.2, "PV2_1": 1.0},
        {"PV1_0": 0.01, "PV1_1": 1.0, "PV1_2": 0.0, "PV2_0": 0.02, "PV2_1": 1.0, "PV1_5": 0.0},
        {"PV2_0": 0.0, "PV2_1": 1.0, "PV2_2": 0.0},
        {"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "PV1_1": 0.0, "PV1_2": 30.0},
        {"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "LONPOLE": 0.0, "LATPOLE": 90.0},
        {"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN", "PV2_0": 0.0, "PV2_1": 1.0, "PV2_3": 0.1},
        {"LONPOLE": 90.0},
        {"PV1_3": 90.0},
        {"A_ORDER": 2, "B_ORDER": 2, "A_0_0": 3.0, "A_2_0": 1e-6, "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"},
    ],
    ids=str,
)
def test_a_reference_pixel_that_is_where_its_wcs_says_gives_astropys_area(cards: Cards) -> None:
    assert_as_astropy(image_cards(180.0, 45.0, **cards))


# Older projections, and what is left out


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    code=st.sampled_from(["NCP", "GLS"]),
    ra=st.floats(0, 360),
    dec=st.one_of(st.floats(10, 85), st.floats(-85, -10)),
    rotation=st.floats(0, 360),
    swap=st.booleans(),
)
def test_ncp_and_gls_are_what_wcslib_makes_of_them(
    code: str, ra: float, dec: float, rotation: float, swap: bool
) -> None:
    cards = image_cards(round(ra, 6), round(dec, 6), 0.1, rotation, projection=code)
    assert_as_astropy(swapped(cards) if swap else cards)


def test_ncp_is_sin_with_its_projection_centred_on_the_pole() -> None:
    oblique: Cards = {"PV2_1": 0.0, "PV2_2": 1 / math.tan(math.radians(40.0))}
    ncp, sin = image_cards(10.0, 40.0, projection="NCP"), image_cards(10.0, 40.0, projection="SIN", **oblique)
    assert np.allclose(np.asarray(corners(ncp)), np.asarray(corners(sin)), rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "cards",
    [
        {"CTYPE1": "RA---AZP", "CTYPE2": "DEC--AZP", "PROJP1": 2.0, "PROJP2": 20.0},
        {"CTYPE1": "RA---AZP", "CTYPE2": "DEC--AZP", "PV02_01": 2.0},
        {"CTYPE1": "RA---AZP", "CTYPE2": "DEC--AZP", "PV002_1": 2.0},
        {"CUNIT1": "arcsec", "CRVAL1": 180.0 * 3600, "CD1_1": -3.6},
        {"CUNIT1": "rad", "CRVAL1": math.pi, "CD1_1": -2e-5},
        {"WCSAXES": 4, "CTYPE3": "FREQ", "CTYPE4": "STOKES", "CRVAL3": 1e9, "CD3_3": 1.0},
        {"CTYPE1A": "LINEAR", "CTYPE2A": "LINEAR"},
        {"RADESYS": "FK5", "EQUINOX": 1975.0},
    ],
    ids=str,
)
def test_what_else_a_header_may_have_gives_astropys_area(cards: Cards) -> None:
    assert_as_astropy(image_cards(180.0, 45.0, **cards))


def test_a_reference_pixel_that_is_left_out_has_the_standards_default() -> None:
    cards = {key: value for key, value in image_cards(180.0, 45.0).items() if not key.startswith("CRPIX")}
    assert_as_astropy(cards)


@pytest.mark.parametrize(
    ("cards", "why", "odd"),
    [
        ({"CRPIX1": None}, "CRPIX1 is None", True),
        ({"CRVAL1": None}, "CRVAL1 is None", True),
        ({"PV2_1": None}, "PV2_1 is None", True),
        ({"CTYPE1": None, "CTYPE2": None, "CTYPE1A": "RA---TAN", "CTYPE2A": "DEC--TAN"}, "CTYPE1A", True),
        ({"CTYPE1": "FREQ", "CTYPE2": "RA---TAN", "CTYPE3": "DEC--TAN"}, "not those of the sky", False),
        ({"CTYPE1": "RA---NCP", "CTYPE2": "DEC--NCP", "CRVAL2": 0.0}, "equator", True),
        ({"CUNIT2": "arcsec", "CRVAL2": 111 * 3600.0}, "", True),
    ],
    ids=str,
)
def test_what_a_header_lacks_and_the_standard_has_no_default_for_is_not_guessed(
    cards: Cards, why: str, odd: bool
) -> None:
    found = outline({**image_cards(180.0, 45.0), **cards})
    assert (found.polygon, found.is_invalid) == (None, odd)
    assert why in found.why
