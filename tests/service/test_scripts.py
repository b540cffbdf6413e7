"""run_celery.sh: everything on one machine, and the demo."""

import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.processes import wait_until
from tests.support.service import ROOT, Deployment

# The tests run in a ready environment; the scripts must not make another.
READY_MADE = {"ENVIRONMENT_IS_MADE": "1"}


def test_the_whole_service_starts_archives_and_ends_at_one_signal(site: Deployment, good: list[Path]) -> None:
    port = free_port()
    script = site.start("./run_celery.sh", FLOWER_PORT=str(port), WORKER_CONCURRENCY="1", **READY_MADE)
    script.wait_for("listening on queue", 60)
    script.wait_for("ingest@")
    site.publish(*good[:2])
    site.wait_for_announced(2, seconds=60)
    wait_until("Flower", lambda: _answers(f"http://127.0.0.1:{port}/"), 60)
    pids = script.children()
    assert len(pids) == 5
    assert script.end(signal.SIGINT, seconds=60) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_when_one_process_dies_all_stop_and_the_exit_code_says_so(site: Deployment) -> None:
    script = site.start("./run_celery.sh", FLOWER_PORT=str(free_port()), **READY_MADE)
    script.wait_for("listening on queue", 60)
    pids = script.children()
    listener = next(pid for pid in pids if b"run\0listener" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(listener, signal.SIGKILL)
    assert script.process.wait(60) == 137
    assert "listener ended with exit code 137" in script.logged()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_wrong_settings_stop_it_with_one_line(site: Deployment) -> None:
    script = site.start("./run_celery.sh", API_ROOT="localhost", DELIVERY_LIMIT="none", **READY_MADE)
    assert script.process.wait(30) == 1
    [line] = script.logged().strip().splitlines()
    assert "API_ROOT" in line
    assert "DELIVERY_LIMIT" in line


def test_an_unknown_option_shows_the_usage() -> None:
    ended = subprocess.run(["./run_celery.sh", "--nonsense"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "usage:" in ended.stderr


def test_the_demo_archives_good_frames_and_dead_letters_bad_ones() -> None:
    ended = _demo()
    print(ended.stdout, ended.stderr)
    assert ended.returncode == 0
    assert len(re.findall(r"archived .*/\d{8}/(?:raw|processed)/\S+ +\d+ +received", ended.stdout)) == 10
    assert "dead letter: FITS_TRUNCATED" in ended.stdout
    assert "dead letter: HEADER_MISSING" in ended.stdout
    assert "***" not in ended.stdout, "a secret of the demo is an ordinary word"


def test_the_demo_says_so_when_a_named_frame_is_not_archived(frames: list, tmp_path: Path) -> None:
    ended = _demo(*(str(frame.path) for frame in frames if frame.kind in ("raw", "keyword missing")))
    assert ended.returncode == 1
    assert "NOT AS EXPECTED" in ended.stdout
    assert "HEADER_MISSING" in ended.stdout


def _demo(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["./run_celery.sh", "--demo", *arguments],
        cwd=ROOT,
        env={**os.environ, **READY_MADE},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


pytestmark = pytest.mark.timeout(180)
