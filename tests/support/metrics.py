"""A receiver of OpenTSDB's HTTP API, which can be told to be silent."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


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


@contextmanager
def receiving_metrics() -> Iterator[MetricsReceiver]:
    """A receiver on a free port of 127.0.0.1."""
    receiver = MetricsReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            while receiver.silent and not receiver.ended.is_set():
                time.sleep(0.05)
            receiver.metrics.append({**json.loads(body), "api": self.path})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield receiver
        finally:
            receiver.ended.set()
            server.shutdown()
