"""A spectrograph's pointing and radius → the square around it."""

import math
from collections.abc import Mapping
from typing import Any

from astropy import units
from astropy.coordinates import Angle

_CORNERS = ((-1, 1), (1, 1), (1, -1), (-1, -1))  # to the east and to the north, in radii
_LARGEST_RADIUS = 20.0  # degrees
# If the pole is farther away than this many radii, the square is calculated in RA and Dec. The error is then at most
# 5 % of a radius, and radii in use are arcseconds.
_FAR = 10.0


def pointing_ring(header: Mapping[str, Any]) -> list[list[float]]:
    """The four corners of a square of half-side RADIUS (arcseconds) around RA (hours) and DEC (degrees).

    Raises ValueError, or another error of astropy's Angle, if these are not a place on the sky.
    """
    ra, dec = _degrees(header, "RA", units.hourangle), _degrees(header, "DEC", units.degree)
    radius = _degrees(header, "RADIUS", units.arcsec)
    if not (abs(ra) <= 360.0 and abs(dec) <= 90.0 and 0.0 <= radius <= _LARGEST_RADIUS):
        raise ValueError(f"RA {ra:g}, DEC {dec:g}, RADIUS {radius:g}, in degrees, are not a place on the sky")
    if math.radians(radius) * max(1.0, abs(math.tan(math.radians(dec)))) * _FAR <= 1.0:
        width = radius / math.cos(math.radians(dec))
        corners = [(ra + east * width, dec + north * radius) for east, north in _CORNERS]
    else:
        corners = [_from_tangent_plane(ra, dec, radius, east, north) for east, north in _CORNERS]
    return [[in_circle(corner_ra), corner_dec] for corner_ra, corner_dec in corners]


def in_circle(ra: float) -> float:
    """An RA in 0 ≤ RA < 360 degrees."""
    turned = ra % 360.0
    return turned if turned < 360.0 else 0.0  # the remainder of a tiny negative number rounds up to 360


def _degrees(header: Mapping[str, Any], keyword: str, unit: units.UnitBase) -> float:
    value = header[keyword]
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise ValueError(f"{keyword} is {value!r}, neither a number nor a text")
    return float(Angle(value, unit=unit).degree)


def _from_tangent_plane(ra: float, dec: float, radius: float, east: int, north: int) -> tuple[float, float]:
    """A corner of the square on the tangent plane, whose sides touch the circle of `radius`; correct at a pole too."""
    side, sin, cos = math.tan(math.radians(radius)), math.sin(math.radians(dec)), math.cos(math.radians(dec))
    x, y, z = cos - north * side * sin, east * side, sin + north * side * cos
    return ra + math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))
