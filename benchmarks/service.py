"""The service, end to end: names in through RabbitMQ, frames archived, announcements out."""

import itertools
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.deployment import LCO, OURS, Deployment, Service, deployed
from benchmarks.environments import CACHE
from benchmarks.external_services import ExternalServices
from benchmarks.frames import KINDS, Kind, make_frame
from benchmarks.measure import median, percentile
from benchmarks.processes import Meter
from benchmarks.watch import Watch
from tests.support.full_header import exposure

Row = dict[str, Any]

WORKERS = (1, 2, 4, 8)
COMPARED = 2  # workers of the comparison with the predecessor
# Frames of a run: some ten seconds of each contender's work.
FRAMES = {("ours", "100 KB"): 1000, ("lco", "100 KB"): 200, ("ours", "34 MB"): 60, ("lco", "34 MB"): 40}
QUICK = 10  # times fewer
ROUNDS, QUICK_ROUNDS = 3, 1
LATENCIES, QUICK_LATENCIES = 50, 5
TIME_LIMIT = 180.0  # seconds for the frames of a run

_numbers = itertools.count(1)


def measure_service(broker: str, broker_pid: int | None, external: ExternalServices, quick: bool) -> list[Row]:
    """A row for each run: files a second, and what each process used for a file."""
    rows = []
    runs = [(KINDS[0], workers) for workers in WORKERS]
    runs += [(kind, COMPARED) for kind in KINDS if kind.size == "34 MB" and not (kind.packed or kind.summed)]
    for kind, workers in runs:
        for _ in range(QUICK_ROUNDS if quick else ROUNDS):
            for service in (OURS, LCO):
                with deployed(service, workers, broker, external) as deployment:
                    others = {"S3 sink": external.s3_pid, "archive sink": external.archive_pid}
                    if broker_pid is not None:
                        others["RabbitMQ"] = broker_pid
                    rows.append(_throughput(service, kind, workers, deployment, others, quick))
                    print(f"  {rows[-1]}", file=sys.stderr)
    return rows


def measure_latency(broker: str, external: ExternalServices, quick: bool) -> list[Row]:
    """A row for each service: from publishing one name to the announcement of its frame, on an idle service."""
    rows = []
    for service in (OURS, LCO):
        with (
            deployed(service, COMPARED, broker, external) as deployment,
            Watch(broker, deployment.processed) as watch,
        ):
            work(deployment, watch, _links(KINDS[0], 4 * COMPARED))
            waits = []
            for path in _links(KINDS[0], QUICK_LATENCIES if quick else LATENCIES):
                time.sleep(0.1)
                waits.append(1000 * work(deployment, watch, [path]))
            rows.append(
                {
                    "contender": service.name,
                    "frame": KINDS[0].label,
                    "frames": len(waits),
                    "median_ms": round(median(waits), 1),
                    "p95_ms": round(percentile(waits, 95), 1),
                    "longest_ms": round(max(waits), 1),
                }
            )
    return rows


def forget_names() -> None:
    """Remove the names that this process has given out."""
    shutil.rmtree(_names(), ignore_errors=True)


def _throughput(
    service: Service, kind: Kind, workers: int, deployment: Deployment, others: dict[str, int], quick: bool
) -> Row:
    frames = FRAMES[service.runner, kind.size] // (QUICK if quick else 1)
    row: Row = {"contender": service.name, "frame": kind.label, "workers": workers, "frames": frames}
    with Watch(deployment.broker, deployment.processed) as watch:
        work(deployment, watch, _links(kind, 4 * workers))  # every process has opened its connections
        meter = Meter({**deployment.pids, **others})
        seconds = work(deployment, watch, _links(kind, frames))
        used, busy = meter.used(), meter.busy_cores()
    row |= {"seconds": round(seconds, 3), "files_per_s": round(frames / seconds, 2), "busy_cores": round(busy, 2)}
    return row | {f"{role} ms": round(spent * 1000 / frames, 2) for role, spent in used.items()}


def work(deployment: Deployment, watch: Watch, paths: list[Path]) -> float:
    """Seconds from the first name's publishing to the last frame's announcement."""
    began = time.perf_counter()
    deployment.publish(paths)
    heard = watch.wait_for({path.name.partition(".")[0] for path in paths}, TIME_LIMIT)
    return max(heard.values()) - began


def _names() -> Path:
    return CACHE / "names" / str(os.getpid())


def _links(kind: Kind, count: int) -> list[Path]:
    """`count` names for one frame, none of them used before."""
    frame = make_frame(CACHE / "frames", kind)
    directory = _names()
    directory.mkdir(parents=True, exist_ok=True)
    links = []
    for _ in range(count):
        number = next(_numbers)
        link = directory / f"{exposure(number).name('e91')}{''.join(frame.suffixes)}"
        link.hardlink_to(frame)
        links.append(link)
    return links
