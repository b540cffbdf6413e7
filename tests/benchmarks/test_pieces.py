"""The functions that the benchmark measures exist in the library."""

import importlib
from functools import reduce

import pytest

from benchmarks.contenders.pieces import PIECES

PLACES = [place for places in PIECES.values() for place in places]


@pytest.mark.parametrize("place", PLACES)
def test_a_piece_is_a_function_of_the_library(place: str) -> None:
    module, _, path = place.partition(":")
    assert callable(reduce(getattr, path.split("."), importlib.import_module(module)))
