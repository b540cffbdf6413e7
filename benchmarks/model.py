"""A model on paper: what the measured numbers mean for 1, 10 and 100 workers, where which server becomes the limit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.tables import markdown, medians

WORKERS = (1, 10, 100)


@dataclass(frozen=True)
class Assumption:
    """A number that was not measured here, and where it is from."""

    value: float
    meaning: str
    source: str


S3_WAIT = Assumption(
    0.150, "seconds that S3 takes to answer a small put",
    'Amazon S3 User Guide, "Best practices design patterns": small objects in roughly 100–200 ms',
)  # fmt: skip
API_GET = Assumption(
    0.020, "seconds of an Archive API process for GET versions/", "a guess: one indexed look-up in Django"
)
API_POST = Assumption(
    0.100, "seconds of an Archive API process for POST frames/",
    "a guess: some 300 headers validated and stored in one transaction",
)  # fmt: skip
API_PROCESSES = Assumption(8, "processes of the Archive API that answer side by side", "a guess: one server of 8 cores")
PUT_PRICE = Assumption(5.0, "USD for a million puts", "Amazon S3 price list, us-east-1, Standard: 0.005 USD for 1,000")
CORE_PRICE = Assumption(
    0.0425, "USD for a core and hour", "Amazon EC2 price list, us-east-1: c6i.large, 0.085 USD with 2"
)
PREFIX_PUTS = Assumption(
    3500, "puts a second that S3 takes under one prefix",
    'Amazon S3 User Guide, "Best practices design patterns"; a site, camera and day are a prefix of their own',
)  # fmt: skip
ASSUMPTIONS = (S3_WAIT, API_GET, API_POST, API_PROCESSES, PUT_PRICE, CORE_PRICE, PREFIX_PUTS)


_INTRODUCTION = """# A model of more workers

Written by `python -m benchmarks` from [the measured service](results.md#service), for frames of 100 KB. It is
arithmetic, not a measurement: files a second are workers divided by the seconds that one is busy with a frame, up to
what the first shared part can take; the cost is of the CPU seconds of worker, listener and broker, and of the puts.
"""
_NOTES = """## Assumed

RabbitMQ's line takes one core, for a queue is one Erlang process (RabbitMQ documentation, "Queues"), and counts all its
work there; other queues and connections have processes of their own, so it can do more. The Archive API's line moves
with its processes, and S3's with the number of prefixes. Larger frames are bound by md5 and the wire: 34 MB need
0.27 s of a wire of 1 Gbit/s.
"""


@dataclass(frozen=True)
class Measured:
    """CPU seconds of each part for one frame, and the files a second of one worker on null services."""

    worker: float
    listener: float
    broker: float
    one_worker: float


def limits(measured: Measured) -> dict[str, float]:
    """Files a second that each shared part can take at most, however many workers there are."""
    return {
        "listener (one core)": 1 / measured.listener,
        "RabbitMQ (one core)": 1 / measured.broker,
        "Archive API": API_PROCESSES.value / (API_GET.value + API_POST.value),
        "S3, one prefix": PREFIX_PUTS.value,
    }


def real_seconds(measured: Measured) -> float:
    """Seconds that a worker is busy with a frame where S3 and the API take their time; it takes one after another."""
    return 1 / measured.one_worker + S3_WAIT.value + API_GET.value + API_POST.value


def rows(measured: Measured) -> list[dict[str, Any]]:
    """A row for each number of workers."""
    name, most = min(limits(measured).items(), key=lambda item: item[1])
    core_seconds = measured.worker + measured.listener + measured.broker
    cost = core_seconds * 1e6 / 3600 * CORE_PRICE.value
    made = []
    for workers in WORKERS:
        wanted = workers / real_seconds(measured)
        speed = min(wanted, most)
        made.append(
            {
                "workers": workers,
                "files/s on null external, a core each": workers * measured.one_worker,
                "files/s on real ones": speed,
                "limit": name if wanted > most else "the workers' waiting",
                "cores busy": speed * core_seconds,
                "days for a million frames": 1e6 / speed / 86400,
                "USD of cores for a million": cost,
                "USD of puts for a million": PUT_PRICE.value,
            }
        )
    return made


def of_runs(section: Mapping[str, Any], contender: str) -> Measured:
    """The numbers of a contender's 100 KB run with the fewest workers. Raises ValueError if there is none."""
    runs = medians(section["rows"], ("contender", "frame", "workers"))
    mine = [run for run in runs if run["contender"] == contender and run["frame"].startswith("100 KB")]
    one = min(mine, key=lambda run: run["workers"])
    grain = 1e-5  # the clock of /proc ticks in 10 ms, so that a short run may show none at all
    return Measured(
        worker=max(one["worker ms"] / 1000, grain),
        listener=max(one["listener ms"] / 1000, grain),
        broker=max(one.get("RabbitMQ ms", 0.0) / 1000, grain),
        one_worker=one["files_per_s"] / one["workers"],
    )


def model_page(section: Mapping[str, Any]) -> str:
    """model.md."""
    contenders = dict.fromkeys(row["contender"] for row in section["rows"])
    parts = [_INTRODUCTION, *(_contender(name, of_runs(section, name)) for name in contenders), _NOTES]
    assumed = [{"value": f"{each.value:g}", "what": each.meaning, "source": each.source} for each in ASSUMPTIONS]
    return "\n".join([*parts, markdown(assumed)])


def _contender(name: str, measured: Measured) -> str:
    each = real_seconds(measured)
    shared = [
        {"part": part, "files/s at most": most, "reached with so many workers": most * each}
        for part, most in limits(measured).items()
    ]
    return f"""## {name.partition(" ")[0]}

Measured, for a frame with one worker: {measured.worker * 1000:.1f} ms of CPU in the worker,
{measured.listener * 1000:.2f} ms in the listener, {measured.broker * 1000:.2f} ms in RabbitMQ;
{measured.one_worker:.1f} files/s. On real external a worker mostly waits: {each * 1000:.0f} ms a frame, so a core has
room for {each / measured.worker:.0f} workers.

{markdown(rows(measured))}
Where each shared part becomes the limit:

{markdown(shared)}"""
