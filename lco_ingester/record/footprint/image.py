"""An image's pixels → the ring around it on the sky."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lco_ingester.record.footprint.cards import number
from lco_ingester.record.footprint.plane import Plane, Points, bow, inside, on_plane
from lco_ingester.record.footprint.pointing import in_circle
from lco_ingester.record.footprint.sky import Sky

_STEPS = 64  # along each side, a power of two
_GRID = 8  # points inside the image, in each direction
_MAX_BOW = 0.5  # pixels that a side may deviate from a great circle before it gets more points
_MAX_EDGE = 0.5  # length of an edge on the tangent plane: about 27 degrees
_ROUNDING = 1e-12  # of a position on the tangent plane, in radians


def _fractions() -> Points:
    """Points along the four sides of an image, each side from its corner, then a grid of points inside.

    As fractions of width and height, from 0 to 1; read-only.
    """
    way, start, end = np.arange(_STEPS) / _STEPS, np.zeros(_STEPS), np.ones(_STEPS)
    sides = [(start, way), (way, end), (end, 1.0 - way), (1.0 - way, start)]
    grid = np.mgrid[0.5:_GRID, 0.5:_GRID].reshape(2, -1) / _GRID
    fractions: Points = np.hstack([*sides, grid]).T
    fractions.setflags(write=False)
    return fractions


_FRACTIONS = _fractions()


def image_ring(header: Mapping[str, Any], sky: Sky) -> list[list[float]]:
    """The sky at the pixels (1,1), (1,NAXIS2), (NAXIS1,NAXIS2), (NAXIS1,1), counted from 1.

    Between two corners there are as many points as great circles need to follow the side: none in a tangential
    projection. Raises ValueError if no polygon can describe the image.
    """
    width, height = _pixels(header, "NAXIS1"), _pixels(header, "NAXIS2")
    positions = sky.positions(1.0 + _FRACTIONS * np.array([width - 1, height - 1], dtype=np.float64))
    plane = on_plane(positions, 4 * _STEPS)
    ring, within = np.append(plane[: 4 * _STEPS], plane[0]), plane[4 * _STEPS :]
    kept = [index for side in range(4) for index in _needed(ring, side, height - 1 if side % 2 == 0 else width - 1)]
    if width > 1 and height > 1 and not inside(within, ring).all():
        raise ValueError("its WCS folds the image, or spreads it over more than half the sky")
    return [[in_circle(ra), dec] for ra, dec in positions[kept].tolist()]


def _pixels(header: Mapping[str, Any], keyword: str) -> int:
    size = number(header, keyword)
    if size < 1 or size != int(size):
        raise ValueError(f"{keyword} is {header[keyword]!r}, not a number of pixels")
    return int(size)


def _needed(ring: Plane, side: int, pixels: int) -> range:
    """The points of the outline that represent a side: evenly spaced, and as few as follow it closely enough."""
    first = side * _STEPS
    curve = ring[first : first + _STEPS + 1]
    lengths = abs(np.diff(curve))
    if lengths.max() > _MAX_EDGE:
        raise ValueError("its WCS tears the image apart")
    step = _STEPS
    while step > 1 and not all(
        _straight(curve[start : start + step + 1], float(lengths[start : start + step].sum()), pixels * step / _STEPS)
        for start in range(0, _STEPS, step)
    ):
        step //= 2
    return range(first, first + _STEPS, step)


def _straight(curve: Plane, length: float, pixels: float) -> bool:
    return length <= _MAX_EDGE and bow(curve) * pixels <= _MAX_BOW * length + _ROUNDING * pixels
