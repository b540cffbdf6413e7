"""Hooks: what a process does when it reaches a point of the code with a certain file. They travel in its environment.

A hook belongs to a point of the code (`before:post`, `after:retry`, …) and a file's name. Its actions, in order:
`die` (SIGKILL to this process), `die main` (to its parent), `die all` (to the whole process group), `hang` (ignore
the soft time limit), `nap` (until the soft time limit ends it), `lose answer`, `overwrite` (the file, with the one
beside it that is called `….next`), `replace` (by that one), `vanish`, `touch`, `meet` (continue when another process is
at this hook too), `wait` (until the test releases it).
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from celery.exceptions import SoftTimeLimitExceeded

from lco_ingester.exceptions import ArchiveUnavailableError

TIME_LIMIT = 30.0  # seconds after which a process waits no longer
EVERY_TIME = 1000


@dataclass(frozen=True)
class Hook:
    """At `point`, for the file of this name (every file, if empty), the first `times` times."""

    point: str
    name: str
    do: tuple[str, ...]
    times: int = 1


class Hooks:
    """The hooks of a site; each time one is reached, a file in the directory `marks` notes it."""

    def __init__(self, marks: Path, *hooks: Hook) -> None:
        marks.mkdir(parents=True, exist_ok=True)
        self.marks = marks
        self._hooks = hooks

    @classmethod
    def of_environment(cls) -> "Hooks":
        """Those that `variables` has put into the environment of this process."""
        written = json.loads(os.environ.get("HOOKS", "[]"))
        hooks = (Hook(**{**each, "do": tuple(each["do"])}) for each in written)
        return cls(Path(os.environ["MARKS"]), *hooks)

    def variables(self) -> dict[str, str]:
        """The environment variables that pass them on to another process."""
        return {"MARKS": str(self.marks), "HOOKS": json.dumps([asdict(each) for each in self._hooks])}

    def times_reached(self, point: str, name: str) -> int:
        """How often a hook was reached."""
        return len(list(self.marks.glob(f"{point},{name},*")))

    def release(self, name: str) -> None:
        """Let the process continue that waits with this file."""
        (self.marks / f"go,{name}").touch()

    def reach(self, point: str, path: str) -> None:
        """This process is at this point with this file: do the actions of its hooks."""
        name = Path(path).name
        for hook in self._hooks:
            if hook.point == point and hook.name in ("", name) and self._mark(hook, name):
                for what in hook.do:
                    self._do(what, point, Path(path))

    def _mark(self, hook: Hook, name: str) -> bool:
        for number in range(hook.times):
            with suppress(FileExistsError):
                (self.marks / f"{hook.point},{name},{number}").touch(exist_ok=False)
                return True
        return False

    def _do(self, what: str, point: str, path: Path) -> None:
        following = path.with_name(f"{path.name}.next")
        actions: Mapping[str, Callable[[], object]] = {
            "die": lambda: os.kill(os.getpid(), signal.SIGKILL),
            "die main": lambda: os.kill(os.getppid(), signal.SIGKILL),
            "die all": lambda: os.killpg(os.getpgrp(), signal.SIGKILL),
            "hang": _hang,
            "nap": lambda: time.sleep(TIME_LIMIT),
            "lose answer": _lose_answer,
            "overwrite": lambda: path.write_bytes(following.read_bytes()),
            "replace": lambda: _replace(path, following),
            "vanish": path.unlink,
            "touch": path.touch,
            "meet": lambda: _until(lambda: self.times_reached(point, path.name) > 1),
            "wait": lambda: _until((self.marks / f"go,{path.name}").exists),
        }
        actions[what]()


def _replace(path: Path, following: Path) -> None:
    copy = path.with_name(f"{path.name}.copy")
    shutil.copyfile(following, copy)
    copy.replace(path)


def _lose_answer() -> NoReturn:
    raise ArchiveUnavailableError(found="an answer that was lost on its way")


def _hang() -> None:
    end = time.monotonic() + TIME_LIMIT
    while time.monotonic() < end:
        with suppress(SoftTimeLimitExceeded):
            time.sleep(0.1)


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + TIME_LIMIT
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
