"""The WCS cards of a header → from a pixel to RA and Dec of the ICRS."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.coordinates import ICRS, BaseCoordinateFrame, UnitSphericalRepresentation
from astropy.io import fits
from astropy.units import degree
from astropy.wcs import WCS

from lco_ingester.footprint.cards import is_set, number, upper
from lco_ingester.footprint.frames import LATITUDE_OF, frame_of

Points = npt.NDArray[np.float64]

_CD = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")
_PC = ("PC1_1", "PC1_2", "PC2_1", "PC2_2")
_CDELT, _CROTA = ("CDELT1", "CDELT2"), ("CROTA1", "CROTA2")
# The other cards that a celestial WCS is made of (FITS standard 4.0, section 8; SIP's convention for A_ and B_). Of
# them alone astropy makes a WCS in a thirtieth of the time that the whole header of a real frame takes.
_NUMBER_CARD = re.compile(r"CRVAL[12]|CRPIX[12]|PV[12]_\d{1,2}|LONPOLE|LATPOLE")
_SIP_CARD = re.compile(r"[AB]_(ORDER|\d_\d)")
_HIGHEST_SIP_ORDER = 9  # astropy allocates and searches the square of it


@dataclass(frozen=True, slots=True)
class Sky:
    """From a pixel to the sky."""

    wcs: WCS
    frame: BaseCoordinateFrame | None
    """Of the WCS's own longitude and latitude; None if these are RA and Dec of the ICRS."""

    def positions(self, pixels: Points) -> Points:
        """RA and Dec in degrees of these pixels (x, y), counted from 1, distortions included.

        Raises ValueError if one of them lies nowhere on the sky.
        """
        with np.errstate(all="ignore"):
            world = np.asarray(self.wcs.all_pix2world(pixels, 1), dtype=np.float64)
        if not np.isfinite(world).all():
            raise ValueError("its WCS puts a part of the image nowhere on the sky")
        longitude, latitude = world[:, self.wcs.wcs.lng], world[:, self.wcs.wcs.lat]
        if self.frame is not None:
            place = UnitSphericalRepresentation(longitude * degree, latitude * degree)
            icrs = self.frame.realize_frame(place).transform_to(ICRS())
            longitude, latitude = icrs.ra.degree, icrs.dec.degree
        return np.column_stack([longitude, latitude])


def sky_of(header: Mapping[str, Any]) -> Sky | None:
    """The way from an image's pixels to the sky, None if its header says that there is none.

    Raises ValueError, or another error of astropy's, if the cards make no sense.
    """
    size = is_set(header.get("NAXIS1")) and is_set(header.get("NAXIS2")) and not is_set(header.get("NAXIS3"))
    scale = _scale(header) if size else ()
    if not scale:
        return None
    types = [upper(header, "CTYPE1"), upper(header, "CTYPE2")]
    names = [ctype[:4].rstrip("-") for ctype in types]
    longitude = next((name for name in names if LATITUDE_OF.get(name) in names), None)
    if longitude is None:
        return None
    wcs = WCS(_cards(header, types, scale), naxis=2)
    if wcs.wcs.lng < 0 or wcs.wcs.lat < 0:
        raise ValueError(f"its axes {types[0]} and {types[1]} name no projection")
    if abs(wcs.wcs.crval[wcs.wcs.lat]) > 90.0:
        raise ValueError(f"its reference pixel has the latitude {wcs.wcs.crval[wcs.wcs.lat]}")
    return Sky(wcs, frame_of(header, longitude, upper(header, "RADESYS") or upper(header, "RADECSYS")))


def _scale(header: Mapping[str, Any]) -> tuple[str, ...]:
    """The keywords of the matrix from pixels to degrees, in one of three dialects (section 8.1.2); () if incomplete."""

    def present(keywords: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(keyword for keyword in keywords if is_set(header.get(keyword)))

    if present(_CD):  # one of the four alone is the mark of an instrument that was not calibrated
        return _CD if present(_CD) == _CD else ()
    if len(present(_CDELT)) == 1 or not present(_CDELT + _PC):
        return ()
    return present(_CDELT) + (present(_PC) or present(_CROTA))


def _cards(header: Mapping[str, Any], types: list[str], scale: tuple[str, ...]) -> fits.Header:
    """The cards for astropy, each of them checked: of what it cannot read it takes the default, and says nothing."""
    cards = fits.Header()
    distorted = _sip_order(header) > 1 and not any(ctype.endswith("-TPV") for ctype in types)
    for axis, ctype in enumerate(types, start=1):
        cards[f"CTYPE{axis}"] = f"{ctype[:8]}-SIP" if distorted else ctype
        if unit := upper(header, f"CUNIT{axis}").lower():
            cards[f"CUNIT{axis}"] = unit
        cards[f"CRVAL{axis}"] = number(header, f"CRVAL{axis}")
    for keyword, value in header.items():
        wanted = keyword in scale or _NUMBER_CARD.fullmatch(keyword) or (distorted and _SIP_CARD.fullmatch(keyword))
        if wanted and is_set(value):
            cards[keyword] = number(header, keyword)
    return cards


def _sip_order(header: Mapping[str, Any]) -> float:
    orders = [number(header, keyword) for keyword in ("A_ORDER", "B_ORDER") if is_set(header.get(keyword))]
    if any(not 0 <= order <= _HIGHEST_SIP_ORDER for order in orders):
        raise ValueError(f"its SIP polynomials have the orders {orders}")
    return max(orders, default=0.0)
