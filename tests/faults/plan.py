"""What goes wrong in a run, and when: all of it follows from the seed."""

import random
from collections import Counter
from dataclasses import dataclass
from math import ceil

KILL_CHILD = "kill a worker's child"
KILL_MAIN = "kill a worker's main process"  # its children are orphans, and end what they have begun
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
QUICK = {KILL_CHILD: 14, KILL_MAIN: 5, KILL_WORKER: 5, KILL_LISTENER: 6, END_WORKER: 4, END_LISTENER: 1}
LASTING = {KILL_BROKER: 2, STOP_BROKER: 2, FREEZE_BROKER: 1, S3_DOWN: 1, API_DOWN: 3}


@dataclass(frozen=True, order=True)
class Deed:
    """One thing to do, `at` seconds after the first name; an outage lasts `seconds`. `which` picks among several."""

    at: float
    what: str
    seconds: float = 0.0
    which: int = 0

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.0f} s" if self.seconds else ""
        return f"{self.at:6.1f} s  {self.what}{lasting}"


@dataclass(frozen=True)
class Plan:
    """The deeds of a run, and when which name is published (indices into the files; some come twice)."""

    seed: int
    length: float
    deeds: tuple[Deed, ...]
    names: tuple[tuple[float, int], ...]

    def __str__(self) -> str:
        counts = Counter(deed.what for deed in self.deeds)
        head = f"plan of seed {self.seed}: {self.length:.0f} s, {len(self.names)} publications, " + ", ".join(
            f"{number} × {what}" for what, number in sorted(counts.items())
        )
        return "\n".join([head, *(f"  {deed}" for deed in self.deeds)])


def make_plan(seed: int, files: int, minutes: float) -> Plan:
    """The plan of a seed: deeds between a tenth and the end of the run, outages one after another."""
    chance = random.Random(seed)
    length = minutes * 60
    deeds = [*_quick(chance, length, minutes / 5), *_lasting(chance, length, minutes / 5)]
    return Plan(seed, length, tuple(sorted(deeds)), tuple(_names(chance, files, length * 0.93)))


def _quick(chance: random.Random, length: float, scale: float) -> list[Deed]:
    return [
        Deed(chance.uniform(0.08, 0.96) * length, what, which=chance.randrange(1000))
        for what, number in QUICK.items()
        for _ in range(ceil(number * scale))
    ]


def _lasting(chance: random.Random, length: float, scale: float) -> list[Deed]:
    kinds = [what for what, number in LASTING.items() for _ in range(max(1, round(number * scale)))]
    if scale < 0.5:
        kinds = [KILL_BROKER, S3_DOWN, API_DOWN]
    chance.shuffle(kinds)
    slot = 0.85 * length / len(kinds)
    outages = {S3_DOWN, API_DOWN}
    deeds = []
    for number, what in enumerate(kinds):
        at = 0.1 * length + (number + chance.uniform(0, 0.4)) * slot
        if what in outages:
            outages.remove(what)  # the first of each is the long one
            seconds = max(5.0, min(30.0, 30.0 * scale))
        else:
            seconds = chance.uniform(12, 15) if what == FREEZE_BROKER else chance.uniform(1, 8)
        deeds.append(Deed(at, what, seconds, chance.randrange(1000)))
    return deeds


def _names(chance: random.Random, files: int, length: float) -> list[tuple[float, int]]:
    """Bursts of names, as at the end of a telescope's sequence; three in a hundred come a second time."""
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
