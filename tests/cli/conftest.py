"""The command: as a process, or inside this process, which saves a second."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from lco_ingester.cli import main
from tests.support.synthetic import ROOT


class Ended(NamedTuple):
    """How a run of the command ended."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Ended]
"""A function of the command's arguments and, by name, environment variables."""


@pytest.fixture
def process(clean_environment: None) -> Command:
    """Runs the command as a process."""

    def run(*arguments: object, **variables: str) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-m", "lco_ingester.cli", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture
def command(clean_environment: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs it within this process."""

    def run(*arguments: object, **variables: str) -> Ended:
        with monkeypatch.context() as patched:
            for name, value in variables.items():
                patched.setenv(name, value)
            try:
                code = main([str(argument) for argument in arguments])
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Ended(code, *capsys.readouterr())

    return run
