"""By hand: `python -m tests.simulation --minutes 5 --seed 1`, `--search`, or `--replay 'scenario | step, step, …'`."""

import argparse
import sys
import time
from dataclasses import replace
from itertools import count

from tests.simulation.explore import Explored, PromiseBrokenError, chances, explore, replay, walk
from tests.simulation.promise import broken
from tests.simulation.scenarios import SCENARIOS, mixture, scenario_called
from tests.simulation.speedups import speedups


def main() -> int:
    """1 if a schedule was found that breaks the promise, 2 if there is no such schedule to be replayed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long to try random schedules")
    parser.add_argument("--seed", type=int, default=0, help="the first mixture's number")
    parser.add_argument("--search", action="store_true", help="search the scenarios exhaustively instead")
    parser.add_argument("--more-faults", type=int, default=0, help="with --search: so many more in each scenario")
    parser.add_argument("--scenario", choices=SCENARIOS, action="append", help="with --search: only this one")
    parser.add_argument("--replay", metavar="SCHEDULE", help="run one schedule, as a failure printed it")
    asked = parser.parse_args()
    try:
        if asked.replay:
            return _replayed(asked.replay)
        if asked.search:
            _search(asked.scenario or list(SCENARIOS), asked.more_faults)
        else:
            _wander(asked.minutes * 60, asked.seed)
    except PromiseBrokenError as error:
        print(f"BROKEN: {error}")
        return 1
    except (KeyError, ValueError) as error:
        print(f"no such schedule: {error}", file=sys.stderr)
        return 2
    return 0


def _wander(seconds: float, seed: int) -> None:
    started = said = time.monotonic()
    steps = 0
    for number in count():
        spent = time.monotonic() - started
        if spent >= seconds or time.monotonic() - said >= 10:
            said = time.monotonic()
            print(f"{number:,} schedules, {steps:,} steps, {number / max(spent, 1e-9):.0f} schedules/s", flush=True)
        if spent >= seconds:
            return
        with speedups():
            steps += walk(mixture(seed + number), chances(seed + number))


def _search(names: list[str], more_faults: int) -> None:
    in_all = Explored()
    for name in names:
        faults = SCENARIOS[name].faults + more_faults
        explored = explore(replace(SCENARIOS[name], faults=faults))
        print(f"{name}, faults: {faults}: {explored}", flush=True)
        for each in ("schedules", "states", "steps", "seconds"):
            setattr(in_all, each, getattr(in_all, each) + getattr(explored, each))
    print(f"in all: {in_all}")


def _replayed(schedule: str) -> int:
    name, _, steps = schedule.partition("|")
    scenario = scenario_called(name.strip())
    choices = [step.strip() for step in steps.split(",") if step.strip()]
    # A schedule may have been found with more faults than the scenario has by itself.
    scenario = replace(scenario, faults=max(scenario.faults, sum("!" in choice for choice in choices)))
    with speedups():
        for choice, world in replay(scenario, choices):
            print(f"{choice:28} {world}")
    why = broken(world) if choices else None
    print(f"BROKEN: {why}" if why else "the promise is kept")
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main())
