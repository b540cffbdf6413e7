"""What the source must not hold because some release of Python that we support does it wrong."""

import re
from pathlib import Path

import pytest

from tests.support.synthetic import ROOT

SOURCES = sorted(
    path for folder in ("lco_ingester", "ingester_app", "ingester_demo") for path in ROOT.glob(f"{folder}/**/*.py")
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_pattern_has_a_possessive_quantifier(path: Path) -> None:
    """Python 3.11.0 to 3.11.4 find wrong matches with `*+`, `++` and `?+` after a group."""
    code = re.sub(r"(?m)#.*$", "", path.read_text())
    assert re.findall(r"[)\]}][*+?]\+", code) == []
