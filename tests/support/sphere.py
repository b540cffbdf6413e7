"""Images anywhere on the sky, and which positions a ring encloses: computed in another way than in the code."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

Positions = npt.NDArray[np.float64]
Cards = dict[str, Any]


def image_cards(
    ra: float, dec: float, side: float = 0.5, rotation: float = 0.0, parity: int = -1,
    shape: tuple[int, int] = (100, 80), projection: str = "TAN", **more: Any
) -> Cards:  # fmt: skip
    """The cards of an image of `side` degrees around this place, rotated (degrees) and perhaps mirrored."""
    scale, turn = side / max(shape), math.radians(rotation)
    return {
        "NAXIS1": shape[0], "NAXIS2": shape[1], "CTYPE1": f"RA---{projection}", "CTYPE2": f"DEC--{projection}",
        "CRVAL1": ra, "CRVAL2": dec, "CRPIX1": (shape[0] + 1) / 2, "CRPIX2": (shape[1] + 1) / 2,
        "CD1_1": parity * scale * math.cos(turn), "CD1_2": -parity * scale * math.sin(turn),
        "CD2_1": scale * math.sin(turn), "CD2_2": scale * math.cos(turn), **more,
    }  # fmt: skip


def sky_at(cards: Mapping[str, Any], pixels: Positions) -> Positions:
    """RA and Dec (ICRS, degrees) of pixels counted from 1, in the frame that astropy chooses; NaN outside the sky."""
    wcs = WCS(fits.Header(cards), naxis=2)
    with np.errstate(all="ignore"):
        axes = wcs.all_pix2world(*np.asarray(pixels, float).T, 1)
    in_order = axes if cards["CTYPE1"].startswith(("RA", "GLON")) else axes[::-1]
    icrs = SkyCoord(*in_order, unit="deg", frame=wcs_to_celestial_frame(wcs)).icrs
    return np.column_stack([icrs.ra.degree, icrs.dec.degree])


def encloses(ring: Any, positions: Positions) -> npt.NDArray[np.bool_]:
    """Which positions lie in the smaller part of the sky that a closed ring of great circles bounds.

    Seen from a position within, the ring goes once around: the bearings of its corners turn by 360 degrees.
    """
    corners, points = vectors(np.asarray(ring)), vectors(positions)
    here = points[:, None]
    seen = corners[None] - here
    seen -= (seen * here).sum(axis=2, keepdims=True) * here
    start, end = seen[:, :-1], seen[:, 1:]
    across, along = (np.cross(start, end) * here).sum(axis=2), (start * end).sum(axis=2)
    turns = np.abs(np.arctan2(across, along).sum(axis=1)) / (2 * math.pi)
    near = points @ corners[:-1].mean(axis=0) > 0  # from the other side of the sky one sees it go around as well
    return np.asarray((turns > 0.5) & near)


def legal(ring: Any) -> bool:
    """Whether it is a closed ring that a geography accepts: RFC 7946, and no edge near half a circle."""
    points = np.asarray(ring)
    in_range = (points[:, 0] >= 0) & (points[:, 0] < 360) & (np.abs(points[:, 1]) <= 90)
    edges = (vectors(points[:-1]) * vectors(points[1:])).sum(axis=1)
    return bool(in_range.all() and ring[0] == ring[-1] and 5 <= len(ring) <= 257 and (edges > math.cos(1.5)).all())


def vectors(positions: Positions) -> Positions:
    """Unit vectors of RA and Dec in degrees."""
    ra, dec = np.radians(positions).T
    return np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def pixels_in(shape: tuple[int, int], random: np.random.Generator, count: int, margin: float = 0.5) -> Positions:
    """Pixels of an image, at least `margin` from the centres of its outermost ones."""
    return 1 + margin + random.random((count, 2)) * (np.array(shape) - 1 - 2 * margin)


def pixels_around(
    shape: tuple[int, int], random: np.random.Generator, count: int, reach: float = 1.0, margin: float = 0.6
) -> Positions:
    """Pixels outside an image, `margin` away from it at least and `reach` sizes at most."""
    size = np.array(shape)
    pixels = 1 - reach * size + random.random((4 * count, 2)) * (1 + 2 * reach) * size
    outside = ((pixels < 1 - margin) | (pixels > size + margin)).any(axis=1)
    return np.asarray(pixels[outside][:count])


def any_image(random: np.random.Generator) -> tuple[Cards, Cards]:
    """A random image, often at a pole or across RA 0: in a random dialect of FITS, and in the usual one."""
    ra, dec = random.uniform(0, 360), math.degrees(math.asin(random.uniform(-1, 1)))
    if random.random() < 0.5:
        ra = float(random.choice([0.0, 1e-4, 44.9, 90.0, 180.0, 359.9999]))
        dec = float(random.choice([-90.0, -89.99, -89.0, -0.3, 0.0, 60.0, 88.0, 89.9, 90.0]))
    side = float(random.choice([1 / 3600, 0.05, 0.45, 4.0, 20.0, 60.0]))
    shape = [(100, 80), (2048, 2048), (4000, 7), (33, 1000)][random.integers(4)]
    rotation, parity = float(random.choice([0, 37, 90, 180, random.uniform(0, 360)])), int(random.choice([-1, 1]))
    projection, more = PROJECTIONS[random.integers(len(PROJECTIONS))]
    bend = float(random.choice([0.05, 0.0005])) / (max(shape) if "SIP" in projection else side)
    more = {key: bend * value if key in BENDING else value for key, value in more.items()}
    cards = image_cards(ra, dec, side, rotation, parity, shape, projection, **more)
    cards = SYSTEMS[random.integers(len(SYSTEMS))](cards)
    return DIALECTS[random.integers(len(DIALECTS))](cards), cards


CD = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")
BENDING = ("A_2_0", "A_0_2", "B_2_0", "B_1_1", "PV1_4", "PV1_6", "PV2_5")
"""Cards of a distortion that grows with the square of the distance."""
SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1, "A_0_2": 1, "B_2_0": -1, "B_1_1": 1}
TPV = {"PV1_1": 1.0, "PV2_1": 1.0, "PV1_4": 1, "PV1_6": 1, "PV2_5": -1}
PROJECTIONS: list[tuple[str, Cards]] = [
    *(("TAN", {}), ("TAN", {}), ("TAN-SIP", SIP), ("TAN-SIP", SIP), ("TPV", TPV), ("TPV", TPV)),
    *((code, {}) for code in ("SIN", "ARC", "ZEA", "STG", "CAR", "AIT", "MER")),
    *(("AZP", {"PV2_1": 2.0}), ("COE", {"PV2_1": 45.0, "PV2_2": 10.0})),
]


def unchanged(cards: Cards) -> Cards:
    """With a CD matrix, RA first, ICRS."""
    return cards


def with_pc(cards: Cards) -> Cards:
    """With PC and CDELT for CD."""
    scale = {"1": 1e-3, "2": 2e-3}
    turned = {("PC" + key[2:]) if key in CD else key: value for key, value in cards.items()}
    return {**turned, **{"PC" + key[2:]: cards[key] / scale[key[2]] for key in CD}, "CDELT1": 1e-3, "CDELT2": 2e-3}


def with_crota(cards: Cards) -> Cards:
    """With CDELT and CROTA2 for CD."""
    scale = math.hypot(cards["CD1_2"], cards["CD2_2"])
    mirrored = cards["CD1_1"] * cards["CD2_2"] - cards["CD1_2"] * cards["CD2_1"] < 0
    turned = {key: value for key, value in cards.items() if key not in CD}
    turn = math.degrees(math.atan2(-cards["CD1_2"], cards["CD2_2"]))
    return {**turned, "CDELT1": -scale if mirrored else scale, "CDELT2": scale, "CROTA2": turn}


def swapped(cards: Cards) -> Cards:
    """With the latitude on the first axis."""
    return {
        re.sub(r"(?<=^CTYPE)[12]|(?<=^CRVAL)[12]|(?<=^PV)[12]|(?<=^CD)[12]", _other_axis, key): value
        for key, value in cards.items()
    }


def galactic(cards: Cards) -> Cards:
    """In galactic coordinates."""
    names = {"RA--": "GLON", "DEC-": "GLAT"}
    types = {key: names[cards[key][:4]] + cards[key][4:] for key in ("CTYPE1", "CTYPE2")}
    return {**cards, **types}


def _other_axis(found: re.Match[str]) -> str:
    return {"1": "2", "2": "1"}[found.group()]


DIALECTS = [unchanged, unchanged, with_pc, with_crota, swapped]
SYSTEMS = [
    unchanged,
    unchanged,
    galactic,
    lambda cards: {**cards, "RADESYS": "FK5", "EQUINOX": 2016.5},
    lambda cards: {**cards, "RADESYS": "FK4", "EQUINOX": 1950.0},
    lambda cards: {**cards, "EQUINOX": 1950.0},
]
