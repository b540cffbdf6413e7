"""The smallest HTTP/1.1 server that works with boto3 and requests; one thread for each connection, on real sockets.

It is for null services, which must cost almost no CPU: a few system calls for each request, and bodies that are read
in large pieces. Standard library only.
"""

import io
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

PIECE = 1024 * 1024  # bytes of a body read at a time
BUFFER = 64 * 1024
REASONS = {200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 404: "Not Found"}


@dataclass
class Request:
    """One request. `body` is what it carries, `framed` the same as it comes; what is left of it the server skips."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: io.RawIOBase
    framed: io.RawIOBase


@dataclass
class Response:
    """What is answered. `size` is what Content-Length says where there is no body, as for a HEAD."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    size: int | None = None


Handler = Callable[[Request], Response]


class Counted(io.RawIOBase):
    """A body of `length` bytes (Content-Length)."""

    def __init__(self, stream: io.BufferedIOBase, length: int) -> None:
        self._stream = stream
        self._left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if self._left == 0:
            return 0
        got = self._stream.readinto(memoryview(buffer)[: self._left])
        self._left -= got
        if got == 0:
            raise EOFError("the body ended early")
        return got


class Chunked(io.RawIOBase):
    """A chunked body (RFC 9112, section 7.1); S3's aws-chunked has the same shape, with a signature a chunk."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._left = 0
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if self._left == 0 and not self._next_chunk():
            return 0
        got = self._stream.readinto(memoryview(buffer)[: self._left])
        self._left -= got
        if self._left == 0:
            self._stream.readline()  # the line break behind the chunk
        return got

    def _next_chunk(self) -> bool:
        if self._ended:
            return False
        self._left = int(self._stream.readline().partition(b";")[0], 16)
        if self._left == 0:
            self._ended = True
            while self._stream.readline().strip():  # trailers
                pass
        return self._left > 0


def _framed(stream: io.BufferedIOBase, headers: dict[str, str]) -> io.RawIOBase:
    if "chunked" in headers.get("transfer-encoding", ""):
        return Chunked(stream)
    return Counted(stream, int(headers.get("content-length", 0)))


def read_request(stream: io.BufferedIOBase) -> Request | None:
    """The next request's head; None at the connection's end."""
    line = stream.readline()
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split()
    headers: dict[str, str] = {}
    while (line := stream.readline()) not in (b"\r\n", b"\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    url = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    framed = _framed(stream, headers)
    wrapped = "aws-chunked" in headers.get("content-encoding", "")
    body = Chunked(io.BufferedReader(framed, BUFFER)) if wrapped else framed
    return Request(method, url.path, query, headers, body, framed)


def skip(request: Request) -> None:
    """Read what is left of a request, so that the next one can come."""
    while request.framed.read(PIECE):
        pass


def _converse(connection: socket.socket, handler: Handler) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb", BUFFER) as stream:
        try:
            while (request := read_request(stream)) is not None:  # type: ignore[arg-type]  # a reader, since it is buffered
                if request.headers.get("expect", "").lower() == "100-continue":
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                response = handler(request)
                skip(request)
                connection.sendall(_encoded(response))
        except (ConnectionError, EOFError, ValueError):
            return  # the client disconnected, or does not speak HTTP


def _encoded(response: Response) -> bytes:
    size = len(response.body) if response.size is None else response.size
    lines = [f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in (response.headers | {"Content-Length": str(size)}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + response.body


def listen(port: int = 0) -> socket.socket:
    """A socket that listens on the loopback interface only."""
    listening = socket.create_server(("127.0.0.1", port), backlog=128)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return listening


def serve(listening: socket.socket, handler: Handler) -> None:
    """Answer until the socket is closed."""
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_converse, args=(connection, handler), daemon=True).start()
