"""Metrics to OpenTSDB. Nothing here raises, and a server that does not answer costs an ingest almost no time."""

import logging
import math
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

SEND_TIME_LIMIT = 0.5  # seconds that a synchronous metric may take
SILENCE = 60.0  # seconds without metrics after the server took longer
CLOSE_TIME_LIMIT = 2.0  # seconds to send the last asynchronous metrics
_NOT_OPENTSDB = re.compile(r"[^A-Za-z0-9\-_./]")  # OpenTSDB documentation, "Metrics and Tags"

logger = logging.getLogger(__name__)


class Metrics:
    """Sends metrics; without a client it sends nothing."""

    def __init__(self, wrappers: ModuleType | None, process_name: str, asynchronous: bool) -> None:
        self._wrappers = wrappers
        self._process_name = process_name
        self._asynchronous = asynchronous
        self._silent_until = 0.0

    @classmethod
    def off(cls) -> "Metrics":
        """Metrics that are not sent."""
        return cls(None, "", asynchronous=False)

    def send(self, name: str, value: float, **tags: str) -> None:
        """Send one value under a metric name of docs/metrics.md; tags keep only the characters of OpenTSDB."""
        if self._wrappers is None or not math.isfinite(value) or time.monotonic() < self._silent_until:
            return
        try:
            texts = {"ingester_process_name": self._process_name, **tags}
            clean = {key: _NOT_OPENTSDB.sub("_", text) or "_" for key, text in texts.items()}
            if self._asynchronous:
                self._put(name, value, clean)
            else:
                self._put_within_time_limit(name, value, clean)
        except Exception as error:  # such as no new thread: the frame is more important than any metric
            logger.warning("metric %s not sent: %s", name, error)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Send the time that the block took as `name`.runtime, in ms, if it ends without an error."""
        start = time.perf_counter()
        yield
        self.send(f"{name}.runtime", (time.perf_counter() - start) * 1000.0)

    def close(self) -> None:
        """Give queued metrics a moment to be sent."""
        if self._wrappers is None:
            return
        client = self._wrappers.tsdb_client
        client.close()
        client.t.join(CLOSE_TIME_LIMIT)
        client.stop()

    def _put_within_time_limit(self, name: str, value: float, tags: dict[str, str]) -> None:
        """The client waits 10 s for a server that does not answer. We do not, and then pause for a while."""
        sender = threading.Thread(target=self._put, args=(name, value, tags), daemon=True)
        sender.start()
        sender.join(SEND_TIME_LIMIT)
        if sender.is_alive():
            self._silent_until = time.monotonic() + SILENCE
            logger.warning("metrics server is slow: no metrics for %d s", SILENCE)

    def _put(self, name: str, value: float, tags: dict[str, str]) -> None:
        wrappers: Any = self._wrappers
        try:
            wrappers.send_tsdb_metric(name, value, asynchronous=self._asynchronous, **tags)
        except Exception as error:  # in a thread of its own, where `send` would not see it
            logger.warning("metric %s not sent: %s", name, error)


def open_metrics(hostname: str, port: int, process_name: str, *, off: bool, asynchronous: bool) -> Metrics:
    """Metrics for this process. Open them after a fork, because the client's thread does not survive it."""
    if off or not hostname:
        return Metrics(None, process_name, asynchronous)
    with _import_without_network():
        from opentsdb_http_client.http_client import OpenTSDBClient
        from opentsdb_python_metrics import metric_wrappers
    _limit_log(logging.getLogger("opentsdb_metrics"))
    wrappers: Any = metric_wrappers
    wrappers.tsdb_client = OpenTSDBClient(hostname, port, qsize=1000, host_tag=True, mps=100, check_host=False)
    wrappers.test_mode = False
    return Metrics(metric_wrappers, process_name, asynchronous)


@contextmanager
def _import_without_network() -> Iterator[None]:
    """Inside it `opentsdb_python_metrics` is imported without a call to the metrics server, which has no timeout.

    The package reads this variable when it is imported; nothing else stops the call.
    """
    variable = "OPENTSDB_PYTHON_METRICS_TEST_MODE"
    before = os.environ.get(variable)  # noqa: TID251  # written for the package to read, not a setting of ours
    os.environ[variable] = "true"  # noqa: TID251
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]  # noqa: TID251
        else:
            os.environ[variable] = before  # noqa: TID251


def _limit_log(log: logging.Logger) -> None:
    """Pass at most one line a minute: the client logs up to a hundred a second while its server is down."""
    if any(isinstance(present, _OncePerMinute) for present in log.filters):
        return
    log.addFilter(_OncePerMinute())


class _OncePerMinute(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._last = -math.inf

    def filter(self, record: logging.LogRecord) -> bool:
        if time.monotonic() - self._last < 60:
            return False
        self._last = time.monotonic()
        return True
