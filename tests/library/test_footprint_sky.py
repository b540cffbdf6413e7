"""Footprints against positions, anywhere on the sky: a position is in the ring exactly if the image shows it."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lco_ingester.record.footprint import footprint
from lco_ingester.record.footprint.sky import sky_of
from tests.support.sphere import (
    DIALECTS,
    PROJECTIONS,
    SIP,
    SYSTEMS,
    TPV,
    Cards,
    Positions,
    any_image,
    encloses,
    image_cards,
    legal,
    pixels_around,
    pixels_in,
    sky_at,
    swapped,
    vectors,
    with_crota,
    with_pc,
)

RAS = (0.0, 1e-4, 90.0, 180.0, 268.3, 359.9999)
DECS = (-90.0, -89.99, -60.0, -0.3, 0.0, 30.0, 75.0, 89.9, 90.0)


def ring_of(cards: Cards) -> list[list[float]]:
    area = footprint(cards)
    assert area is not None, cards
    [ring] = area["coordinates"]
    assert legal(ring), cards
    return list(ring)


def mistakes(cards: Cards, plain: Cards, random: np.random.Generator, count: int = 40) -> int:
    """How many positions, inside an image, around it and elsewhere, are on the wrong side of its ring."""
    ring, shape = ring_of(cards), (plain["NAXIS1"], plain["NAXIS2"])
    reach = 0.2 if set(plain) & {"A_ORDER", "PV1_4"} else 0.5  # farther away a distortion leads back into the image
    shown, hidden = (
        sky_at(plain, pixels_in(shape, random, count)),
        sky_at(plain, pixels_around(shape, random, count, reach)),
    )
    hidden = np.concatenate([hidden[np.isfinite(hidden).all(axis=1)], elsewhere(ring, random, count)])
    return int((~encloses(ring, shown)).sum() + encloses(ring, hidden).sum())


def elsewhere(ring: Any, random: np.random.Generator, count: int) -> Positions:
    """Positions all over the sky, and the poles, if farther from a ring's middle than all of its corners."""
    heights = np.degrees(np.arcsin(random.uniform(-1, 1, count)))
    positions = np.concatenate([np.column_stack([random.uniform(0, 360, count), heights]), [[0.0, 90.0], [0.0, -90.0]]])
    corners = vectors(np.asarray(ring))
    middle = corners.mean(axis=0) / np.linalg.norm(corners.mean(axis=0))
    return np.asarray(positions[vectors(positions) @ middle < (corners @ middle).min() - 1e-3])


# A grid over the sky


@pytest.mark.parametrize("dec", DECS)
@pytest.mark.parametrize("ra", RAS)
def test_the_ring_of_an_image_at_any_place_holds_what_the_image_shows(ra: float, dec: float) -> None:
    random = np.random.default_rng(5)
    for side, rotation, parity in ((1 / 3600, 37.0, 1), (0.5, 0.0, -1), (20.0, 200.0, -1)):
        cards = image_cards(ra, dec, side, rotation, parity)
        ring = ring_of(cards)
        assert len(ring) == 5, "great circles are straight in a tangential projection"
        assert mistakes(cards, cards, random) == 0


@pytest.mark.parametrize("dec", [-90.0, -85.0, 0.0, 40.0, 89.0, 90.0])
@pytest.mark.parametrize("ra", [0.0, 359.9, 135.0])
def test_of_a_grid_over_the_whole_sky_those_points_are_in_the_ring_that_the_image_shows(ra: float, dec: float) -> None:
    grid = np.array([(east, north) for north in range(-90, 91, 5) for east in range(0, 360, 5)], dtype=float)
    cards = image_cards(ra, dec, 50.0, 20.0)
    # The image by its definition: the plane that touches the sky at CRVAL, turned and scaled by the CD matrix.
    there, (a, d) = vectors(grid), np.radians([ra, dec])
    depth = there @ vectors(np.array([[ra, dec]]))[0]
    east = there @ [-math.sin(a), math.cos(a), 0.0]
    north = there @ [-math.sin(d) * math.cos(a), -math.sin(d) * math.sin(a), math.cos(d)]
    matrix = np.array([[cards["CD1_1"], cards["CD1_2"]], [cards["CD2_1"], cards["CD2_2"]]])
    plane = np.degrees(np.array([east, north]) / np.where(depth > 0, depth, np.nan))
    half = (np.array([cards["NAXIS1"], cards["NAXIS2"]]) - 1) / 2
    beyond = (np.abs(np.linalg.solve(matrix, plane)).T / half).max(axis=1)  # 1 at the outermost pixels' centres
    clear = ~(np.abs(beyond - 1) < 1e-6)
    shown = beyond < 1
    assert shown.any()
    assert (encloses(ring_of(cards), grid) == shown)[clear].all()


