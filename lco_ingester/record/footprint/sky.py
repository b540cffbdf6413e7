"""The WCS cards of a header → from a pixel to RA and Dec of the ICRS."""

from collections.abc import Mapping
from dataclasses import dataclass
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

_PLAIN = frozenset({"CRPIX1", "CRPIX2", "LONPOLE", "LATPOLE", *PV})
_DISTORTED = _PLAIN | SIP
# Those of the standard, section 8.5, and TPV. Astropy does not read the distortions of TNX and ZPX.
_PROJECTIONS = {
    "AZP", "SZP", "TAN", "STG", "SIN", "ARC", "ZPN", "ZEA", "AIR", "CYP", "CEA", "CAR", "MER", "COP", "COE", "COD",
    "COO", "SFL", "PAR", "MOL", "AIT", "BON", "PCO", "TSC", "CSC", "QSC", "HPX", "XPH", "TPV",
}  # fmt: skip
_HIGHEST_SIP_ORDER = 9  # astropy allocates and searches the square of it


@dataclass(frozen=True, slots=True)
class Sky:
    """From a pixel to the sky."""

    wcs: WCS
    """Its first axis is the longitude."""
    frame: BaseCoordinateFrame | None
    """The frame of its longitude and latitude; None if these are RA and Dec of the ICRS."""

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


def sky_of(header: Mapping[str, Any]) -> Sky:
    """The transformation from an image's pixels to the sky.

    Raises NoPlaceError if the header has none; ValueError, or another error of astropy's, if the cards
    make no sense.
    """
    if not (is_set(header.get("NAXIS1")) and is_set(header.get("NAXIS2"))):
        raise NoPlaceError("neither RADIUS, RA and DEC nor an image's NAXIS1 and NAXIS2 are set")
    if is_set(header.get("NAXIS3")):
        raise NoPlaceError("NAXIS3 is set: a cube, not an image")
    types = [upper(header, "CTYPE1"), upper(header, "CTYPE2")]
    names = [ctype[:4].rstrip("-") for ctype in types]
    longitude = next((name for name in names if LATITUDE_OF.get(name) in names), None)
    if longitude is None:
        raise NoPlaceError(f"its axes, CTYPE1 and CTYPE2 {' and '.join(map(repr, types))}, are not those of the sky")
    latitude_axis = 1 + names.index(LATITUDE_OF[longitude])
    matrix = cd_matrix(header, latitude_axis)
    if matrix is None:
        raise NoPlaceError("it was never calibrated: neither all of CDi_j are set, nor CDELTi, nor PCi_j alone")
    refuse_absurd(header)
    if unknown := {ctype[5:8] for ctype in types} - _PROJECTIONS:
        raise ValueError(f"its projection is {' and '.join(sorted(unknown))!r}")
    cards = _cards(header, types, matrix)
    latitude = cards[f"CRVAL{latitude_axis}"]
    if abs(latitude) > 90.0 and cards.get(f"CUNIT{latitude_axis}", "deg") == "deg":
        raise ValueError(f"its reference pixel has the latitude {latitude}")
    # With TPV astropy assumes that the first axis is the longitude.
    wcs = wcs_of(cards, (1, 2) if latitude_axis == 2 else (2, 1))
    return Sky(wcs, frame_of(header, longitude, upper(header, "RADESYS") or upper(header, "RADECSYS")))


def _cards(header: Mapping[str, Any], types: list[str], matrix: Mapping[str, float]) -> dict[str, Any]:
    """The cards of the WCS, each of them checked, so that no bad value silently becomes a default."""
    cards: dict[str, Any] = {}
    distorted = _sip_order(header) > 1 and not any(ctype.endswith("-TPV") for ctype in types)
    for axis, ctype in enumerate(types, start=1):
        cards[f"CTYPE{axis}"] = f"{ctype[:8]}-SIP" if distorted else ctype
        if unit := upper(header, f"CUNIT{axis}").lower():
            cards[f"CUNIT{axis}"] = "deg" if unit.startswith("deg") else unit
        cards[f"CRVAL{axis}"] = number(header, f"CRVAL{axis}")
    wanted = _DISTORTED if distorted else _PLAIN
    numbers = {key: number(header, key) for key in header if key in wanted and is_set(header[key])}
    return cards | numbers | {key: number(matrix, key) for key in matrix}


def _sip_order(header: Mapping[str, Any]) -> float:
    orders = [number(header, keyword) for keyword in ("A_ORDER", "B_ORDER") if is_set(header.get(keyword))]
    if any(not 0 <= order <= _HIGHEST_SIP_ORDER for order in orders):
        raise ValueError(f"its SIP polynomials have the orders {orders}")
    return max(orders, default=0.0)
