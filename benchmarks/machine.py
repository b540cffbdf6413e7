"""What was measured and on which hardware: nothing that identifies the machine."""

import os
import platform
import re
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.environments import ROOT, versions_of
from benchmarks.processes import Meter

LOOK_SECONDS = 3.0
PACKAGES = (
    "astropy", "boto3", "botocore", "celery", "kombu", "lco-ingester", "numpy", "ocs-archive", "ocs-ingester",
    "requests",
)  # fmt: skip


def describe(quick: bool, note: str) -> dict[str, Any]:
    """The machine, the versions and the circumstances of a run that begins now."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _said(["git", "rev-parse", "--short", "HEAD"], "unknown"),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "rabbitmq": _rabbitmq(),
        "versions": {name: versions_of(name, *PACKAGES) for name in ("ours", "lco", "ocs")},
        "busy_before": round(_busy_cores(), 2),
        "quick": quick,
        "note": note,
    }


def _busy_cores() -> float:
    """How many cores other processes keep busy now; the load average would still count the part measured before."""
    meter = Meter({})
    time.sleep(LOOK_SECONDS)
    return meter.busy_cores()


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def _rabbitmq() -> str:
    version = _said(["dpkg-query", "-W", "-f", "${Version}", "rabbitmq-server"], "")
    return version or "unknown"


def _said(command: list[str], otherwise: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return otherwise
    return done.stdout.strip()
