"""The area of the sky that a frame covers, from its header; pure (docs/record.md, "area")."""

import logging
import re
import warnings
from collections.abc import Mapping
from textwrap import shorten
from typing import Any

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from lco_ingester.footprint.cards import is_set
from lco_ingester.footprint.image import image_ring
from lco_ingester.footprint.pointing import pointing_ring
from lco_ingester.footprint.sky import sky_of

__all__ = ["Polygon", "footprint", "is_set"]

Polygon = dict[str, Any]

_SPECTROGRAPH = ("RADIUS", "RA", "DEC")
_ODD_VALUES = (ValueError, TypeError, AttributeError, ArithmeticError, LookupError, RuntimeError, fits.VerifyError)
_SOURCE_LINE = re.compile(r"ERROR \d+ in \S+ at line \d+ of file \S+:\s")  # wcslib's, before each of its reasons

logger = logging.getLogger(__name__)


def footprint(header: Mapping[str, Any], frame: str = "") -> Polygon | None:
    """A closed GeoJSON Polygon of [RA, Dec] in degrees of the ICRS (RFC 7946, section 3.1.6), or None.

    Its edges are great circles, as those of a PostGIS geography. A spectrograph's is a square around its pointing, an
    image's goes from corner to corner. A header that speaks of no place on the sky gives None; one whose numbers give
    no area, None and a warning: the frame is worth archiving all the same.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)  # it mends old-fashioned cards and says so
            warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, of numbers that are refused later
            ring = _ring(header)
    except _ODD_VALUES as error:
        logger.warning("%s: no footprint: %s", frame, shorten(_SOURCE_LINE.sub("", str(error)), 300))
        return None
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]} if ring else None


def _ring(header: Mapping[str, Any]) -> list[list[float]] | None:
    if all(is_set(header.get(keyword)) for keyword in _SPECTROGRAPH):
        return pointing_ring(header)
    sky = sky_of(header)
    return image_ring(header, sky) if sky else None
