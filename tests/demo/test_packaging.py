"""The demo is an extra: nothing else imports it, and its requirements are declared."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.support.service import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SERVICE_FILES = [*ROOT.glob("*.py"), *ROOT.glob("lco_ingester/**/*.py"), *ROOT.glob("ingester_app/**/*.py")]


def imported(path: Path) -> Iterator[str]:
    """The top-level packages that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (each.name.partition(".")[0] for each in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


def test_neither_the_library_nor_the_service_imports_the_demo() -> None:
    assert len(SERVICE_FILES) > 50
    assert [str(path) for path in SERVICE_FILES if "ingester_demo" in imported(path)] == []


def test_the_extra_holds_exactly_what_the_demo_needs_beyond_library_and_service() -> None:
    used = {name for path in ROOT.glob("ingester_demo/**/*.py") for name in imported(path)}
    has_already = {name for path in SERVICE_FILES for name in imported(path)}
    needed = used - has_already - set(sys.stdlib_module_names) - {"_typeshed", "ingester_demo", "listener"}
    distributions = packages_distributions()
    requirements = PROJECT["optional-dependencies"]["demo"]
    named = {re.split(r"[\[<>=]", each)[0] for each in requirements}
    assert {distributions[name][0].lower() for name in needed} == named
