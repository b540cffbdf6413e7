"""The WCS cards of a header → from a pixel to RA and Dec of the ICRS."""

from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.coordinates import ICRS, BaseCoordinateFrame, UnitSphericalRepresentation
from astropy.units import degree
from astropy.wcs import WCS

from lco_ingester.record.footprint.cards import NoPlaceError, number, upper
from lco_ingester.record.footprint.frames import LATITUDE_OF, frame_of
from lco_ingester.record.footprint.limits import refuse_absurd
from lco_ingester.record.footprint.matrix import cd_matrix
from lco_ingester.record.footprint.wcs import PV, SIP, wcs_of
from lco_ingester.record.values import is_set

Points = npt.NDArray[np.float64]

_POLES = ("LONPOLE", "LATPOLE")
_PROJP = frozenset(f"PROJP{index}" for index in range(10))  # an older form of the latitude's PVi_m
_PLAIN = frozenset({"CRPIX1", "CRPIX2", *_POLES, *PV, *_PROJP})
_DISTORTED = _PLAIN | SIP
# Those of the standard, section 8.5, TPV, and the older NCP and GLS, which wcslib turns into SIN and SFL. Astropy
# does not read the distortions of TNX and ZPX.
_PROJECTIONS = {
    "AZP", "SZP", "TAN", "STG", "SIN", "ARC", "ZPN", "ZEA", "AIR", "CYP", "CEA", "CAR", "MER", "COP", "COE", "COD",
    "COO", "SFL", "PAR", "MOL", "AIT", "BON", "PCO", "TSC", "CSC", "QSC", "HPX", "XPH", "TPV", "NCP", "GLS",
}  # fmt: skip
_ZENITHAL = {"AZP", "SZP", "TAN", "STG", "SIN", "ARC", "ZPN", "ZEA", "AIR"}
_MOVING = frozenset({*PV, "A_0_0", "B_0_0"})  # without these CRPIX is at CRVAL
_POLE = 90.0  # the native latitude that a zenithal projection has in its middle
_NEAR = 1.0  # degrees: more than a distortion moves an image
_IMAGES = ("", "IMAGE", "IUEIMAGE")
_ALTERNATES = frozenset(f"CTYPE1{letter}" for letter in ascii_uppercase)
_HIGHEST_SIP_ORDER = 9  # astropy allocates and searches the square of it


@dataclass(frozen=True, slots=True)
class Sky:
    """From a pixel to the sky."""

    wcs: WCS
    """Its first axis is the longitude."""
    frame: BaseCoordinateFrame | None
    """The frame of its longitude and latitude; None if these are RA and Dec of the ICRS."""
    can_move: bool
    """Whether the header has cards that can put CRPIX elsewhere than CRVAL."""

    def positions(self, pixels: Points) -> Points:
        """RA and Dec in degrees of these pixels (x, y), counted from 1, with distortions.

        Raises ValueError if one of them is not on the sky.
        """
        world = np.asarray(self.wcs.all_pix2world(pixels, 1), dtype=np.float64)
        if not np.isfinite(world).all():
            raise ValueError("its WCS puts a part of the image outside the sky")
        if self.frame is None:
            return world
        longitude, latitude = world.T * degree
        place = UnitSphericalRepresentation(longitude, latitude)
        icrs = self.frame.realize_frame(place).transform_to(ICRS())
        return np.column_stack([icrs.ra.degree, icrs.dec.degree])

    def refuse_elsewhere(self) -> None:
        """Raises ValueError if its reference pixel is not where CRVAL says.

        CRVAL is the place of the projection's fiducial point, which is at CRPIX unless PVi_1 and PVi_2 of the longitude
        put it elsewhere (FITS standard 4.0, section 8.3). In a zenithal projection nobody does so on purpose.
        But the distortions that SCAMP writes beside TAN have the same keywords.
        """
        if not self.can_move:
            return
        core = self.wcs.wcs
        moved = [index for axis, index, _ in core.get_pv() if axis == 1 and index in (1, 2)]
        if moved and core.ctype[0][5:8] not in _ZENITHAL:
            return
        [there] = self.wcs.all_pix2world([core.crpix], 1)
        apart = _separation(there, core.crval)
        if moved:
            apart = max(abs(_POLE - core.theta0), apart)
        if apart > _NEAR:
            raise ValueError(f"its WCS puts CRPIX {apart:.0f} degrees from CRVAL: are its PVi_m those of its CTYPE?")


def _separation(one: Points, other: Points) -> float:
    """Degrees between two positions; NaN if one of them is."""
    (lon1, lat1), (lon2, lat2) = np.radians([one, other])
    across = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return float(np.degrees(2 * np.arcsin(np.sqrt(across.clip(0.0, 1.0)))))


