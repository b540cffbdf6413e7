"""The demo's servers as context managers: an Archive API and an S3 store, each in its own process."""

import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config

START_SECONDS = 30
STOP_SECONDS = 10


@dataclass(frozen=True)
class Server:
    """A running server: `url` ends with a slash; `pid` is for tests that kill it."""

    url: str
    pid: int

    def faults(self, *several: dict[str, Any], **fault: Any) -> None:
        """Set the faults from now on: `faults(kind="error", every=2)`, or several dictionaries like that."""
        requests.put(f"{self.url}_faults", json=[*several, *([fault] if fault else [])], timeout=10).raise_for_status()

    def clear_faults(self) -> dict[str, Any]:
        """End all faults; return `fault_state` as it was before."""
        answer = requests.delete(f"{self.url}_faults", timeout=10)
        answer.raise_for_status()
        return dict(answer.json())

    def fault_state(self) -> dict[str, Any]:
        """The `faults` with their counters, and since they were set the `requests` and those `injected`, by kind."""
        return dict(requests.get(f"{self.url}_faults", timeout=10).json())


@dataclass(frozen=True)
class ArchiveServer(Server):
    """A running Archive API; `headers` hold its token."""

    token: str
    database: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Token {self.token}"}

    def frames(self) -> list[dict[str, Any]]:
        """All archived frames that the API shows, the newest first."""
        frames: list[dict[str, Any]] = []
        following: str | None = f"{self.url}frames/?limit=1000"
        while following:
            page = requests.get(following, timeout=10).json()
            frames += page["results"]
            following = page["next"]
        return frames


@dataclass(frozen=True)
class S3Server(Server):
    """A running S3 store with one bucket."""

    bucket: str

    def client(self, **config: Any) -> Any:
        """A boto3 client with arbitrary credentials; `config` goes into botocore's Config."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="demo",
            aws_secret_access_key="demo",
            config=Config(**config),
        )


@contextmanager
def running_archive(
    directory: Path,
    *,
    token: str = "demo-token",
    port: int = 0,
    ignores_md5_filter: bool = False,
    ignores_basename_exact: bool = False,
    dict_refusals: bool = False,
    lag_seconds: float = 0.0,
    store_url: str | None = None,
    record_format: str = "lco",
    extensions: Sequence[str] = (),
) -> Iterator[ArchiveServer]:
    """An Archive API with its database in `directory`; a later one there has the same frames."""
    database = directory / "archive.sqlite"
    options = ["--database", str(database), "--token", token, "--lag-seconds", str(lag_seconds)]
    options += ["--record-format", record_format, *(f"--extension={each}" for each in extensions)]
    options += ["--ignores-md5-filter"] * ignores_md5_filter
    options += ["--ignores-basename-exact"] * ignores_basename_exact
    options += ["--dict-refusals"] * dict_refusals
    options += ["--store-url", store_url] if store_url else []
    with _process("archive", "--port", str(port), *options) as (url, pid):
        yield ArchiveServer(url, pid, token, database)


@contextmanager
def running_s3(bucket: str = "frames", *, versioned: bool = True, port: int = 0) -> Iterator[S3Server]:
    """An empty S3 store with the bucket `bucket`."""
    options = [] if versioned else ["--unversioned"]
    with _process("s3", "--port", str(port), "--bucket", bucket, *options) as (url, pid):
        yield S3Server(url, pid, bucket)


@contextmanager
def _process(*arguments: str) -> Iterator[tuple[str, int]]:
    """Run a demo server as a process; the value is its URL and its process id once it is ready."""
    command = [sys.executable, "-m", "ingester_demo", "serve", *arguments]
    # In its own session, so that Ctrl-C at the terminal reaches only our process, which then stops the server.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield _ready_url(process), process.pid
        finally:
            end(process)


def _ready_url(process: subprocess.Popen[str]) -> str:
    output = process.stdout
    readable = output is not None and select.select([output.fileno()], [], [], START_SECONDS)[0]
    line = output.readline() if output is not None and readable else ""
    word, _, url = line.strip().partition(" ")
    if word != "ready":
        raise RuntimeError(f"the server did not start: it printed {line!r}; see stderr")
    return url


def end(process: subprocess.Popen[str], seconds: float = STOP_SECONDS) -> None:
    """Send SIGTERM, and SIGKILL if the process still runs after `seconds` (a test may have stopped it)."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
