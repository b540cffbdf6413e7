"""What is to happen to which frame at which moment: told to a process in its environment, done there.

A moment is a point of the code (`before:post`, `after:retry`, …) and a file's name. What it does there, one after the
other: `die` (SIGKILL to this process), `die main` (to its parent), `die all` (to the whole process group), `hang`
(deaf to the soft time limit), `nap` (long enough for the soft time limit), `lose answer`, `overwrite` (the file, with
the one beside it that is called `….next`), `replace` (by that one), `vanish`, `touch`, `meet` (go on when another
process is at this moment too), `wait` (until the test lets it go on).
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
    """At `point`, for the file of this name (every one, if empty), so many `times`."""

    point: str
    name: str
    do: tuple[str, ...]
    times: int = 1


class Hooks:
    """The hooks of a site; `marks` is a directory in which each is noted when it has come."""

    def __init__(self, marks: Path, *hooks: Hook) -> None:
        marks.mkdir(parents=True, exist_ok=True)
        self.marks = marks
        self._moments = hooks

    @classmethod
    def of_environment(cls) -> "Hooks":
        """Those that `variables` has told this process."""
        told = json.loads(os.environ.get("MOMENTS", "[]"))
        hooks = (Hook(**{**each, "do": tuple(each["do"])}) for each in told)
        return cls(Path(os.environ["MARKS"]), *hooks)

    def variables(self) -> dict[str, str]:
        """The environment by which another process knows them."""
        return {"MARKS": str(self.marks), "MOMENTS": json.dumps([asdict(each) for each in self._moments])}

    def came(self, point: str, name: str) -> int:
        """How often a moment has come."""
        return len(list(self.marks.glob(f"{point},{name},*")))

    def let_go(self, name: str) -> None:
        """Let a process that waits with this file go on."""
        (self.marks / f"go,{name}").touch()

    def reach(self, point: str, path: str) -> None:
        """A process is at this point with this file: do what is to be done there."""
        name = Path(path).name
        for moment in self._moments:
            if moment.point == point and moment.name in ("", name) and self._mark(moment, name):
                for what in moment.do:
                    self._do(what, point, Path(path))

    def _mark(self, moment: Hook, name: str) -> bool:
        for number in range(moment.times):
            with suppress(FileExistsError):
                (self.marks / f"{moment.point},{name},{number}").touch(exist_ok=False)
                return True
        return False

    def _do(self, what: str, point: str, path: Path) -> None:
        following = path.with_name(f"{path.name}.next")
        deeds: Mapping[str, Callable[[], object]] = {
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
            "meet": lambda: _until(lambda: self.came(point, path.name) > 1),
            "wait": lambda: _until((self.marks / f"go,{path.name}").exists),
        }
        deeds[what]()


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
