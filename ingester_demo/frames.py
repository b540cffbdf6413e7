"""`python -m ingester_demo frames DIR`: send sample frames through a service that runs already.

It makes new frames in DIR, publishes their names as a camera would, and prints the outcome of each. It reads the
service's settings from the environment; the workers must see DIR under the same path.
"""

import argparse
from pathlib import Path

from ingester_app.broker import declare_queues, fits_connection, fits_queue, wait_until_connected
from ingester_app.settings import ServiceSettings
from ingester_demo import report
from ingester_demo.sample_frames import SampleFrame, make_frames
from ingester_demo.watch import Outcome, Watch
from lco_ingester.settings import load_settings

TIME_LIMIT = 120.0  # seconds for all frames together


def main(arguments: list[str]) -> int:
    """Return 0 if every good frame is archived and every bad one is a dead letter for the right reason."""
    directory: Path = parser().parse_args(arguments).directory
    directory.mkdir(parents=True, exist_ok=True)
    settings = load_settings(ServiceSettings)
    frames = make_frames(directory, first=1 + sum(1 for _ in directory.iterdir()))  # so that each run makes new ones
    _declare_queue(settings)
    watch = Watch(settings)
    watch.publish([frame.path for frame in frames])
    outcomes = {outcome.path: outcome for outcome in watch.outcomes(TIME_LIMIT, report.print_outcome)}
    watch.close()
    wrong = [frame.path.name for frame in frames if not _is_as_expected(outcomes[frame.path], frame)]
    print(f"NOT AS EXPECTED: {', '.join(wrong)}" if wrong else f"all {len(frames)} as expected")
    return 1 if wrong else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("python -m ingester_demo frames", description="Send sample frames to a service.")
    made.add_argument("directory", type=Path, metavar="DIR", help="directory for the frames, which is made if needed")
    return made


def _declare_queue(settings: ServiceSettings) -> None:
    """Declare the listener's queue, which keeps the names if the listener starts later."""
    with fits_connection(settings) as connection:
        wait_until_connected(connection)
        declare_queues(connection, fits_queue(settings))


def _is_as_expected(outcome: Outcome, frame: SampleFrame) -> bool:
    if frame.reason is None:
        return outcome.word == "archived"
    return outcome.letter is not None and outcome.letter.reason == frame.reason
