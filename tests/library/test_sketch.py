"""A polygon drawn as text, as it appears on the sky."""

import math

import pytest

from lco_ingester.preview.sketch import COLUMNS, ROWS, sketch
from tests.support.synthetic import record_of


def drawn(*ring: tuple[float, float]) -> list[str]:
    return sketch({"type": "Polygon", "coordinates": [[*map(list, ring), list(ring[0])]]})


def square(ra: float, dec: float, half: float) -> list[tuple[float, float]]:
    """The corners in the order north-west, north-east, south-east, south-west."""
    width = half / math.cos(math.radians(dec))
    return [((ra + x * width) % 360, dec + y * half) for x, y in ((-1, 1), (1, 1), (1, -1), (-1, -1))]


def place(lines: list[str], mark: str) -> tuple[int, int]:
    """Row and column of a mark."""
    rows = lines[: next(number for number, line in enumerate(lines) if line.startswith("centre"))]
    [(row, line)] = [(number, line) for number, line in enumerate(rows) if mark in line]
    return row, line.index(mark)


@pytest.mark.parametrize("ra", [0.0, 0.05, 123.4, 180.0, 359.99])
def test_east_is_left_and_north_is_up_everywhere(ra: float) -> None:
    lines = drawn(*square(ra, -30, 0.2))
    north_west, north_east, south_east, south_west = (place(lines, mark) for mark in "1234")
    assert north_east[0] == north_west[0] < south_east[0] == south_west[0]
    assert north_east[1] == south_east[1] < north_west[1] == south_west[1]
    assert any("24.05′ from east to west, 24.00′ from south to north" in line for line in lines)
    assert ("it crosses RA 0" in lines) == (ra < 1 or ra > 359)


@pytest.mark.parametrize(("dec", "name"), [(89.0, "north"), (-89.0, "south")])
def test_a_field_around_a_pole_shows_the_pole_inside(dec: float, name: str) -> None:
    lines = drawn((20, dec), (110, dec), (200, dec), (290, dec))
    assert f"it contains the {name} celestial pole (P)" in lines
    pole = place(lines, "P")
    corners = [place(lines, mark) for mark in "1234"]
    assert min(row for row, _ in corners) < pole[0] < max(row for row, _ in corners)
    assert min(column for _, column in corners) < pole[1] < max(column for _, column in corners)


def test_it_fits_the_sheet_whatever_its_shape() -> None:
    for wide, high in ((0.001, 5.0), (5.0, 0.001), (30.0, 30.0), (0.0, 0.0), (1e-5, 1e-5)):
        lines = drawn((100 - wide, high), (100 + wide, high), (100 + wide, -high), (100 - wide, -high))
        sheet = lines[1 : place(lines, "S")[0]]
        assert len(sheet) <= ROWS
        assert max(map(len, sheet)) <= COLUMNS + 4
        assert "1" in "".join(sheet)


def test_a_ring_of_many_positions_has_its_first_numbered() -> None:
    circle = [(200 + math.cos(turn / 8) * 2, 10 + math.sin(turn / 8) * 2) for turn in range(50)]
    lines = drawn(*circle)
    assert place(lines, "1")
    assert sum(line.count("o") for line in lines[:-2]) > 9


def test_what_the_footprint_gives_can_be_drawn() -> None:
    area = record_of({"RADIUS": 5.0, "RA": "00:00:00", "DEC": "+89:59:59"})["area"]
    assert any("″ from east to west" in line for line in sketch(area))
