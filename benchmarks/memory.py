"""The peak memory of a process for a small file, a large one, and one that is uploaded in parts."""

import sys
from pathlib import Path
from typing import Any

from benchmarks import deployment
from benchmarks.contender import LCO, OCS, OURS, Contender, FailedError, running
from benchmarks.environments import CACHE
from benchmarks.external_services import ExternalServices
from benchmarks.frames import BLOCK
from benchmarks.processes import peak_kib
from benchmarks.service import work
from benchmarks.watch import Watch
from tests.support.full_header import exposure, full_header
from tests.support.processes import children

Row = dict[str, Any]

WORKER = "ours, a worker"
SMALL, LARGE, IN_PARTS = 4_000_000, 4_000_000_000, 6_000_000_000  # bytes; a single put takes no more than 5 GiB
QUICK_LARGE = 400_000_000
WIDTH = 25_000  # pixels of a row
# The predecessors hold the whole file, more than once; they run only if that fits.
TIMES_IN_MEMORY = 2


def measure_memory(external: ExternalServices, variants: list[Contender], quick: bool) -> list[Row]:
    """A row for each file and contender: the peak of a fresh process that ingests this one file, in MiB."""
    rows, ours = [], (OURS, *variants)
    for size in (SMALL, QUICK_LARGE if quick else LARGE):
        path = _sparse_frame(CACHE / "frames", size)
        rows += [_row(contender, path, size, external) for contender in (*ours, LCO, OCS)]
    if not quick:
        path = _sparse_frame(CACHE / "frames", IN_PARTS)
        rows += [_row(contender, path, IN_PARTS, external) for contender in ours]
    return rows


def measure_worker(broker: str, external: ExternalServices, quick: bool) -> list[Row]:
    """A row for each file: the peak of a fresh worker's process that ingests this one file, in MiB."""
    rows = []
    for size in (SMALL, QUICK_LARGE) if quick else (SMALL, LARGE, IN_PARTS):
        path = _sparse_frame(CACHE / "frames", size)
        with (
            deployment.deployed(deployment.OURS, 1, broker, external) as deployed,
            Watch(broker, deployed.processed) as watch,
        ):
            seconds = work(deployed, watch, [path])
            peak = max(peak_kib(child) for child in children(deployed.pids["worker"]))
        rows.append(_peak(WORKER, size, peak, seconds))
        print(f"  {rows[-1]}", file=sys.stderr)
    return rows


def _row(contender: Contender, path: Path, size: int, external: ExternalServices) -> Row:
    if contender.runner != OURS.runner and _available() < TIMES_IN_MEMORY * size:
        free = f"{_available() / 1e9:.1f} GB"
        row = _left_out(contender, size, f"{free} of memory are free, and it may need {TIMES_IN_MEMORY} times the file")
    else:
        row = _measured(contender, path, size, external)
    print(f"  {row}", file=sys.stderr)
    return row


def _measured(contender: Contender, path: Path, size: int, external: ExternalServices) -> Row:
    with running(contender, external.environment()) as runner:
        try:
            answer = runner.ingest(path, 1)
        except FailedError as error:
            return _left_out(contender, size, f"it failed: {error}")
    return _peak(contender.name, size, answer["peak_kib"], answer["wall_ms"] / 1000)


def _peak(name: str, size: int, kib: int, seconds: float) -> Row:
    return {
        "contender": name,
        "file_mb": size / 1e6,
        "peak_mib": round(kib / 1024, 1),
        "seconds": round(seconds, 2),
    }


def _left_out(contender: Contender, size: int, why: str) -> Row:
    return {"contender": contender.name, "file_mb": size / 1e6, "left_out": why}


def _available() -> int:
    """Bytes of memory that a new process may have (proc(5), MemAvailable)."""
    with open("/proc/meminfo") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def _sparse_frame(directory: Path, size: int) -> Path:
    """A whole FITS file whose pixels are all zero and use no space on the disk."""
    rows = size // (4 * WIDTH)
    path = directory / f"{exposure(5000 + size // 1_000_000).name('e91')}.fits"
    if path.exists():
        return path
    directory.mkdir(parents=True, exist_ok=True)
    header = full_header(1, 1000)
    for keyword, value in (("NAXIS2", rows), ("NAXIS1", WIDTH), ("NAXIS", 2), ("BITPIX", -32), ("SIMPLE", True)):
        header.insert(0, (keyword, value))
    text = header.tostring(sep="", padding=True).encode("ascii")
    with path.open("wb") as file:
        file.write(text)
        file.truncate(len(text) + -(-rows * WIDTH * 4 // BLOCK) * BLOCK)
    return path
