"""A calculation from the measured numbers for 1, 10 and 100 workers: how fast, how expensive, and what is the limit."""

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
    0.020, "seconds of an Archive API process for GET versions/", "a guess: one look-up in Django, with an index"
)
API_POST = Assumption(
    0.100, "seconds of an Archive API process for POST frames/",
    "a guess: about 300 keywords, validated and stored in one transaction",
)  # fmt: skip
API_PROCESSES = Assumption(8, "processes of the Archive API that answer in parallel", "a guess: one server of 8 cores")
PUT_PRICE = Assumption(5.0, "USD for a million puts", "Amazon S3 price list, us-east-1, Standard: 0.005 USD for 1,000")
CORE_PRICE = Assumption(
    0.0425, "USD for one core for one hour", "Amazon EC2 price list, us-east-1: c6i.large, 0.085 USD with 2"
)
PREFIX_PUTS = Assumption(
    3500, "puts per second that S3 accepts under one prefix",
    'Amazon S3 User Guide, "Best practices design patterns"; each site, camera and day has its own prefix',
)  # fmt: skip
ASSUMPTIONS = (S3_WAIT, API_GET, API_POST, API_PROCESSES, PUT_PRICE, CORE_PRICE, PREFIX_PUTS)


_INTRODUCTION = """# A model of more workers

`python -m benchmarks` calculates this page from [the measured service](results.md#service), for frames of 100 KB.
It is a calculation, not a measurement.

- Files per second: the number of workers, divided by the seconds that one worker needs for a frame. The slowest shared
  part sets the upper limit.
- Cost: the CPU seconds of worker, listener and broker, and the puts.
"""
_NOTES = """## Assumed

- RabbitMQ: one core, because a queue is one Erlang process (RabbitMQ documentation, "Queues"). The model counts all its
  work there. Other queues and connections have their own processes, so the real limit is higher.
- Archive API: the limit grows with the number of its processes.
- S3: the limit grows with the number of prefixes.
- Larger frames are limited by md5 and the network: 34 MB need 0.27 s on a network of 1 Gbit/s.
"""


@dataclass(frozen=True)
class Measured:
    """CPU seconds of each part for one frame, and the files a second of one worker on null services."""

    worker: float
    listener: float
    broker: float
    one_worker: float


def limits(measured: Measured) -> dict[str, float]:
    """The largest number of files per second for each shared part, however many workers there are."""
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
                "files/s with null services, one core each": workers * measured.one_worker,
                "files/s with real services": speed,
                "limit": name if wanted > most else "waiting of the workers",
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
    grain = 1e-5  # the clock of /proc has ticks of 10 ms, so a short run may show zero
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
        {"part": part, "files/s at most": most, "reached with this number of workers": most * each}
        for part, most in limits(measured).items()
    ]
    return f"""## {name.partition(" ")[0]}

Measured with one worker: {measured.one_worker:.1f} files/s, and per frame {measured.worker * 1000:.1f} ms of CPU in the
worker, {measured.listener * 1000:.2f} ms in the listener, {measured.broker * 1000:.2f} ms in RabbitMQ.
With real services a worker needs {each * 1000:.0f} ms for a frame and mostly waits, so one core is enough for
{each / measured.worker:.0f} workers.

{markdown(rows(measured))}
When each shared part becomes the limit:

{markdown(shared)}"""
