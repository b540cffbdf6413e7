"""An image's pixels → the ring around it on the sky."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lco_ingester.record.footprint.cards import number
from lco_ingester.record.footprint.plane import Points, bow, inside, on_plane
from lco_ingester.record.footprint.pointing import in_circle
from lco_ingester.record.footprint.sky import Sky

_STEPS = 64  # along each side, a power of two
_GRID = 8  # points in the inside of the image, in each direction
_BOW = 0.5  # pixels that a side may leave its great circle, before it gets a point in between
_LONGEST = 0.5  # of an edge, on the touching plane: some 27 degrees
_ROUNDING = 1e-12  # of a position on the touching plane, in radians


def image_ring(header: Mapping[str, Any], sky: Sky) -> list[list[float]]:
    """The sky at the pixels (1,1), (1,NAXIS2), (NAXIS1,NAXIS2), (NAXIS1,1), counted from 1.

    Between two corners there are as many points as the side needs to be followed by great circles: none in a tangential
    projection. Raises ValueError if a polygon cannot say where the image lies.
    """
    width, height = _pixels(header, "NAXIS1"), _pixels(header, "NAXIS2")
    corners = np.array([[1, 1], [1, height], [width, height], [width, 1]], dtype=np.float64)
    outline = _outline(corners)
    grid = (np.arange(_GRID) + 0.5) / _GRID
    within = 1.0 + np.array([(x * (width - 1), y * (height - 1)) for x in grid for y in grid])
    positions = sky.positions(np.concatenate([outline, within]))
    plane = on_plane(positions, len(outline))
    kept = [index for side in range(4) for index in _needed(plane, side, height - 1 if side % 2 == 0 else width - 1)]
    if width > 1 and height > 1 and not inside(plane[len(outline) :], plane[: len(outline)]).all():
        raise ValueError("its WCS folds the image, or spreads it over more than half the sky")
    return [[in_circle(float(ra)), float(dec)] for ra, dec in positions[kept]]


def _pixels(header: Mapping[str, Any], keyword: str) -> int:
    size = number(header, keyword)
    if size < 1 or size != int(size):
        raise ValueError(f"{keyword} is {header[keyword]!r}, not a number of pixels")
    return int(size)


def _outline(corners: Points) -> Points:
    """Points along the four sides, each beginning with its corner."""
    steps = np.arange(_STEPS)[:, None] / _STEPS
    return np.concatenate(
        [start + steps * (end - start) for start, end in zip(corners, np.roll(corners, -1, 0), strict=True)]
    )


def _needed(plane: Points, side: int, pixels: int) -> range:
    """Which points of the outline stand for a side: the fewest, evenly spread, that follow it closely enough."""
    first = side * _STEPS
    curve = np.concatenate([plane[first : first + _STEPS], plane[[(first + _STEPS) % (4 * _STEPS)]]])
    lengths = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    if lengths.max() > _LONGEST:
        raise ValueError("its WCS tears the image apart")
    step = _STEPS
    while step > 1 and not all(
        _straight(curve[start : start + step + 1], float(lengths[start : start + step].sum()), pixels * step / _STEPS)
        for start in range(0, _STEPS, step)
    ):
        step //= 2
    return range(first, first + _STEPS, step)


def _straight(curve: Points, length: float, pixels: float) -> bool:
    return length <= _LONGEST and bow(curve) * pixels <= _BOW * length + _ROUNDING * pixels
