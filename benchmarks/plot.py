"""One picture: CPU a file by size, files a second by workers, memory by file."""

from pathlib import Path
from typing import Any

from benchmarks.tables import columns_of, medians, pivot

_COLOURS = {"floor": "#999999", "ours": "#0b6e4f", "lco-ingester 2.1.15": "#c8553d", "ocs-ingester 3.2.0": "#e0a458"}


def draw(results: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw the sections that there are."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "benchmarks"  # the same numbers give the same file
    from matplotlib import pyplot

    panels = [name for name in ("library", "service", "memory") if name in results]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(5.5 * len(panels), 4.5), squeeze=False)
    draws = {"library": _library, "service": _service, "memory": _memory}
    for panel, axis in zip(panels, axes[0], strict=True):
        draws[panel](axis, results[panel]["rows"])
        axis.legend(fontsize="small", frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def _library(axis: Any, rows: list[dict[str, Any]]) -> None:
    _bars(
        axis, pivot([row for row in rows if "checksums" not in row["frame"]], "frame", "contender", "cpu_ms"), "frame"
    )
    axis.set_yscale("log")
    axis.set_ylim(top=5 * axis.get_ylim()[1])  # space for the names
    axis.set_ylabel("CPU of the client, ms a file (log scale)")


def _memory(axis: Any, rows: list[dict[str, Any]]) -> None:
    labelled = [{**row, "file": f"{row['file_mb']:.0f} MB"} for row in rows]
    _bars(axis, pivot(labelled, "file", "contender", "peak_mib"), "file")
    axis.set_yscale("log")
    axis.set_ylabel("peak memory of a process, MiB (log scale)")


def _service(axis: Any, rows: list[dict[str, Any]]) -> None:
    small = medians([row for row in rows if row["frame"].startswith("100 KB")], ("contender", "workers"))
    for name in dict.fromkeys(row["contender"] for row in small):
        points = sorted((row["workers"], row["files_per_s"]) for row in small if row["contender"] == name)
        axis.plot(*zip(*points, strict=True), marker="o", label=name, color=_COLOURS.get(name))
    axis.set_xlabel("worker processes")
    axis.set_ylabel("files of 100 KB a second, end to end")
    axis.set_ylim(bottom=0)


def _bars(axis: Any, table: list[dict[str, Any]], groups: str) -> None:
    names = [name for name in columns_of(table) if name != groups]
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        places = [number + (index - (len(names) - 1) / 2) * width for number in range(len(table))]
        axis.bar(places, [row.get(name) or 0 for row in table], width, label=name, color=_COLOURS.get(name))
    axis.set_xticks(range(len(table)), [row[groups] for row in table], rotation=30, ha="right", fontsize="small")
