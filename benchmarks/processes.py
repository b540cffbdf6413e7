"""What processes use, from /proc (proc(5)): CPU seconds of a process with its descendants, of the machine; memory."""

import os
import time
from pathlib import Path

from tests.support.processes import children

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, of its children that have ended, and of those that live; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        below = children(pid)
    except OSError:
        return 0.0
    own = sum(int(fields[number]) for number in (11, 12, 13, 14))  # utime, stime, cutime, cstime
    return own / TICKS + sum(cpu_seconds(child) for child in below)


def peak_kib(pid: int) -> int:
    """The most memory in KiB that a process ever held. Raises OSError if it is gone."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def machine_seconds() -> tuple[float, float]:
    """CPU seconds of the whole machine since it started: busy ones, and all."""
    numbers = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = numbers[3] + numbers[4]  # idle, iowait
    return (sum(numbers) - idle) / TICKS, sum(numbers) / TICKS


class Meter:
    """CPU used between two looks, by role."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._before = {role: cpu_seconds(pid) for role, pid in pids.items()}
        self._own = time.process_time()
        self._machine = machine_seconds()

    def used(self) -> dict[str, float]:
        """Seconds of each role since it was made, and of this process itself."""
        used = {role: cpu_seconds(pid) - self._before[role] for role, pid in self._pids.items()}
        return {**used, "harness": time.process_time() - self._own}

    def busy_cores(self) -> float:
        """How many of the machine's cores were busy, on average, by any process."""
        busy, total = machine_seconds()
        share = (busy - self._machine[0]) / max(total - self._machine[1], 1e-9)
        return share * (os.cpu_count() or 1)
