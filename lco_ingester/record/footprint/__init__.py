"""The area of the sky that a frame covers, from its header; pure (docs/record.md, "area")."""

import logging
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from textwrap import shorten
from typing import Any

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from lco_ingester.record.footprint.cards import NoPlaceError
from lco_ingester.record.footprint.image import image_ring
from lco_ingester.record.footprint.limits import describes_sky
from lco_ingester.record.footprint.pointing import pointing_ring
from lco_ingester.record.footprint.sky import sky_of
from lco_ingester.record.values import is_set

__all__ = ["Outline", "Polygon", "footprint", "keywords_of_area", "outline"]

Polygon = dict[str, Any]

_SPECTROGRAPH = ("RADIUS", "RA", "DEC")
_VALUE_ERRORS = (ValueError, TypeError, AttributeError, ArithmeticError, LookupError, RuntimeError, fits.VerifyError)
_ROUNDING = 1e-9  # degrees
_SOURCE_LINE = re.compile(r"ERROR \d+ in \S+ at line \d+ of file \S+:\s")  # wcslib writes this before its reasons

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outline:
    """A frame's area, or None, and the reason. `is_invalid`: the header describes an area, but its values are wrong."""

    polygon: Polygon | None
    why: str
    is_invalid: bool = False


def footprint(header: Mapping[str, Any], filename: str = "") -> Polygon | None:
    """A closed GeoJSON Polygon of [RA, Dec] in degrees of the ICRS (RFC 7946, section 3.1.6), or None.

    Its edges are great circles, as in a PostGIS geography. For a spectrograph it is a square around the pointing, for
    an image it follows the edges. It is None if the header does not describe a place on the sky; it
    is None, with a warning that names `filename`, if the header's values are wrong. The frame is archived nevertheless.
    """
    found = outline(header)
    if found.is_invalid:
        logger.warning("%s: no footprint: %s", filename, found.why)
    return found.polygon


def outline(header: Mapping[str, Any]) -> Outline:
    """The polygon and the reason for it, or the reason why there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)  # it fixes old cards and warns about it
            warnings.simplefilter("ignore", RuntimeWarning)  # numpy warns of numbers that are refused later
            ring, why = _ring(header)
            _refuse_half_circle(ring)
    except NoPlaceError as error:
        return Outline(None, str(error))
    except _VALUE_ERRORS as error:
        return Outline(None, shorten(_SOURCE_LINE.sub("", str(error)), 300), is_invalid=True)
    return Outline({"type": "Polygon", "coordinates": [[*ring, ring[0]]]}, why)


def keywords_of_area(header: Mapping[str, Any], keywords: Iterable[str]) -> set[str]:
    """Those of the keywords from which the area of this header comes."""
    if _is_spectrograph(header):
        return set(_SPECTROGRAPH).intersection(keywords)
    return set(filter(describes_sky, keywords))


def _is_spectrograph(header: Mapping[str, Any]) -> bool:
    return all(is_set(header.get(keyword)) for keyword in _SPECTROGRAPH)


def _refuse_half_circle(ring: list[list[float]]) -> None:
    """Raises ValueError for a ring 180 degrees wide in RA, on which the archive breaks (docs/record.md, "area").

    Such a ring has a pole on its edge, or is a line through the pole.
    """
    longitudes = sorted(ra for ra, _ in ring)
    gaps = (after - ra for ra, after in pairwise([*longitudes, longitudes[0] + 360.0]))
    if abs(max(gaps) - 180.0) < _ROUNDING:
        raise ValueError("its area is exactly 180 degrees wide in RA, which the archive cannot hold")


def _ring(header: Mapping[str, Any]) -> tuple[list[list[float]], str]:
    if _is_spectrograph(header):
        return pointing_ring(header), "a square around the pointing, because RADIUS, RA and DEC are set"
    sky = sky_of(header)
    sky.refuse_elsewhere()
    return image_ring(header, sky), "the image's corners, by its WCS"
