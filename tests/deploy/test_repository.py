"""The files for people who contribute, and for the machines that check their changes."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
YAML_FILES = [
    ROOT / ".pre-commit-config.yaml",
    ROOT / "CITATION.cff",
    *sorted((ROOT / ".github").rglob("*.yml")),
]
PYTHONS = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)]


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return content


def commands_of(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.name)
def test_yaml_files_can_be_read(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_the_workflow_runs_all_checks_with_every_python_that_the_project_names() -> None:
    job = read(".github/workflows/tests.yml")["jobs"]["tests"]
    assert "./run_tests.sh" in commands_of(job)
    assert job["strategy"]["matrix"]["python"] == PYTHONS
    assert job["env"]["PYTHON"] == "python${{ matrix.python }}"  # run_tests.sh takes it before any other


def test_the_workflow_tests_the_oldest_versions_with_the_oldest_python() -> None:
    job = read(".github/workflows/tests.yml")["jobs"]["oldest"]
    assert "./run_tests.sh --oldest" in commands_of(job)
    assert job["env"]["PYTHON"] == f"python{PYTHONS[0]}"


def test_the_workflow_builds_both_images() -> None:
    commands = " ".join(commands_of(read(".github/workflows/tests.yml")["jobs"]["image"]))
    assert "docker build --tag archive-ingester ." in commands
    assert "--target demo" in commands


def test_the_workflow_may_change_nothing() -> None:
    assert read(".github/workflows/tests.yml")["permissions"] == {"contents": "read"}


def test_the_hooks_are_the_checks_of_run_tests() -> None:
    [local] = read(".pre-commit-config.yaml")["repos"]
    programs = {hook["entry"].removeprefix(".venv/bin/").split(" --")[0] for hook in local["hooks"]}
    script = (ROOT / "run_tests.sh").read_text()
    assert {"ruff check", "ruff format", "mypy", "lint-imports"} == programs
    assert all(program in script for program in programs)


def test_the_citation_agrees_with_the_project() -> None:
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert [each["name"] for each in citation["authors"]] == [each["name"] for each in PROJECT["authors"]]
    assert citation["message"]
    assert citation["title"]


def test_the_licence_file_names_the_licence_and_its_full_text() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert f"SPDX-License-Identifier: {PROJECT['license']}\n" in text
    assert "https://www.gnu.org/licenses/" in text
    assert PROJECT["license-files"] == ["LICENSE"]


@pytest.mark.parametrize("script", ["run_tests.sh", "run_celery.sh", "lock.sh"])
def test_scripts_can_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
