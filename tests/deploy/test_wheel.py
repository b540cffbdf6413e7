"""The installed package alone runs the service: a wheel, an empty folder, no checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from datetime import date
from pathlib import Path

import pytest

from ingester_demo.sample_frames import make_frames
from tests.support.processes import Program
from tests.support.rabbitmq import RabbitNode
from tests.support.servers import running_archive, running_s3
from tests.support.service import ROOT, Deployment, deployed

COPIED = ("pyproject.toml", "README.md", "LICENSE", "lco_ingester", "ingester_app", "ingester_demo")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel and nothing else of ours; what it depends on is this environment's."""
    source, wheels = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    [wheel] = wheels.iterdir()
    target = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(target)
    return target


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def environment(installed: Path) -> dict[str, str]:
    """Python finds the wheel first, and what the wheel depends on after it; never the checkout."""
    packages = sysconfig.get_paths()["purelib"]
    return {"PYTHONPATH": f"{installed}:{packages}", "PATH": os.environ["PATH"], "HOME": str(installed)}


def command(*arguments: str) -> list[str]:
    # -S leaves out the editable installation of the checkout.
    return [sys.executable, "-S", "-m", "ingester_app.cli", *arguments]


def test_the_wheel_holds_the_packages_and_no_file_of_the_checkouts_top(installed: Path) -> None:
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == {
        "lco_ingester",
        "ingester_app",
        "ingester_demo",
    }


@pytest.mark.parametrize("module", ["ingester_app.cli", "lco_ingester.cli"])
def test_both_commands_print_their_release(installed: Path, empty: Path, module: str) -> None:
    printed = subprocess.run(
        [sys.executable, "-S", "-m", module, "--version"],
        cwd=empty, env=environment(installed), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    [metadata] = installed.glob("*.dist-info/METADATA")
    [version] = [line.split()[1] for line in metadata.read_text().splitlines() if line.startswith("Version: ")]
    assert printed.split()[1] == version


def test_neither_library_nor_service_imports_the_demo(installed: Path, empty: Path) -> None:
    modules = "ingester_app.cli, ingester_app.listener, ingester_app.tasks, ingester_app.health, lco_ingester.cli"
    code = f"import {modules}, sys; print([name for name in sys.modules if name.split('.')[0] in "
    code += "('ingester_demo', 'flask', 'moto')])"
    ended = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=empty,
        env=environment(installed),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "[]"


def test_every_role_runs_and_frames_are_archived(
    installed: Path, empty: Path, tmp_path: Path, rabbit: RabbitNode
) -> None:
    paths = [frame.path for frame in make_frames(tmp_path / "frames", 2, date(2026, 11, 1), pixels=100)]
    with (
        running_archive(tmp_path) as archive,
        running_s3("wheel") as store,
        deployed(tmp_path / "site", rabbit.url, archive, store) as site,
    ):
        roles = {
            role: start(site, installed, empty, role)
            for role in (("listener",), ("worker", "-c", "1"), ("periodic", "--with-beat"), ("beat",))
        }
        roles[("listener",)].wait_for("listening on queue")
        roles[("worker", "-c", "1")].wait_for(" ready.")
        roles[("periodic", "--with-beat")].wait_for(" ready.")
        site.publish(*paths)
        site.wait_for_announced(2)
        for role, program in roles.items():
            assert program.end() == 0, f"{role}\n{program.logged()}"
        assert list(empty.iterdir()) == []


def start(site: Deployment, installed: Path, folder: Path, role: tuple[str, ...]) -> Program:
    log = site.directory / f"{role[0]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("run", *role), cwd=folder, env={**environment(installed), **site.variables},
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    site.programs.append(Program(process, log))
    return site.programs[-1]
