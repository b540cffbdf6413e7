"""The demo's parts in containers: `python demo.py s3 …`, `archive …` (see ingester_demo.serve) or `frames DIR`.

`frames` makes sample frames, publishes their names as a camera would, and tells what becomes of each.
"""

import sys
from pathlib import Path

from ingester_app.broker import declare_queues, fits_connection, fits_queue, wait_until_connected
from ingester_app.settings import ServiceSettings
from ingester_demo import http_server, serve
from ingester_demo.sample_frames import make_frames
from ingester_demo.watch import Outcome, Watch
from lco_ingester.settings import load_settings

TIME_LIMIT = 120.0  # seconds


def frames(directory: Path) -> int:
    """Make, name, watch; 0 if every good frame was archived and every bad one refused with its reason."""
    settings = load_settings(ServiceSettings)
    made = make_frames(directory, first=1 + sum(1 for _ in directory.iterdir()))  # new ones each time
    with fits_connection(settings) as connection:
        wait_until_connected(connection, lambda: None)
        declare_queues(
            connection, fits_queue(settings)
        )  # the listener's: what is published before it is up waits there
    watch = Watch(settings)
    watch.publish([frame.path for frame in made])
    outcomes = {outcome.path: outcome for outcome in watch.outcomes(TIME_LIMIT, tell)}
    watch.close()
    wrong = [frame.path.name for frame in made if reason_of(outcomes[frame.path]) != frame.reason]
    say(
        f"{len(made)} frames, {len(wrong)} not as expected: {' '.join(wrong)}"
        if wrong
        else f"{len(made)} frames, as expected"
    )
    return 1 if wrong else 0


def reason_of(outcome: Outcome) -> str | None:
    """None for archived; why not, else."""
    if outcome.word == "archived":
        return None
    return outcome.letter.reason if outcome.letter else outcome.word


def tell(outcome: Outcome) -> None:
    """One line for one frame."""
    say(f"{outcome.seconds:6.2f} s  {outcome.path.name}  {reason_of(outcome) or 'archived'}")


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:2] == ["frames"]:
        sys.exit(frames(Path(sys.argv[2])))
    # On a machine they listen on 127.0.0.1 alone; in a container the others must reach them.
    http_server.HOST = "0.0.0.0"  # noqa: S104
    serve.main()