@pytest.mark.parametrize(("projection", "more"), PROJECTIONS[1:], ids=lambda value: str(value)[:12])
def test_every_projection_and_distortion_is_followed_along_the_sides(projection: str, more: Cards) -> None:
    random = np.random.default_rng(6)
    for ra, dec, side in ((0.0, 89.0, 4.0), (0.1, -30.0, 30.0), (200.0, 60.0, 0.2), (359.9, -90.0, 10.0)):
        bend = 0.02 / (1000 if "SIP" in projection else side)
        bent = {
            key: bend * value if isinstance(value, int) and "ORDER" not in key else value for key, value in more.items()
        }
        cards = image_cards(ra, dec, side, 30.0, -1, (1000, 800), projection, **bent)
        assert mistakes(cards, cards, random) == 0


@pytest.mark.parametrize("dialect", DIALECTS[1:], ids=lambda dialect: dialect.__name__)
@pytest.mark.parametrize("projection", ["TAN", "TAN-SIP", "TPV", "ZEA", "CAR"])
@pytest.mark.parametrize("parity", [-1, 1])
def test_the_same_image_has_the_same_ring_in_any_dialect(dialect: Any, projection: str, parity: int) -> None:
    bend: Any = {"TAN-SIP": (SIP, 1e-5), "TPV": (TPV, 0.01)}.get(projection, ({}, 0.0))
    more = {
        key: value if "ORDER" in key or isinstance(value, float) else value * bend[1] for key, value in bend[0].items()
    }
    cards = image_cards(0.2, 50.0, 3.0, 25.0, parity, (1000, 800), projection, **more)
    assert np.allclose(ring_of(dialect(cards)), ring_of(cards), rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(15))
