"""Draws a polygon on the sky as text: north up, east to the left."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

COLUMNS, ROWS = 49, 25  # at most; a row is as high as two columns are wide
_STEPS = 200  # points along each edge

Vector = tuple[float, float, float]
Point = tuple[float, float]


def sketch(polygon: dict[str, Any]) -> list[str]:
    """Lines of text for a closed GeoJSON polygon of [RA, Dec] in degrees whose edges are great circles.

    Corners are marked by their number in the ring (only the first one if there are more than nine), the centre by +, a
    pole by P. The projection keeps distance and direction from the centre.
    """
    ring = [_vector(*position) for position in polygon["coordinates"][0]]
    middle = _unit([sum(axis) for axis in zip(*ring[:-1], strict=True)])
    edges = [_flat(point, middle) for point in _along(ring)]
    corners = [_flat(point, middle) for point in ring[:-1]]
    column = max(max(abs(x) for x, _ in edges) * 2 / (COLUMNS - 1), max(abs(y) for _, y in edges) / (ROWS - 1))
    drawing = _Drawing(column or 1 / 3600, max(abs(y) for _, y in edges))
    for point in edges:
        drawing.put(point, "*")
    drawing.put((0.0, 0.0), "+")
    for pole in ((0.0, 0.0, 1.0), (0.0, 0.0, -1.0)):
        drawing.put(_flat(pole, middle), "P")
    for number, point in reversed(list(enumerate(corners, start=1))):
        drawing.put(point, str(number) if len(corners) < 10 or number == 1 else "o")
    return [*drawing.lines(), *_captions(edges, middle, drawing.column, polygon["coordinates"][0])]


class _Drawing:
    """A grid of characters around (0, 0); `column` is the width of one in degrees, `reach` the largest height."""

    def __init__(self, column: float, reach: float) -> None:
        self.column = column
        self._half = min(ROWS // 2, round(reach / (2 * column)))
        self._cells = [[" "] * COLUMNS for _ in range(2 * self._half + 1)]

    def put(self, point: Point, mark: str) -> None:
        """Put a mark at the point, if it is on the grid."""
        x, y = round(-point[0] / self.column) + COLUMNS // 2, self._half - round(point[1] / (2 * self.column))
        if 0 <= x < COLUMNS and 0 <= y < len(self._cells):
            self._cells[y][x] = mark

    def lines(self) -> list[str]:
        rows = ["".join(row) for row in self._cells]
        rows = [f"{'E' if number == self._half else ' '} {row}" for number, row in enumerate(rows)]
        rows[self._half] += " W"
        half = " " * (2 + COLUMNS // 2)
        return [f"{half}N", *(row.rstrip() for row in rows), f"{half}S"]


def _captions(edges: Sequence[Point], middle: Vector, column: float, ring: list[list[float]]) -> list[str]:
    ra, dec = math.degrees(math.atan2(middle[1], middle[0])) % 360, math.degrees(math.asin(middle[2]))
    wide, high = (max(axis) - min(axis) for axis in zip(*edges, strict=True))
    captions = [
        f"centre (+) RA {ra:.5f}° Dec {dec:+.5f}°; {angle(wide)} from east to west, {angle(high)} from south to north",
        f"a column is {angle(column)}, a row {angle(2 * column)}; corners have their numbers in the record",
    ]
    steps = [after[0] - before[0] for before, after in pairwise(ring)]
    if abs(sum((step + 180) % 360 - 180 for step in steps)) > 180:  # the ring goes around a pole
        return [*captions, f"it contains the {'north' if dec > 0 else 'south'} celestial pole (P)"]
    return [*captions, "it crosses RA 0"] if any(abs(step) > 180 for step in steps) else captions


def angle(degrees: float) -> str:
    """An angle in the unit that suits its size."""
    if degrees >= 1:
        return f"{degrees:.2f}°"
    return f"{degrees * 60:.2f}′" if degrees * 60 >= 1 else f"{degrees * 3600:.2f}″"


def _vector(ra: float, dec: float) -> Vector:
    a, d = math.radians(ra), math.radians(dec)
    return math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)


def _unit(vector: Sequence[float]) -> Vector:
    x, y, z = vector
    length = math.sqrt(x * x + y * y + z * z) or 1.0
    return x / length, y / length, z / length


def _along(ring: list[Vector]) -> list[Vector]:
    """Points along the great circles from position to position."""
    return [
        _unit([a + (b - a) * step / _STEPS for a, b in zip(start, end, strict=True)])
        for start, end in pairwise(ring)
        for step in range(_STEPS)
    ]


def _flat(point: Vector, middle: Vector) -> Point:
    """Offset to the east and to the north of the centre, in degrees (zenithal equidistant: FITS standard 4.0, ARC)."""
    ra, dec = math.atan2(middle[1], middle[0]), math.asin(max(-1.0, min(1.0, middle[2])))
    east = (-math.sin(ra), math.cos(ra), 0.0)
    north = (-math.sin(dec) * math.cos(ra), -math.sin(dec) * math.sin(ra), math.cos(dec))
    x, y, z = (sum(a * b for a, b in zip(point, axis, strict=True)) for axis in (east, north, middle))
    across = math.hypot(x, y)
    scale = math.degrees(math.atan2(across, z)) / across if across else 0.0
    return x * scale, y * scale
