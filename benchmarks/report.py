"""Writes what was measured: results.json, a CSV file a table, results.md and the plot."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.goals import goals
from benchmarks.model import model_page
from benchmarks.plot import draw
from benchmarks.tables import as_csv, markdown, medians, pivot

Results = dict[str, dict[str, Any]]

RUN = ("contender", "frame", "workers")
MOST_BUSY = 0.2  # cores that others may keep busy before a run that counts
# The checks of a file's bytes, and the pieces that run them.
CHECKS = {
    "md5, for S3 and the archive": ("md5",),
    "CHECKSUM and DATASUM (only with `strict`)": ("checksum",),
    "sizes, padding, trailing bytes, including the reading": ("reading and sizes",),
    "characters of the headers": ("characters",),
    "cards": ("plain cards", "shape of the HDUs"),
}
INTRODUCTION = """# Performance

`python -m benchmarks` writes this page; [benchmarks/README.md](../../benchmarks/README.md) explains it.
All contenders ran side by side, with the same null S3 and null Archive API.
The null S3 forgets the bytes of each object, and the null Archive API accepts every record.
Each number is a median.
Each ratio compares numbers of the same run.

![CPU a file, files a second and memory](results.svg)
"""


def load(directory: Path) -> Results:
    """What was measured before; a section that is not measured again stays."""
    path = directory / "results.json"
    return json.loads(path.read_text()) if path.exists() else {}


def write(results: Results, directory: Path) -> None:
    """All files of a report."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    for name, rows in _tables(results).items():
        (directory / f"{name}.csv").write_text(as_csv(rows))
    (directory / "results.md").write_text(page(results))
    if "service" in results:
        (directory / "model.md").write_text(model_page(results["service"]))
    draw(results, directory / "results.svg")


def page(results: Results) -> str:
    """results.md."""
    parts = [INTRODUCTION]
    if found := goals(results):
        parts.append(markdown(found))
    if "library" in results:
        parts += _library(results["library"])
    if "service" in results:
        parts += _service(results["service"])
        parts += _bound(results) if "library" in results else []
    if "memory" in results:
        parts += ["## Memory\n", _circumstances(results["memory"]["machine"]), _memory(results["memory"]["rows"])]
    return "\n".join(parts)


def _tables(results: Results) -> dict[str, list[Mapping[str, Any]]]:
    found = {}
    for section, content in results.items():
        for name, rows in content.items():
            if isinstance(rows, list) and rows:
                found[section if name == "rows" else name] = rows
    return found


def _library(section: Mapping[str, Any]) -> list[str]:
    rows = section["rows"]
    return [
        "## Library\n",
        _circumstances(section["machine"]),
        "CPU milliseconds per file (user and system) of the client process only:\n",
        markdown(pivot(rows, "frame", "contender", "cpu_ms")),
        "The same as a multiple of the floor. The floor is the least that any ingester must do: md5, one GET, one put "
        "and one POST on open connections, without reading FITS:\n",
        markdown(pivot(rows, "frame", "contender", "of_floor")),
        "CPU of lco-ingester 2.1.15, divided by the CPU of each contender:\n",
        markdown(pivot(rows, "frame", "contender", "lco_over_it")),
        "CPU milliseconds per file of each piece of our library. Measuring each piece makes the sum a little larger. "
        "A piece does not include the pieces inside it:\n",
        markdown(section["pieces"]),
        "The cost of each check, in milliseconds per file with `CHECKSUM` and `DATASUM`:\n",
        markdown(_checks(section["pieces"])),
    ]


