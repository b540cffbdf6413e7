"""A receiver of OpenTSDB's HTTP API, which can be set to never answer."""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ingester_demo.http_server import running

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@dataclass
class MetricsReceiver:
    """What came in, and on which port; `silent`: take connections and never answer."""

    port: int = 0
    silent: bool = False
    metrics: list[dict[str, Any]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def named(self, name: str) -> list[dict[str, Any]]:
        """All values of one metric, in the order they came."""
        return [metric for metric in self.metrics if metric["metric"] == name]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        while self.silent and not self.ended.wait(0.05):
            pass
        path = environ["PATH_INFO"] + ("?" + environ["QUERY_STRING"] if environ["QUERY_STRING"] else "")
        self.metrics.append({**json.loads(body), "api": path})
        start_response("204 No Content", [])
        return []


@contextmanager
def receiving_metrics() -> Iterator[MetricsReceiver]:
    """A receiver on a free port of 127.0.0.1."""
    receiver = MetricsReceiver()
    with running(receiver) as url:
        receiver.port = urlsplit(url).port or 0
        try:
            yield receiver
        finally:
            receiver.ended.set()
