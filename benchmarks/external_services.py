"""The null services as processes of their own, and the environment by which a contender finds them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUCKET = "benchmark"


@dataclass(frozen=True)
class ExternalServices:
    """Where the S3 sink and the archive sink are, and their process ids."""

    s3_url: str
    api_root: str
    s3_pid: int
    archive_pid: int

    def environment(self, **variables: str) -> dict[str, str]:
        """The same environment for every contender; the caller's own settings do not get in."""
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "API_ROOT": self.api_root,
            "AUTH_TOKEN": "benchmark-token",
            "BUCKET": BUCKET,
            "AWS_ENDPOINT_URL_S3": self.s3_url,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "FILESTORE_TYPE": "s3",  # ocs-ingester's own names for the same
            "S3_ENDPOINT_URL": self.s3_url,
            "OPENTSDB_PYTHON_METRICS_TEST_MODE": "true",
            "POSTPROCESS_FILES": "False",
            **variables,
        }


@contextmanager
def running() -> Iterator[ExternalServices]:
    """Both sinks; they end with the block."""
    with ExitStack() as stack:
        s3, s3_port = stack.enter_context(_program("benchmarks.s3_sink"))
        archive, archive_port = stack.enter_context(_program("benchmarks.archive_sink"))
        yield ExternalServices(f"http://127.0.0.1:{s3_port}", f"http://127.0.0.1:{archive_port}/", s3, archive)


@contextmanager
def _program(module: str) -> Iterator[tuple[int, int]]:
    """A process that prints its port: its process id and the port."""
    command = [sys.executable, "-m", module]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