def sky_of(header: Mapping[str, Any]) -> Sky:
    """The transformation from an image's pixels to the sky.

    Raises NoPlaceError if the header has none; ValueError, or another error of astropy's, if the cards
    make no sense.
    """
    _refuse_what_is_not_an_image(header)
    types = [upper(header, "CTYPE1"), upper(header, "CTYPE2")]
    names = [ctype[:4].rstrip("-") for ctype in types]
    longitude = next((name for name in names if LATITUDE_OF.get(name) in names), None)
    if longitude is None:
        if not any(types) and (alternates := _ALTERNATES & header.keys()):
            raise ValueError(f"{min(alternates)} describes an alternate WCS, and there is no primary one")
        raise NoPlaceError(f"its axes, CTYPE1 and CTYPE2 {' and '.join(map(repr, types))}, are not those of the sky")
    latitude_axis = 1 + names.index(LATITUDE_OF[longitude])
    matrix = cd_matrix(header, latitude_axis)
    refuse_absurd(header)
    if unknown := {ctype[5:8] for ctype in types} - _PROJECTIONS:
        raise ValueError(f"its projection is {' and '.join(sorted(unknown))!r}")
    cards = _cards(header, types, matrix, latitude_axis)
    latitude = cards[f"CRVAL{latitude_axis}"]
    if abs(latitude) > 90.0 and cards.get(f"CUNIT{latitude_axis}", "deg") == "deg":
        raise ValueError(f"its reference pixel has the latitude {latitude}")
    # With TPV astropy assumes that the first axis is the longitude.
    wcs = wcs_of(cards, (1, 2) if latitude_axis == 2 else (2, 1))
    frame = frame_of(header, longitude, upper(header, "RADESYS") or upper(header, "RADECSYS"))
    return Sky(wcs, frame, can_move=not _MOVING.isdisjoint(cards))


def _refuse_what_is_not_an_image(header: Mapping[str, Any]) -> None:
    """Raises NoPlaceError for a table or a cube, ValueError for the table that holds a tile-compressed image."""
    kind = upper(header, "XTENSION")
    if kind not in _IMAGES and "SIMPLE" not in header:
        if header.get("ZIMAGE") is True:
            raise ValueError("its header is that of the table that holds the image")
        raise NoPlaceError(f"its XTENSION is {kind!r}, not an image")
    if not (is_set(header.get("NAXIS1")) and is_set(header.get("NAXIS2"))):
        raise NoPlaceError("neither RADIUS, RA and DEC nor an image's NAXIS1 and NAXIS2 are set")
    if is_set(header.get("NAXIS3")):
        raise NoPlaceError("NAXIS3 is set: a cube, not an image")
    if is_set(axes := header.get("NAXIS")) and axes != 2:
        raise NoPlaceError(f"NAXIS is {axes!r}, not that of an image")


def _cards(
    header: Mapping[str, Any], types: list[str], matrix: Mapping[str, float], latitude_axis: int
) -> dict[str, Any]:
    """The cards of the WCS, each of them checked, so that no bad value silently becomes a default."""
    cards: dict[str, Any] = {}
    distorted = _sip_order(header) > 1 and not any(ctype.endswith("-TPV") for ctype in types)
    for axis, ctype in enumerate(types, start=1):
        cards[f"CTYPE{axis}"] = f"{ctype[:8]}-SIP" if distorted else ctype
        if unit := upper(header, f"CUNIT{axis}").lower():
            cards[f"CUNIT{axis}"] = "deg" if unit.startswith("deg") else unit
        cards[f"CRVAL{axis}"] = number(header, f"CRVAL{axis}")
    wanted = _DISTORTED if distorted else _PLAIN
    # A pole without a value has its default, as if it were not there. Another card without a value means a damaged WCS.
    keys = [key for key in header if key in wanted and (is_set(header[key]) or key not in _POLES)]
    numbers = {_standard(key, latitude_axis): number(header, key) for key in keys}
    return cards | numbers | {key: number(matrix, key) for key in matrix}


def _standard(keyword: str, latitude_axis: int) -> str:
    return f"PV{latitude_axis}_{keyword[-1]}" if keyword in _PROJP else keyword


def _sip_order(header: Mapping[str, Any]) -> float:
    orders = [number(header, keyword) for keyword in ("A_ORDER", "B_ORDER") if is_set(header.get(keyword))]
    if any(not 0 <= order <= _HIGHEST_SIP_ORDER for order in orders):
        raise ValueError(f"its SIP polynomials have the orders {orders}")
    return max(orders, default=0.0)
