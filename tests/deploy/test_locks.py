"""The lock files hold what requirements.txt and pyproject.toml ask for, with the hashes of all files."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PYTHONS = ("3.11", "3.12", "3.13")
EVERYTHING = [
    line.partition("#")[0].strip()
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if line.partition("#")[0].strip()
]
SERVICE = [*PROJECT["dependencies"], *EXTRAS["service"]]
LOCKS = {
    "requirements.lock": EVERYTHING,
    "requirements-oldest.lock": EVERYTHING,
    "deploy/requirements.lock": SERVICE,
    "deploy/requirements-demo.lock": [*SERVICE, *EXTRAS["demo"]],
}
RENEW = "run: ./lock.sh"


def entries_of(lock: str) -> list[str]:
    """What the lock installs, one text each with its hashes."""
    lines = [line for line in (ROOT / lock).read_text().splitlines() if not line.lstrip().startswith("#")]
    return re.split(r"\n(?=\S)", "\n".join(lines).strip())


def versions_in(lock: str, python: str) -> dict[str, Version]:
    """The version of each package on Linux with this Python."""
    environment: Any = dict(default_environment(), python_version=python, python_full_version=f"{python}.1")
    found: dict[str, Version] = {}
    for entry in entries_of(lock):
        requirement = Requirement(entry.partition("\\")[0].partition("--hash")[0].strip())
        if requirement.marker is None or requirement.marker.evaluate(environment):
            [pin] = requirement.specifier
            assert pin.operator == "=="
            found[canonicalize_name(requirement.name)] = Version(pin.version)
    return found


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_locked_at_a_version_that_it_allows(lock: str, python: str) -> None:
    locked = versions_in(lock, python)
    for requirement in map(Requirement, LOCKS[lock]):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{lock} lacks {requirement.name}; {RENEW}"
        assert version in requirement.specifier, f"{lock} has {requirement.name} {version}; {RENEW}"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_version_has_its_hashes(lock: str) -> None:
    assert [entry.split()[0] for entry in entries_of(lock) if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_registry_and_no_path_of_a_machine(lock: str) -> None:
    assert not re.search(r"https?:|file:|--(extra-)?index-url|--find-links|(^|\s)/", (ROOT / lock).read_text())


@pytest.mark.parametrize("lock", ["deploy/requirements.lock", "deploy/requirements-demo.lock"])
@pytest.mark.parametrize("python", PYTHONS)
def test_the_image_has_the_versions_that_the_tests_ran_with(lock: str, python: str) -> None:
    assert versions_in(lock, python).items() <= versions_in("requirements.lock", python).items()


def test_the_oldest_lock_holds_the_lower_bound_of_every_requirement() -> None:
    locked = versions_in("requirements-oldest.lock", PYTHONS[0])
    for requirement in map(Requirement, EVERYTHING):
        [bound] = [Version(each.version) for each in requirement.specifier if each.operator == ">="]
        version = locked[canonicalize_name(requirement.name)]
        # The first releases of a series may have been withdrawn.
        assert version.release[: len(bound.release)] == bound.release, f"raise {requirement} to {version}"


def test_the_locks_are_for_the_pythons_of_the_classifiers() -> None:
    named = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)]
    assert tuple(named) == PYTHONS
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"


def test_the_build_asks_for_the_setuptools_that_the_locks_bring() -> None:
    [build] = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert build in EVERYTHING
    for lock in LOCKS:
        assert versions_in(lock, PYTHONS[0])["setuptools"] in Requirement(build).specifier
