"""An HTTP/1.1 server for the demo's WSGI applications: werkzeug's threaded server, with keep-alive.

werkzeug's own request handler closes the connection after every answer, and first waits 10 ms for left-over bytes.
Clients that pool connections (boto3, requests) would then never be tested with a reused one. The handler here keeps
connections open. It also reads the part of a request's body that the application did not read: otherwise the next
request on the connection would begin with it.
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

LOOPBACK = "127.0.0.1"
DRAIN_LIMIT = 64 * 2**20
"""The most bytes of an unread body that are read to keep a connection open; with more, it is closed."""


class _Body(io.RawIOBase):
    """The bytes of one request's body, and never those of the next request."""

    def __init__(self, stream: BinaryIO, length: int) -> None:
        self._stream = stream
        self.left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        piece = self._stream.read(min(len(memoryview(buffer)), self.left))
        memoryview(buffer)[: len(piece)] = piece
        # A stream may end before its Content-Length is reached; then nothing is left.
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
        """End the body and flush the buffer."""
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
        self._choose_framing(int(code), "content-length" in names)
        if handler.close_connection:
            handler.send_header("Connection", "close")
        handler.end_headers()

    def _choose_framing(self, code: int, known: bool) -> None:
        """A body of unknown length is sent in chunks, or ends when the connection closes (RFC 9112, 6.3)."""
        if known or code < 200 or code in {204, 304} or self._handler.command == "HEAD":
            return
        if self._handler.request_version >= "HTTP/1.1":
            self._chunked = True
            self._handler.send_header("Transfer-Encoding", "chunked")
        else:
            self._handler.close_connection = True


class KeepAliveHandler(WSGIRequestHandler):
    """Serve many requests on one connection.

    If the application raises a `ConnectionError`, the connection is closed at once: nothing more is sent, not even an
    error. `flaky.Flaky` uses this.
    """

    protocol_version = "HTTP/1.1"
    # Headers and a small body leave in one send, and no send waits for the ACK of another. Otherwise the client's
    # delayed ACK makes an answer take 40 ms.
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
            self.send_error(400, "Content-Length is not a number")
            return
        environ["wsgi.input"] = body
        answer = _Answer(self)
        try:
            self._run_app(environ, answer)
            self._drain(body)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception:  # the server must survive every error of its application
            self._fail(answer)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: the demo's terminal shows the output of the ingester."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write errors to stderr and drop the rest."""
        if type == "error":
            sys.stderr.write(f"{message % args if args else message}\n")

    def _bounded_body(self, environ: dict[str, Any]) -> _Body:
        if environ.get("wsgi.input_terminated"):  # chunked: the base class's decoder knows the end
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
        """Read what the application left unread, so that the next request begins at its own first byte."""
        # Also before the connection closes: to close it with unread bytes resets it, and the answer may be lost.
        read = 0
        try:
            while body.left > 0 and read < DRAIN_LIMIT:
                read += len(body.read(2**16) or b"")
        except OSError:  # the client is gone, or its chunks are malformed
            self.close_connection = True
        self.close_connection = self.close_connection or body.left > 0

    def _fail(self, answer: _Answer) -> None:
        """Report the application's error on stderr, and to the client if no answer has begun."""
        self.close_connection = True
        sys.stderr.write(f"{self.command} {self.path} failed:\n{traceback.format_exc()}")
        if not answer.begun:
            answer.start("500 Internal Server Error", [("Content-Type", "text/html"), ("Content-Length", "0")])
            answer.finish()


@contextmanager
def running(
    app: "WSGIApplication",
    port: int = 0,
    handler: type[KeepAliveHandler] = KeepAliveHandler,
    host: str = LOOPBACK,
) -> Iterator[str]:
    """Serve `app` from a background thread; the value is its URL, `http://HOST:PORT/`.

    `port` 0 takes a free one. Raises SystemExit, after a line on stderr, if the port is in use.
    """
    server = ThreadedWSGIServer(host, port, app, handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.port}/"
    finally:
        server.shutdown()
        thread.join()
