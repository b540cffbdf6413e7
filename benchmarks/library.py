"""The library: CPU of the client process for one frame, by kind of frame and contender, in one run."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.contender import FLOOR, LCO, OCS, OURS, Contender, Runner, all_running, running
from benchmarks.environments import CACHE
from benchmarks.external_services import ExternalServices
from benchmarks.frames import KINDS, Kind, make_frame, record_of
from benchmarks.measure import median, spread

Row = dict[str, Any]

ROUNDS, QUICK_ROUNDS = 15, 3
# Files a round: enough that a round takes some tenths of a second, so that the clock's grain does not matter.
FILES = {"100 KB": 20, "2 MB": 10, "34 MB": 2}
QUICK_FILES = {"100 KB": 5, "2 MB": 2, "34 MB": 1}


def measure_library(external: ExternalServices, variants: list[Contender], quick: bool) -> list[Row]:
    """A row for each kind of frame and contender: median milliseconds a file, their spread, and ratios."""
    environment = external.environment(FLOOR_RECORD=str(_floor_record()))
    contenders = [FLOOR, OURS, *variants, LCO, OCS]
    rows: list[Row] = []
    with all_running(contenders, environment) as runners:
        for kind in KINDS:
            rows += _rows(kind, _interleaved(kind, runners, quick))
    return rows


def measure_pieces(external: ExternalServices, variants: list[Contender], quick: bool) -> list[Row]:
    """A row for each kind of frame and variant of ours: median milliseconds of CPU in each piece of the library."""
    environment = external.environment()
    rows: list[Row] = []
    for contender in [OURS, *variants]:
        clocked = Contender(contender.name, contender.runner, {**contender.variables, "PIECES": "1"})
        with running(clocked, environment) as runner:
            rows += [_pieces_row(contender.name, kind, runner, quick) for kind in KINDS]
    return rows


def _interleaved(kind: Kind, runners: Mapping[str, Runner], quick: bool) -> dict[str, list[Row]]:
    """What each contender answered, round by round, so that noise affects all; each round begins with another one."""
    path = make_frame(CACHE / "frames", kind)
    files = (QUICK_FILES if quick else FILES)[kind.size]
    names = list(runners)
    answers: dict[str, list[Row]] = {name: [] for name in names}
    for name in names:
        runners[name].ingest(path, 2)  # imports, connections and caches are warm
    for turn in range(QUICK_ROUNDS if quick else ROUNDS):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            answers[name].append(runners[name].ingest(path, files))
    print(f"  {kind.label}: " + ", ".join(f"{n} {_cpu(a):.2f} ms" for n, a in answers.items()), file=sys.stderr)
    return answers


def _rows(kind: Kind, answers: dict[str, list[Row]]) -> list[Row]:
    """Ratios are taken round by round, because two contenders of one round meet the same noise."""
    floor, lco = answers[FLOOR.name], answers[LCO.name]
    return [
        {
            "size": kind.size,
            "frame": kind.label,
            "contender": name,
            "cpu_ms": round(_cpu(rounds), 3),
            "cpu_ms_spread": round(spread([each["cpu_ms"] for each in rounds]), 3),
            "wall_ms": round(median([each["wall_ms"] for each in rounds]), 3),
            "of_floor": round(_ratio(rounds, floor), 3),
            "lco_over_it": round(_ratio(lco, rounds), 2),
        }
        for name, rounds in answers.items()
    ]


def _pieces_row(name: str, kind: Kind, runner: Runner, quick: bool) -> Row:
    path = make_frame(CACHE / "frames", kind)
    files = (QUICK_FILES if quick else FILES)[kind.size]
    runner.ingest(path, 2)
    rounds = [runner.ingest(path, files)["pieces"] for _ in range(3 if quick else 7)]
    pieces = {piece: round(median([each.get(piece, 0.0) for each in rounds]), 3) for piece in rounds[0]}
    return {"contender": name, "frame": kind.label, **dict(sorted(pieces.items(), key=lambda item: -item[1]))}


def _ratio(rounds: list[Row], others: list[Row]) -> float:
    return median([one["cpu_ms"] / other["cpu_ms"] for one, other in zip(rounds, others, strict=True)])


def _cpu(rounds: list[Row]) -> float:
    return median([each["cpu_ms"] for each in rounds])


def _floor_record() -> Path:
    path = CACHE / "floor-record.json"
    path.write_text(json.dumps(record_of(make_frame(CACHE / "frames", KINDS[0]))))
    return path
