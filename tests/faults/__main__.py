"""A long run: `python -m tests.faults --files 1000 --minutes 5 --seed 1 [--workers 2] [--two-brokers]`."""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from tests.faults.plan import make_plan
from tests.faults.run import run
from tests.support.rabbitmq import PROGRAM


def main() -> int:
    """Exit code 1 if anything was lost, archived twice or unexplained."""
    options = _options()
    if PROGRAM is None:
        print("needs the program rabbitmq-server", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    directory = options.directory or Path(tempfile.mkdtemp(prefix="faults-"))
    the_plan = make_plan(options.seed, options.files, options.minutes)
    print(the_plan, flush=True)
    begin = time.monotonic()
    report = run(directory, the_plan, options.files, options.workers, options.two_brokers, _say)
    print(f"\nreport of seed {options.seed}: {options.files} files, {options.minutes:g} minutes", end="")
    print(", two brokers" if options.two_brokers else "", f"({time.monotonic() - begin:.0f} s in all)")
    print(report)
    print(f"each frame's own log: {directory / 'frames'}")
    shutil.rmtree(directory / "files")
    return 1 if report.wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--two-brokers", action="store_true", help="names on one node, Celery on another")
    parser.add_argument("--directory", type=Path, help="where logs and data go; a new one if not given")
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, flush=True)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit("stopped")


if __name__ == "__main__":
    sys.exit(main())
