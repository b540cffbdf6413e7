"""Faults on request: a WSGI middleware that makes a server fail in chosen ways.

Both demo servers have it. It is controlled over HTTP: `PUT /_faults` sets faults, `GET /_faults` shows them with
counters, `DELETE /_faults` ends them. A fault is a JSON object. For several faults send a list; of those that match a
request, the first that is due is injected.

    {"kind": "error", "status": 503}      the answer is this 5xx, and the request is not executed
    {"kind": "slow", "seconds": 2}        the request waits, then is executed
    {"kind": "cut"}                       executed; the connection closes after half of the answer's body
    {"kind": "drop_answer"}               executed; the connection closes without an answer
    {"kind": "down"}                      the connection closes at once

Optional fields: `every` (the N-th, 2N-th, … matching request; without `every` and `rate`: each one), `rate` and `seed`
(a random share of the requests, repeatable), `method` and `path` (a prefix) to match requests, and `times` (the fault
ends after so many).
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ingester_demo.faults import KINDS, ArmedFault, Fault

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CONTROL_PATH = "/_faults"


class Flaky:
    """Wraps `app`; passes every request on until a fault is set."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self._lock = threading.Lock()
        self._armed: list[ArmedFault] = []
        self._requests = 0
        self._injected: Counter[str] = Counter()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == CONTROL_PATH:
            return self._control(environ, start_response)
        fault = self._choose(environ["REQUEST_METHOD"], path)
        if fault is None:
            return self._app(environ, start_response)
        return self._inject(fault, environ, start_response)

    def state(self) -> dict[str, Any]:
        """The faults with their counters, the requests seen, and the faults injected by kind."""
        with self._lock:
            return {
                "faults": [
                    asdict(each.fault) | {"matched": each.matched, "injected": each.injected} for each in self._armed
                ],
                "requests": self._requests,
                "injected": {kind: self._injected[kind] for kind in KINDS},
            }

    def set_faults(self, faults: list[Fault]) -> None:
        """Replace all faults and reset the counters; an empty list ends all faults."""
        with self._lock:
            self._armed = [ArmedFault(fault) for fault in faults]
            self._requests = 0
            self._injected.clear()

    def _choose(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self._requests += 1
            for each in self._armed:
                if each.fault.matches(method, path) and each.is_due():
                    self._injected[each.fault.kind] += 1
                    return each.fault
        return None

    def _inject(self, fault: Fault, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if fault.kind == "slow":
            time.sleep(fault.seconds)
            return self._app(environ, start_response)
        if fault.kind == "error":
            # Real servers answer a 5xx with an HTML page, so a client must not rely on JSON or XML.
            text = f"<html><body><h1>{fault.status}: a fault injected on request</h1></body></html>"
            return _answer(start_response, f"{fault.status} Injected Fault", "text/html", text)
        if fault.kind == "down":
            raise ConnectionAbortedError("injected: down")
        status, headers, body = _executed(self._app, environ)
        if fault.kind == "drop_answer" or len(body) < 2:
            raise ConnectionAbortedError(f"injected: {fault.kind}")
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(body)))])
        return _half(body)

    def _control(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        status = "200 OK"
        shown: dict[str, Any] = {}
        if method == "PUT":
            try:
                self.set_faults(_parse(environ))
            except (TypeError, ValueError) as error:
                status, shown = "400 Bad Request", {"detail": str(error)}
        elif method not in {"GET", "DELETE"}:
            status, shown = "405 Method Not Allowed", {"detail": "GET, PUT or DELETE"}
        shown = shown or self.state()
        if method == "DELETE":
            self.set_faults([])  # after `state`, so that the answer still has the counters
        return _answer(start_response, status, "application/json", json.dumps(shown))


def _parse(environ: "WSGIEnvironment") -> list[Fault]:
    parsed = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    return [Fault(**each) for each in (parsed if isinstance(parsed, list) else [parsed])]


def _answer(start_response: "StartResponse", status: str, kind: str, text: str) -> Iterable[bytes]:
    body = text.encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def _executed(app: "WSGIApplication", environ: "WSGIEnvironment") -> tuple[str, list[tuple[str, str]], bytes]:
    """Run `app` to its end and return its complete answer."""
    heads: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Any:
        heads.append((status, headers))
        return written.append

    pieces = app(environ, start)
    try:
        written.extend(pieces)
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
    return (*heads[-1], b"".join(written))


def _half(body: bytes) -> Iterable[bytes]:
    yield body[: len(body) // 2]
    raise ConnectionAbortedError("injected: cut")
