"""Which faults a run has, and when: the seed decides all of it."""

import random
from collections import Counter
from dataclasses import dataclass
from math import ceil

KILL_CHILD = "kill a worker's child"
KILL_MAIN = "kill a worker's main process"  # its children become orphans and finish what they do
KILL_WORKER = "kill a worker with its children"
KILL_LISTENER = "kill the listener"
END_WORKER = "SIGTERM to a worker"
END_LISTENER = "SIGTERM to the listener"
KILL_BROKER = "kill a broker"
STOP_BROKER = "stop a broker"
FREEZE_BROKER = "freeze a broker"
S3_DOWN = "S3 down"
API_DOWN = "Archive API down"

WORKER_KILLS = (KILL_CHILD, KILL_MAIN, KILL_WORKER)
BROKER_RESTARTS = (KILL_BROKER, STOP_BROKER)

# How often in five minutes.
PROCESS_FAULTS = {KILL_CHILD: 14, KILL_MAIN: 5, KILL_WORKER: 5, KILL_LISTENER: 6, END_WORKER: 4, END_LISTENER: 1}
OUTAGES = {KILL_BROKER: 2, STOP_BROKER: 2, FREEZE_BROKER: 1, S3_DOWN: 1, API_DOWN: 3}


@dataclass(frozen=True, order=True)
class PlannedFault:
    """One fault, `at` seconds after the first name. An outage lasts `seconds`; `which` selects one of several."""

    at: float
    what: str
    seconds: float = 0.0
    which: int = 0

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.0f} s" if self.seconds else ""
        return f"{self.at:6.1f} s  {self.what}{lasting}"


@dataclass(frozen=True)
class Plan:
    """The faults of a run, and when each name is published (indices into the files; some twice)."""

    seed: int
    length: float
    faults: tuple[PlannedFault, ...]
    names: tuple[tuple[float, int], ...]

    def __str__(self) -> str:
        counts = Counter(fault.what for fault in self.faults)
        head = f"plan of seed {self.seed}: {self.length:.0f} s, {len(self.names)} publications, " + ", ".join(
            f"{number} × {what}" for what, number in sorted(counts.items())
        )
        return "\n".join([head, *(f"  {fault}" for fault in self.faults)])


def make_plan(seed: int, files: int, minutes: float) -> Plan:
    """The plan of a seed: faults after the first tenth of the run, outages one after another."""
    chance = random.Random(seed)
    length = minutes * 60
    faults = [*_process_faults(chance, length, minutes / 5), *_outages(chance, length, minutes / 5)]
    return Plan(seed, length, tuple(sorted(faults)), tuple(_names(chance, files, length * 0.93)))


def _process_faults(chance: random.Random, length: float, scale: float) -> list[PlannedFault]:
    return [
        PlannedFault(chance.uniform(0.08, 0.96) * length, what, which=chance.randrange(1000))
        for what, number in PROCESS_FAULTS.items()
        for _ in range(ceil(number * scale))
    ]


def _outages(chance: random.Random, length: float, scale: float) -> list[PlannedFault]:
    kinds = [what for what, number in OUTAGES.items() for _ in range(max(1, round(number * scale)))]
    if scale < 0.5:
        kinds = [KILL_BROKER, S3_DOWN, API_DOWN]
    chance.shuffle(kinds)
    slot = 0.85 * length / len(kinds)
    not_yet_long = {S3_DOWN, API_DOWN}
    faults = []
    for number, what in enumerate(kinds):
        at = 0.1 * length + (number + chance.uniform(0, 0.4)) * slot
        if what in not_yet_long:
            not_yet_long.remove(what)  # the first outage of each is long
            seconds = max(5.0, min(30.0, 30.0 * scale))
        else:
            seconds = chance.uniform(12, 15) if what == FREEZE_BROKER else chance.uniform(1, 8)
        faults.append(PlannedFault(at, what, seconds, chance.randrange(1000)))
    return faults


def _names(chance: random.Random, files: int, length: float) -> list[tuple[float, int]]:
    """Bursts of names, as at the end of a telescope's sequence; three in a hundred are published twice."""
    order = list(range(files))
    chance.shuffle(order)
    names: list[tuple[float, int]] = []
    while order:
        at = chance.uniform(0, length)
        for _ in range(min(len(order), chance.randint(1, max(2, files // 30)))):
            number = order.pop()
            names.append((at, number))
            if chance.random() < 0.03:
                names.append((at + chance.choice([0.0, 0.3, 5.0]), number))
    names.sort()
    begin = names[0][0]
    return [(at - begin, number) for at, number in names]
