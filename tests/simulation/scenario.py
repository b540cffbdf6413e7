"""What a simulated world begins with, and what is possible in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ingester_app.retry import RetryPolicies
from tests.simulation import clock
from tests.simulation.files import Event


@dataclass(frozen=True)
class Scenario:
    """One case to be searched.

    `names` are published on the FITS exchange; `files` are paths and the names of their bytes. Up to `faults` kills,
    errors and lost answers may happen. `events` happen to files in this order, each at any time or never. `others` are
    (basename, content) that someone else has archived. `replays`: how often an operator may replay a letter. `lag` and
    `page` are the archive's, see there. `listens`: the names go by way of the listener, which may die too. `reasons`
    are those that a dead letter may have here.
    """

    name: str
    names: tuple[str, ...]
    files: Mapping[str, str]
    faults: int = 2
    events: tuple[Event, ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    replays: int = 0
    workers: int = 2
    lag: float = 0.0
    page: int | None = None
    delivery_limit: int = 20
    listens: bool = True
    retry_policies: RetryPolicies = field(default_factory=lambda: clock.POLICIES)
    reasons: frozenset[str] = frozenset()
