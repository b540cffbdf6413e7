"""An HTTP/1.1 server for the demo's WSGI applications: werkzeug's threaded server, with keep-alive.

werkzeug's own request handler closes the connection after every answer and waits 10 ms for left-over bytes
first. Clients that pool connections (boto3, requests) would then never be tested with a reused one, so the
handler here keeps connections open, and reads what an application left of a request's body, lest the next
request on the connection begin with it.
"""

import io
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, BinaryIO

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from _typeshed.wsgi import WSGIApplication

HOST = "127.0.0.1"
DRAIN_LIMIT = 64 * 2**20
"""Bytes of an unread body that are read away to save a connection; beyond that it is closed."""


class _Body(io.RawIOBase):
    """The bytes of one request's body, and never those of the request behind it."""

    def __init__(self, stream: BinaryIO, length: int) -> None:
        self._stream = stream
        self.left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        piece = self._stream.read(min(len(memoryview(buffer)), self.left))
        memoryview(buffer)[: len(piece)] = piece
        # A stream that ends early has nothing left, whatever its Content-Length promised.
        self.left = self.left - len(piece) if piece else 0
        return len(piece)


class _Answer:
    """The WSGI `start_response` and `write` of one request, buffered into few sends."""

    def __init__(self, handler: "KeepAliveHandler") -> None:
        self._handler = handler
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self._chunked = False
        self.begun = False

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """Take status and headers (WSGI's `start_response`); nothing is sent before the first write."""
        if exc_info is not None and self.begun:
            raise exc_info[1].with_traceback(exc_info[2])
        self._status, self._headers = status, headers
        return self.write

    def write(self, data: bytes) -> None:
        """Send one piece of the body, after the headers if it is the first."""
        if not self.begun:
            self._send_head()
        if data and self._handler.command != "HEAD":
            frame = (f"{len(data):x}\r\n".encode(), data, b"\r\n") if self._chunked else (data,)
            for piece in frame:
                self._handler.wfile.write(piece)

    def finish(self) -> None:
        """End the body and push what is buffered out."""
        self.write(b"")
        if self._chunked:
            self._handler.wfile.write(b"0\r\n\r\n")
        self._handler.wfile.flush()

    def _send_head(self) -> None:
        self.begun = True
        handler = self._handler
        code, _, reason = self._status.partition(" ")
        handler.send_response_only(int(code), reason)
        names = {name.lower() for name, _ in self._headers}
        for name, value in self._headers:
            handler.send_header(name, value)
        if "date" not in names:
            handler.send_header("Date", formatdate(usegmt=True))
        self._settle_length(int(code), "content-length" in names)
        if handler.close_connection:
            handler.send_header("Connection", "close")
        handler.end_headers()

    def _settle_length(self, code: int, known: bool) -> None:
        """A body of unknown length goes in chunks, or ends with the connection (RFC 9112, 6.3)."""
        if known or code < 200 or code in {204, 304} or self._handler.command == "HEAD":
            return
        if self._handler.request_version >= "HTTP/1.1":
            self._chunked = True
            self._handler.send_header("Transfer-Encoding", "chunked")
        else:
            self._handler.close_connection = True


class KeepAliveHandler(WSGIRequestHandler):
    """Serve many requests on one connection.

    An application that raises a `ConnectionError` has the connection closed where it stands: nothing more is
    sent, not even an error. `flaky.Flaky` works by this.
    """

    protocol_version = "HTTP/1.1"
    # Headers and a small body leave in one send, and no send waits for the ack of another: otherwise the
    # client's delayed ack makes an answer take 40 ms.
    wbufsize = 64 * 2**10
    disable_nagle_algorithm = True

    def handle_expect_100(self) -> bool:
        """Let the client send its body at once; boto3 waits a second for this line."""
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    def run_wsgi(self) -> None:
        """Answer one request; called by the base class for every method."""
        self.environ = environ = self.make_environ()
        try:
            body = self._bounded_body(environ)
        except ValueError:
            self.send_error(400, "Content-Length is no number")
            return
        environ["wsgi.input"] = body
        answer = _Answer(self)
        try:
            self._run_app(environ, answer)
            self._drain(body)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception:  # a server outlives whatever its application does
            self._fail(answer)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: a demo's terminal is for the ingester's own words."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Errors go to stderr, all else nowhere."""
        if type == "error":
            sys.stderr.write(f"{message % args if args else message}\n")

    def _bounded_body(self, environ: dict[str, Any]) -> _Body:
        if environ.get("wsgi.input_terminated"):  # chunked: the base class put its decoder there, it knows the end
            return _Body(environ["wsgi.input"], sys.maxsize)
        return _Body(environ["wsgi.input"], max(0, int(environ.get("CONTENT_LENGTH") or 0)))

    def _run_app(self, environ: dict[str, Any], answer: _Answer) -> None:
        pieces = self.server.app(environ, answer.start)
        try:
            for piece in pieces:
                answer.write(piece)
            answer.finish()
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def _drain(self, body: _Body) -> None:
        """Read away what the application left, so that the next request begins where it should."""
        # Also when the connection is to close: closing on unread bytes resets it, and the answer may be lost.
        read = 0
        try:
            while body.left > 0 and read < DRAIN_LIMIT:
                read += len(body.read(2**16) or b"")
        except OSError:  # gone, or its chunks make no sense: nothing can be read from it any more
            self.close_connection = True
        self.close_connection = self.close_connection or body.left > 0

    def _fail(self, answer: _Answer) -> None:
        """The application broke: say so on stderr and to the client, if it has heard nothing yet."""
        self.close_connection = True
        sys.stderr.write(f"{self.command} {self.path} failed:\n{traceback.format_exc()}")
        if not answer.begun:
            answer.start("500 Internal Server Error", [("Content-Type", "text/html"), ("Content-Length", "0")])
            answer.finish()


@contextmanager
def running(app: "WSGIApplication", port: int = 0, handler: type[KeepAliveHandler] = KeepAliveHandler) -> Iterator[str]:
    """Serve `app` on 127.0.0.1 from a background thread; the value is its address, `http://127.0.0.1:PORT/`.

    `port` 0 takes a free one. Raises SystemExit, after a line on stderr, if the port is taken.
    """
    server = ThreadedWSGIServer(HOST, port, app, handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.port}/"
    finally:
        server.shutdown()
        thread.join()
