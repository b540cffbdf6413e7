"""Tests and benchmarks share tests.support, and know nothing else of each other."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def imports(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each import in the modules of a folder: the file, and the full name of what is imported."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    yield from ((path, name.name) for name in names)
                case ast.ImportFrom(module=str(module), names=names):
                    yield from ((path, f"{module}.{name.name}") for name in names)


def test_the_benchmarks_import_only_the_support_package_of_the_tests() -> None:
    of_tests = [name for _, name in imports(ROOT / "benchmarks") if name.split(".")[0] == "tests"]
    assert of_tests
    assert [name for name in of_tests if not name.startswith("tests.support.")] == []


def test_only_the_tests_of_the_benchmarks_import_them() -> None:
    importing = {path for path, name in imports(ROOT / "tests") if name.split(".")[0] == "benchmarks"}
    assert importing
    assert {path.relative_to(ROOT).parts[:2] for path in importing} == {("tests", "benchmarks")}


def test_the_support_package_imports_no_test() -> None:
    of_tests = [name for _, name in imports(ROOT / "tests" / "support") if name.split(".")[0] == "tests"]
    assert [name for name in of_tests if not name.startswith("tests.support.")] == []
