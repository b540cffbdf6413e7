"""A program that runs as a process of its own, with its output in a file: how to wait for it and how to end it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def wait_until(what: str, true: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The result of `true` once it is true; a failure names `what`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := true():
            return result
        time.sleep(0.05)
    raise AssertionError(f"{what}: not after {seconds} s")


def children(pid: int) -> list[int]:
    """The process ids of the direct children of a process. Raises OSError if it is gone."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass
class Program:
    """A process in a group of its own, and what it has logged."""

    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(
        cls, command: Sequence[str], log: Path, directory: Path | str, environment: Mapping[str, str]
    ) -> "Program":
        """Start a program in `directory`; its output goes to `log`."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=directory, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        return cls(process, log)

    @property
    def pid(self) -> int:
        return self.process.pid

    def logged(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str, seconds: float = 30.0) -> None:
        """Wait until it has logged `text`."""
        try:
            wait_until(repr(text), lambda: text in self.logged() or self.process.poll() is not None, seconds)
        finally:
            if text not in self.logged():
                print(self.logged()[-5000:])
        assert text in self.logged(), f"{self.log.name} ended with {self.process.returncode}"

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 20.0) -> int:
        """Send a signal and return the exit code; SIGKILL if it does not end."""
        self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL to it and to its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def children(self) -> list[int]:
        """The process ids of its direct children."""
        return children(self.pid)