def test_images_of_all_kinds_at_random(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(10):
        cards, plain = any_image(random)
        if footprint(cards) is not None:
            assert mistakes(cards, plain, random, 25) == 0, cards


# The ring


def test_a_corner_comes_first_and_the_others_in_their_order_however_many_points_are_between() -> None:
    cards = image_cards(10.0, 50.0, 40.0, 10.0, projection="CAR")
    ring = ring_of(cards)
    corners = sky_at(cards, np.array([[1, 1], [1, 80], [100, 80], [100, 1]]))
    places = [int(np.argmin(np.abs(np.asarray(ring) - corner).sum(axis=1))) for corner in corners]
    assert np.allclose([ring[place] for place in places], corners, rtol=0, atol=1e-9)
    assert places == sorted(places)
    assert places[0] == 0
    assert len(ring) > 9


@pytest.mark.parametrize("projection", ["SIN", "ARC", "ZEA", "STG", "CAR", "AIT"])
def test_a_small_image_has_four_corners_in_any_projection(projection: str) -> None:
    assert len(ring_of(image_cards(10.0, 5.0, 0.05, projection=projection))) == 5


@pytest.mark.parametrize(("bend", "corners"), [(0.0, 4), (4e-7, 4), (1e-5, 18), (1e-3, 130)])
def test_a_side_gets_more_points_if_it_bows_by_more_than_half_a_pixel(bend: float, corners: int) -> None:
    # The long sides bow by a million times `bend` pixels.
    distortion: dict[str, Any] = {"A_ORDER": 2, "B_ORDER": 2, "B_2_0": bend}
    cards = image_cards(10.0, 5.0, 0.5, shape=(2000, 1000), projection="TAN-SIP", **distortion)
    assert len(ring_of(cards)) - 1 == corners


@pytest.mark.parametrize("axis", ["1", "2"])
def test_crota_turns_as_astropy_turns_it_whichever_axis_is_the_latitudes(axis: str) -> None:
    cards = with_crota(image_cards(10.0, 50.0, 2.0, 30.0))
    cards = {
        **(swapped(cards) if axis == "1" else cards),
        "CDELT1": -0.01,
        "CDELT2": 0.02,
        "CROTA1": 11.0,
        "CROTA2": 33.0,
    }
    corners = sky_at(cards, np.array([[1, 1], [1, 80], [100, 80], [100, 1]]))
    assert np.allclose(ring_of(cards)[:4], corners, rtol=0, atol=1e-9)


def test_a_wcs_that_leaps_over_a_quarter_of_the_sky_gives_no_area(caplog: pytest.LogCaptureFixture) -> None:
    leap = {"CD1_1": 1e300, "CD2_1": 1e300, "CRPIX1": 1.0, "CRPIX2": 1.0}
    assert footprint({**image_cards(30.0, 45.0), **leap}) is None
    assert "tears" in caplog.text


@pytest.mark.parametrize(("ra", "dec", "side"), [(42.48, 40.4, 100.0), (45.0, 35.0, 90.0), (0.0, 0.0, 170.0)])
def test_an_image_that_a_geography_would_take_for_its_complement_has_no_area(
    ra: float, dec: float, side: float, caplog: pytest.LogCaptureFixture
) -> None:
    assert footprint(image_cards(ra, dec, side, projection="ZEA", shape=(100, 100))) is None
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(("reach", "has_area"), [(79.0, True), (81.0, False)])
def test_a_strip_may_reach_80_degrees_from_its_middle(reach: float, has_area: bool) -> None:
    side = 2 * math.degrees(math.tan(math.radians(reach)))
    assert (footprint(image_cards(0.0, 45.0, side, shape=(4000, 10))) is not None) == has_area


@pytest.mark.parametrize("projection", ["AIT", "CAR", "SIN", "MOL", "TSC"])
def test_an_image_of_the_whole_sky_has_no_area(projection: str, caplog: pytest.LogCaptureFixture) -> None:
    assert footprint(image_cards(0.0, 0.0, 400.0, shape=(400, 200), projection=projection)) is None
    assert len(caplog.messages) == 1


# Anything at all

_COORDINATE = st.floats(-1e3, 1e3)
_NUMBERS = st.one_of(
    _COORDINATE, st.floats(), st.integers(-(10**20), 10**20), st.sampled_from([0, 1, 2, 1e-300, 1e300])
)
_VALUES = st.one_of(_NUMBERS, st.none(), st.booleans(), st.text(max_size=12))
_KEYWORDS = st.sampled_from(
    [
        *("NAXIS1", "NAXIS2", "NAXIS3", "CTYPE1", "CTYPE2", "CUNIT1", "CUNIT2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2"),
        *(
            "CDELT1",
            "CDELT2",
            "CROTA1",
            "CROTA2",
            "CD1_1",
            "CD1_2",
            "CD2_1",
            "CD2_2",
            "PC1_1",
            "PC1_2",
            "PC2_1",
            "PC2_2",
        ),
        *("PV1_0", "PV1_1", "PV2_1", "PV2_2", "PV2_3", "PV1_39", "PV1_99", "LONPOLE", "LATPOLE", "RADESYS", "EQUINOX"),
        *("EPOCH", "RADECSYS", "A_ORDER", "B_ORDER", "A_2_0", "B_1_1", "A_9_9", "RADIUS", "RA", "DEC"),
    ]
)
_CODES = (
    *("AZP", "SZP", "TAN", "STG", "SIN", "ARC", "ZPN", "ZEA", "AIR", "CYP", "CEA", "CAR", "MER", "COP", "COE", "COD"),
    *(
        "COO",
        "SFL",
        "PAR",
        "MOL",
        "AIT",
        "BON",
        "PCO",
        "TSC",
        "CSC",
        "QSC",
        "HPX",
        "XPH",
        "TPV",
        "TAN-SIP",
        "TNX",
        "XXX",
    ),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    odd=st.dictionaries(_KEYWORDS, _VALUES, max_size=5),
    code=st.sampled_from(_CODES),
    place=st.tuples(_COORDINATE, st.floats(-90, 90)),
    names=st.sampled_from([("RA--", "DEC-"), ("DEC-", "RA--"), ("GLON", "GLAT"), ("ELON", "ELAT")]),
)
def test_any_header_gives_a_legal_ring_or_none(
    odd: Cards, code: str, place: tuple[float, float], names: tuple[str, str]
) -> None:
    types = {f"CTYPE{axis}": f"{name}-{code}" for axis, name in enumerate(names, start=1)}
    area = footprint({**image_cards(*place), **types, **odd})
    assert area is None or legal(area["coordinates"][0])
    json.dumps(area, allow_nan=False)


def _rounded(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers of which a card holds all digits."""
    return st.floats(low, high).map(lambda number: float(f"{number:.9g}"))


_PLACE = st.fixed_dictionaries(
    {"CRVAL1": _rounded(-360, 720), "CRVAL2": st.one_of(_rounded(-90, 90), st.sampled_from([-90.0, 0.0, 90.0]))}
)
_MATRIX = st.fixed_dictionaries({key: _rounded(-0.01, 0.01) for key in ("CD1_1", "CD1_2", "CD2_1", "CD2_2")})
_POLES = st.fixed_dictionaries({}, optional={"LONPOLE": _rounded(-180, 360), "LATPOLE": _rounded(-90, 90)})
_PARAMETERS = st.dictionaries(
    st.sampled_from(["PV1_0", "PV1_1", "PV1_2", "PV1_4", "PV1_5", "PV2_1", "PV2_01", "PV2_2", "PV2_3", "PV2_10"]),
    st.one_of(_rounded(-1, 1), st.sampled_from([1.0, 45.0])),
    max_size=3,
)
_ORDERS = st.fixed_dictionaries({"A_ORDER": st.integers(1, 4)}, optional={"B_ORDER": st.integers(1, 4)})
_POLYNOMIALS = st.dictionaries(
    st.sampled_from([f"{name}_{i}_{j}" for name in "AB" for i in range(4) for j in range(4)]), _rounded(-1e-4, 1e-4)
)


def _positions(find: Callable[[], Positions]) -> Positions | None:
    """What is found; None if it is an error, or a part of it nowhere on the sky."""
    try:
        positions = find()
    except ValueError:
        return None
    return positions if np.isfinite(positions).all() else None


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    code=st.sampled_from([*(code for code in _CODES if code not in ("TNX", "XXX")), *4 * ["TAN", "TPV", "TAN-SIP"]]),
    place=_PLACE,
    matrix=_MATRIX,
    more=st.tuples(_POLES, _PARAMETERS),
    sip=st.tuples(_ORDERS, _POLYNOMIALS),
    unit=st.sampled_from([("", 1), ("deg", 1), ("arcmin", 60), ("arcsec", 3600)]),
    pixels=st.lists(st.tuples(st.floats(-10, 110), st.floats(-10, 90)), min_size=1, max_size=5),
)
def test_any_pixel_is_where_astropy_sees_it_if_it_reads_the_header(
    code: str, place: Cards, matrix: Cards, more: tuple[Cards, Cards], sip: tuple[Cards, Cards],
    unit: tuple[str, int], pixels: list[tuple[float, float]],
) -> None:  # fmt: skip
    in_unit = {key: float(f"{value * unit[1]:.12g}") for key, value in {**place, **matrix}.items()}
    units = {"CUNIT1": unit[0], "CUNIT2": unit[0]}
    bent = {**sip[0], **sip[1]} if code.endswith("-SIP") else {}
    cards = {**image_cards(0.0, 0.0, projection=code), **in_unit, **units, **more[0], **more[1], **bent}
    found = _positions(lambda: sky_of(cards).positions(np.array(pixels)))
    expected = _positions(lambda: sky_at(cards, np.array(pixels)))
    assert (found is None) == (expected is None), cards
    if found is not None and expected is not None:
        apart = np.linalg.norm(vectors(found) - vectors(expected), axis=1)
        assert np.degrees(apart).max() < 1e-9, cards


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    place=st.tuples(st.floats(0, 360), st.floats(-90, 90)),
    side=st.floats(1e-4, 50),
    rotation=st.floats(-360, 360),
    parity=st.sampled_from([-1, 1]),
    shape=st.tuples(st.integers(4, 5000), st.integers(4, 5000)),
    reference=st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)),
    dialect=st.sampled_from([*DIALECTS, with_pc, with_crota, swapped]),
    system=st.sampled_from(SYSTEMS),
)
def test_any_plain_image_is_in_its_ring(
    place: tuple[float, float], side: float, rotation: float, parity: int, shape: tuple[int, int],
    reference: tuple[float, float], dialect: Any, system: Any,
) -> None:  # fmt: skip
    """A tangential image with its reference pixel anywhere, also outside it."""
    pixel = {"CRPIX1": reference[0] * shape[0], "CRPIX2": reference[1] * shape[1]}
    plain = system({**image_cards(*place, side, rotation, parity, shape), **pixel})
    if footprint(dialect(plain)) is not None:  # wide ones, seen from the side, go beyond what a geography can hold
        assert mistakes(dialect(plain), plain, np.random.default_rng(7), 20) == 0
