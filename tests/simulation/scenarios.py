"""The scenarios that are searched exhaustively, and random mixtures of all that is in them."""

import random
from dataclasses import replace
from typing import Any

from tests.simulation import clock
from tests.simulation.files import HALF, SITES_EXTENSION, Event
from tests.simulation.scenario import Scenario

PATH = "/data/a-e00.fits"
SECOND = "/data/b-e00.fits"
SITES_OWN = f"/data/a-e00{SITES_EXTENSION}"
ELSEWHERE = frozenset(("ARCHIVED_UNDER_ANOTHER_NAME",))
SERVERS = frozenset(("STORE_UNAVAILABLE", "ARCHIVE_UNAVAILABLE", "ARCHIVE_FAILED", "BROKER_UNAVAILABLE"))
GONE = frozenset(("FILE_MISSING", "SUPERSEDED"))
SHORT = frozenset(("FITS_TRUNCATED", "FILE_CHANGED"))
KILLERS = frozenset(("DELIVERY_LIMIT",))

REWRITTEN = Event("rewritten", PATH, "second")
REPLACED = Event("replaced", PATH, "second")
RESTORED = Event("restored", PATH)
REWRITTEN_BACK = Event("rewritten", PATH, "first")
VANISHED = Event("vanished", PATH)
COMPLETED = Event("rewritten", PATH, "first")
OTHER = ("a-e00", "first")


def _scenarios() -> list[Scenario]:
    one = Scenario("one name", (PATH,), {PATH: "first"})
    lagging: dict[str, Any] = {"lag": clock.LAG}
    unfiltered: dict[str, Any] = {"page": 0}
    twice = replace(one, names=(PATH, PATH), faults=1)
    changing = replace(one, listens=False, faults=1)
    twice_changing = replace(changing, names=(PATH, PATH), faults=0)
    gone: dict[str, Any] = {"reasons": GONE, "retry_policies": clock.BRIEF}
    return [
        one,
        replace(one, name="one name, lagging replicas", listens=False, **lagging),
        replace(one, name="one name, md5 filter ignored", **unfiltered),
        replace(one, name="one name, md5 filter ignored, lagging replicas", listens=False, **unfiltered, **lagging),
        replace(twice, name="one name twice"),
        replace(twice, name="one name twice, lagging replicas", listens=False, **lagging),
        replace(twice, name="one name twice, md5 filter ignored", **unfiltered),
        replace(
            one,
            name="one content under two names",
            names=(PATH, SECOND),
            files={PATH: "first", SECOND: "first"},
            faults=1,
            reasons=ELSEWHERE,
            retry_policies=clock.BRIEF,
        ),
        replace(
            twice,
            name="one content under two extensions",
            names=(PATH, SITES_OWN),
            files={PATH: "first", SITES_OWN: "first"},
        ),
        replace(
            changing,
            name="other bytes under two extensions",
            names=(PATH, SITES_OWN),
            files={PATH: "first", SITES_OWN: "second"},
        ),
        replace(one, name="archived by someone else", others=(OTHER,), **lagging),
        replace(one, name="archived by someone else, md5 filter ignored", others=(OTHER,), **unfiltered),
        replace(changing, name="a file is rewritten", events=(REWRITTEN,)),
        replace(
            changing,
            name="a file of a site's own type is rewritten",
            names=(SITES_OWN,),
            files={SITES_OWN: "first"},
            events=(Event("rewritten", SITES_OWN, "second"),),
        ),
        replace(changing, name="a file is replaced", events=(REPLACED,)),
        replace(changing, name="a file changes and changes back", events=(REPLACED, RESTORED), faults=0),
        replace(changing, name="a file is rewritten twice", events=(REWRITTEN, REWRITTEN_BACK), faults=0),
        replace(
            changing,
            name="a file is still being written",
            files={PATH: HALF + "first"},
            events=(COMPLETED,),
            retry_policies=clock.BRIEF,
            reasons=SHORT,
        ),
        replace(changing, name="a file vanishes", events=(VANISHED,), **gone),
        replace(changing, name="a file changes and vanishes", events=(REPLACED, VANISHED), faults=0, **gone),
        replace(twice_changing, name="one name twice, the file changes", events=(REPLACED,)),
        replace(twice_changing, name="one name twice, the file vanishes", events=(VANISHED,), **gone),
        replace(
            twice_changing,
            name="one after the other, changes, vanishes",
            events=(REPLACED, VANISHED),
            workers=1,
            **gone,
        ),
        replace(one, name="a letter is replayed", retry_policies=clock.ONE_RETRY, replays=1, reasons=SERVERS),
        replace(one, name="a letter of the broker is replayed", delivery_limit=0, replays=1, reasons=KILLERS),
    ]


SCENARIOS = {scenario.name: scenario for scenario in _scenarios()}


def mixture(seed: int) -> Scenario:
    """A random scenario with more faults than an exhaustive search can try; its name has its seed."""
    chance = random.Random(seed)
    names = tuple(chance.choice((PATH, PATH, SECOND)) for _ in range(chance.randint(1, 4)))
    second = chance.choice(("first", "third"))
    possible = (REWRITTEN, REPLACED, RESTORED, REWRITTEN_BACK, VANISHED)
    events = tuple(chance.choice(possible) for _ in range(chance.choice((0, 1, 2, 4))))
    first = chance.choice(("first", "first", HALF + "first"))
    return Scenario(
        f"mixture {seed}",
        names,
        {PATH: first, SECOND: second},
        faults=chance.randint(0, 8),
        events=events,
        others=chance.choice(((), (), (OTHER,))),
        replays=chance.choice((0, 1, 3)),
        workers=chance.randint(1, 3),
        lag=chance.choice((0.0, clock.LAG)),
        page=chance.choice((None, 0, 1)),
        delivery_limit=chance.choice((1, 20)),
        listens=chance.choice((True, False)),
        retry_policies=chance.choice((clock.POLICIES, clock.ONE_RETRY)),
        # With so much at once any of these may come about; that each name ends as it must is checked all the same.
        reasons=ELSEWHERE | SERVERS | GONE | SHORT | KILLERS | {"FILE_CHANGED"},
    )


def scenario_called(name: str) -> Scenario:
    """One of the scenarios, or a mixture. Raises KeyError."""
    if name.startswith("mixture "):
        return mixture(int(name.split()[1]))
    return SCENARIOS[name]
