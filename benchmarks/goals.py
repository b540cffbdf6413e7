"""The goals, and whether the numbers meet them."""

from collections.abc import Mapping
from typing import Any

from benchmarks.memory import WORKER
from benchmarks.tables import medians

Row = dict[str, Any]

LCO = "lco-ingester 2.1.15"
STRICT = "ours, strict"
MIB_ALLOWED = 60 * 1e6 / 1024**2


def goals(results: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """A row for each goal whose numbers are there: what it asks for, what was measured, whether that is enough."""
    made: list[Row] = []
    if "library" in results:
        made += _library(results["library"]["rows"])
    if "service" in results:
        made += _service(results["service"])
    if "memory" in results:
        made += _memory(results["memory"]["rows"])
    return made


def _library(rows: list[Row]) -> list[Row]:
    found = {(row["frame"], row["contender"]): row for row in rows}
    made = []
    for frame in ("100 KB .fits", "100 KB .fits.fz"):
        if row := found.get((frame, "ours")):
            what = f"{frame}: CPU of {LCO}, divided by ours"
            made.append(_goal(what, "at least 6", row["lco_over_it"], row["lco_over_it"] >= 6))
    limits = [("34 MB .fits", "ours", 1.15), ("34 MB .fits.fz", "ours", 1.15)]
    limits += [("34 MB .fits, checksums", STRICT, 1.3), ("34 MB .fits.fz, checksums", STRICT, 1.3)]
    for frame, contender, most in limits:
        if row := found.get((frame, contender)):
            what = f"{frame}: CPU of {contender}, divided by the floor's"
            made.append(_goal(what, f"at most {most}", row["of_floor"], row["of_floor"] <= most))
    return made


def _service(section: Mapping[str, Any]) -> list[Row]:
    made = []
    speeds = {
        (run["frame"], run["workers"], run["contender"]): run["files_per_s"]
        for run in medians(section["rows"], ("contender", "frame", "workers"))
    }
    ours, lco = speeds.get(("100 KB .fits", 2, "ours")), speeds.get(("100 KB .fits", 2, LCO))
    if ours and lco:
        made.append(
            _goal(f"100 KB .fits, 2 workers: files/s, divided by {LCO}'s", "at least 6", ours / lco, ours / lco >= 6)
        )
    for row in section["latency"]:
        if row["contender"] == "ours":
            wait = row["median_ms"]
            made.append(_goal("idle system: median time from name to announcement, ms", "below 100", wait, wait < 100))
    return made


def _memory(rows: list[Row]) -> list[Row]:
    """Of a worker; what is larger than 4 GB goes in parts, several of them at a time."""
    peaks = {row["file_mb"]: row["peak_mib"] for row in rows if row["contender"] == WORKER}
    return [
        _goal(
            f"peak memory of a worker with {size:.0f} MB, minus that with 4 MB, MiB",
            f"at most {MIB_ALLOWED:.0f}",
            peak - peaks[4.0],
            peak - peaks[4.0] <= MIB_ALLOWED,
        )
        for size, peak in peaks.items()
        if 4 < size <= 4000
    ]


def _goal(what: str, wanted: str, measured: float, kept: bool) -> Row:
    return {"goal": what, "wanted": wanted, "measured": float(measured), "kept": "yes" if kept else "**no**"}