def _checks(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each check, from the pieces of ours."""
    frames = [row for row in pieces if row["contender"] == "ours" and row["frame"].endswith(".fits, checksums")]
    return [
        {"check": check, **{row["frame"].partition(".")[0].strip(): _sum(row, parts) for row in frames}}
        for check, parts in CHECKS.items()
    ]


def _sum(row: Mapping[str, Any], parts: tuple[str, ...]) -> float | None:
    """None if none of the parts was measured."""
    measured = [row[part] for part in parts if row.get(part) is not None]
    return float(sum(measured)) if measured else None


def _service(section: Mapping[str, Any]) -> list[str]:
    runs = medians(section["rows"], RUN)
    used = {name: name for name in runs[0] if name.endswith(" ms")}
    shown = {name: name for name in RUN} | {"files_per_s": "files/s", "busy_cores": "cores busy"} | used
    cores = section["machine"]["cores"]
    return [
        "## Service\n",
        _circumstances(section["machine"]),
        "All names go through RabbitMQ, and announcements are on. The time runs from the publishing of the first name "
        "to the announcement of the last frame. `… ms` is the CPU that each process used per file. Worker and listener "
        "include their child processes:\n",
        markdown(runs, shown),
        _full(runs, cores),
        "\nThe time from publishing a name to the announcement of its frame, on an idle system with 2 workers:\n",
        markdown(section["latency"]),
        "[The model](model.md) says what this means for more workers.\n",
    ]


def _full(runs: list[dict[str, Any]], cores: int) -> str:
    """Which resource is full when more workers archive no more files."""
    ours = [run for run in runs if run["contender"] == "ours" and run["frame"].startswith("100 KB")]
    best = max(ours, key=lambda run: run["files_per_s"])
    shares = {name.removesuffix(" ms"): value for name, value in best.items() if name.endswith(" ms")}
    total = sum(shares.values())
    parts = ", ".join(f"{n} {v / total:.0%}" for n, v in sorted(shares.items(), key=lambda item: -item[1]))
    full = best["busy_cores"] >= 0.9 * cores
    verdict = f"the machine's {cores} cores are full" if full else "the cores are not full, so the limit is elsewhere"
    own = total / 1000 * best["files_per_s"]
    return (
        f"Ours is fastest with {best['workers']} workers, {best['files_per_s']:.0f} files/s. "
        f"Then {best['busy_cores']:.2f} of {cores} cores are busy, {own:.2f} of them with the benchmark: {verdict}. "
        f"CPU by process: {parts}.\n"
    )


def _bound(results: Results) -> list[str]:
    """What binds a large frame: how much of the worker's CPU is the floor's."""
    frame = "34 MB .fits"
    floor = [
        row["cpu_ms"] for row in results["library"]["rows"] if (row["frame"], row["contender"]) == (frame, "floor")
    ]
    runs = [run for run in medians(results["service"]["rows"], RUN) if run["frame"] == frame]
    return [
        f"For {frame} {run['contender']} takes {run['worker ms']:.0f} ms of CPU in a worker; the floor took "
        f"{floor[0]:.0f} ms when it ran alone.\n"
        for run in runs
        if floor
    ]


def _memory(rows: list[dict[str, Any]]) -> str:
    return "Peak resident memory (VmHWM) of a new process that ingests one file, in MiB:\n\n" + markdown(rows)


def _circumstances(machine: Mapping[str, Any]) -> str:
    versions = "; ".join(
        f"{who}: " + ", ".join(f"{n} {v}" for n, v in has.items()) for who, has in machine["versions"].items()
    )
    warning = ""
    busy = machine["busy_before"] > MOST_BUSY
    if busy or machine["quick"] or machine["note"]:
        why = [machine["note"]] if machine["note"] else []
        why += ["a quick run"] if machine["quick"] else []
        why += [f"other processes kept {machine['busy_before']:.1f} cores busy before it"] if busy else []
        warning = f"**Preliminary: {'; '.join(why)}.** "
    return (
        f"{warning}{machine['date']}, commit {machine['commit']}, {machine['cores']} cores ({machine['processor']}), "
        f"{machine['memory_gb']} GB, {machine['system']}, Python {machine['python']}, RabbitMQ {machine['rabbitmq']}. "
        f"{versions}.\n"
    )
