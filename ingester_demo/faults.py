"""The faults that flaky.py can inject: what each is, and when it is due."""

import random
from dataclasses import dataclass, field

KINDS = ("error", "slow", "cut", "drop_answer", "down")


@dataclass(frozen=True)
class Fault:
    """A way to fail, and when; the fields are those of the JSON object (see flaky.py).

    Raises TypeError for an unknown field and ValueError for an invalid value.
    """

    kind: str = "error"
    every: int | None = None
    rate: float | None = None
    seed: int = 0
    method: str | None = None
    path: str = "/"
    times: int | None = None
    status: int = 503
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.every is not None and self.rate is not None:
            raise ValueError("give every or rate, not both")
        if self.every is not None and self.every < 1:
            raise ValueError("every must be 1 or more")
        if self.rate is not None and not 0 <= self.rate <= 1:
            raise ValueError("rate must be within 0 and 1")
        if not 400 <= self.status <= 599:
            raise ValueError("status must be within 400 and 599")

    def matches(self, method: str, path: str) -> bool:
        """Whether the fault applies to requests with this method and path."""
        return path.startswith(self.path) and (self.method is None or self.method.upper() == method)


@dataclass
class ArmedFault:
    """An active fault: how many requests it has matched, and how many it has made fail."""

    fault: Fault
    matched: int = 0
    injected: int = 0
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.fault.seed)  # noqa: S311 - it must be repeatable

    def is_due(self) -> bool:
        """Count a matching request and decide whether it fails."""
        self.matched += 1
        if self.fault.times is not None and self.injected >= self.fault.times:
            return False
        if self.fault.rate is not None:
            due = self.chance.random() < self.fault.rate
        else:
            due = self.matched % (self.fault.every or 1) == 0
        self.injected += due
        return due
