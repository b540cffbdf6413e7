"""A contender as a process: its runner in its own environment, which takes jobs one at a time."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.environments import CACHE, python_of

CONTENDERS = Path(__file__).resolve().parent / "contenders"


@dataclass(frozen=True)
class Contender:
    """Who is measured: `name` in the tables, `runner` in runner.py, and what its environment has beside all others'."""

    name: str
    runner: str
    variables: Mapping[str, str] = field(default_factory=dict)


FLOOR = Contender("floor", "floor")
OURS = Contender("ours", "ours")
LCO = Contender("lco-ingester 2.1.15", "lco")
OCS = Contender("ocs-ingester 3.2.0", "ocs")


class FailedError(Exception):
    """A contender could not do its job; the text is its own error."""


class Runner:
    """A contender that waits for jobs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ingest(self, path: Path, count: int) -> dict[str, Any]:
        """Have a file ingested `count` times: `cpu_ms` and `wall_ms` a file, `peak_kib` of the process so far.

        Raises FailedError.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps({"path": str(path), "count": count}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise FailedError(f"its process ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise FailedError(str(answer["error"]))
        return answer


@contextmanager
def running(contender: Contender, environment: Mapping[str, str]) -> Iterator[Runner]:
    """Its runner, which ends with the block. What it logs goes to a file in the cache."""
    log = CACHE / "logs" / f"{contender.name.replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [str(python_of(contender.runner)), str(CONTENDERS / "runner.py"), contender.runner]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=CACHE,  # not the project: its package would stand in front of a contender's of the same name
            env={**environment, **contender.variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            yield Runner(process)
        finally:
            process.kill()
            process.wait()


@contextmanager
def all_running(contenders: list[Contender], environment: Mapping[str, str]) -> Iterator[dict[str, Runner]]:
    """The runners of all contenders, by name."""
    with ExitStack() as stack:
        yield {each.name: stack.enter_context(running(each, environment)) for each in contenders}
