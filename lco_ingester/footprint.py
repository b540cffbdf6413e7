"""The area of the sky that a frame covers, from its header; pure (docs/record.md, "area")."""

import logging
import math
import re
import warnings
from collections.abc import Mapping
from typing import Any

from astropy import units
from astropy.coordinates import Angle
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

Polygon = dict[str, Any]

_SPECTROGRAPH = ("RADIUS", "RA", "DEC")
_IMAGE = ("CD1_1", "CD1_2", "CD2_1", "CD2_2", "NAXIS1", "NAXIS2")
# The cards that a celestial WCS is made of (FITS standard 4.0, section 8; SIP's convention for A_, B_, AP_, BP_). Of
# them alone astropy makes a WCS in a thirtieth of the time that the whole header of a real frame takes.
_WCS_CARD = re.compile(
    r"NAXIS[12]?|WCSAXES|CTYPE[12]|CUNIT[12]|CRVAL[12]|CRPIX[12]|CDELT[12]|CROTA[12]|CD[12]_[12]|PC[12]_[12]|"
    r"P[VS][12]_\d+|LONPOLE|LATPOLE|RADESYS|EQUINOX|(A|B|AP|BP)_(ORDER|DMAX|\d+_\d+)"
)

logger = logging.getLogger(__name__)


def footprint(header: Mapping[str, Any], frame: str = "") -> Polygon | None:
    """A closed GeoJSON Polygon of [RA, Dec] corners in degrees (RFC 7946, section 3.1.6), or None.

    A spectrograph's is a square around its pointing, an image's its four corner pixels. A header whose numbers give
    no position on the sky gives None and a warning: the frame is worth archiving all the same.
    """
    try:
        corners = _corners(header)
    except (ValueError, TypeError, AttributeError, ArithmeticError, KeyError, fits.VerifyError) as error:
        logger.warning("%s: no footprint: %s", frame, " ".join(str(error).split()))
        return None
    if corners is None:
        return None
    if not all(math.isfinite(number) for corner in corners for number in corner):
        logger.warning("%s: no footprint: its WCS puts a corner nowhere on the sky", frame)
        return None
    return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}


def is_set(value: Any) -> bool:
    """Whether a keyword has a value: 0 is one, null and the empty text are none."""
    return value is not None and value != ""


def _corners(header: Mapping[str, Any]) -> list[list[float]] | None:
    if all(is_set(header.get(keyword)) for keyword in _SPECTROGRAPH):
        return _square(header)
    if all(is_set(header.get(keyword)) for keyword in _IMAGE) and not is_set(header.get("NAXIS3")):
        return _image_corners(header)
    return None


def _square(header: Mapping[str, Any]) -> list[list[float]]:
    ra = float(Angle(header["RA"], unit=units.hourangle).degree)
    dec = float(Angle(header["DEC"], unit=units.degree).degree)
    half = float(header["RADIUS"]) / 3600.0  # arcsec to degrees
    return [[ra - half, dec + half], [ra + half, dec + half], [ra + half, dec - half], [ra - half, dec - half]]


def _image_corners(header: Mapping[str, Any]) -> list[list[float]]:
    """The sky at the pixels (1,1), (1,NAXIS2), (NAXIS1,NAXIS2), (NAXIS1,1), counted from 1, distortions included."""
    cards = fits.Header()
    for keyword, value in header.items():
        if _WCS_CARD.fullmatch(keyword) and is_set(value):
            cards[keyword] = value
    width, height = int(header["NAXIS1"]), int(header["NAXIS2"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)  # it mends old-fashioned cards and says so
        wcs = WCS(cards, naxis=2)
        corners = wcs.all_pix2world([[1, 1], [1, height], [width, height], [width, 1]], 1)
    return [[float(ra), float(dec)] for ra, dec in corners]
