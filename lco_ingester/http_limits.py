"""Limits of one HTTP call: the time of the whole call and the size of its answer. For S3 and the Archive API.

The time-outs of requests and botocore bound each wait for the server. A server that sends or reads one byte now and
then never reaches them. Here every operation on the connection gets only the time that is left of its call. Both
libraries use urllib3, so both get the same connections.
"""

import io
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from lco_ingester.exceptions import BackoffRetryError

MEBIBYTE = 2**20
_MAX_READS_AT_END = 100  # botocore reads for ever if a server closes the connection after "100 Continue"


class Call:
    """One call: when it must end, and what was sent and received so far."""

    def __init__(self, seconds: float, max_answer: int, error: type[BackoffRetryError]) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._max_answer = max_answer
        self._error = error
        self._received = 0
        self.sent = 0

    def time_left(self) -> float:
        """Seconds until the call must end. Raises its error if there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            progress = f"no whole answer after {self.sent} bytes sent and {self._received} received"
            raise self._error(expected=f"an answer within {round(self._seconds, 1):g} s", found=progress)
        return left

    def receive(self, count: int) -> None:
        """Count bytes from the connection. Raises the call's error if they are too many."""
        self._received += count
        self.check_size(self._received)

    def check_size(self, size: int) -> None:
        """Raise the call's error if an answer of `size` bytes is too large."""
        if size > self._max_answer:
            expected = f"an answer of at most {self._max_answer // MEBIBYTE} MB"
            raise self._error(expected=expected, found="an answer that is too large")


_current: ContextVar[Call | None] = ContextVar("_current", default=None)


@contextmanager
def limited_call(seconds: float, max_answer: int, error: type[BackoffRetryError]) -> Iterator[Call]:
    """Inside it this thread makes one call, which raises `error` after `seconds` or `max_answer` bytes.

    Only connections of `limited` pools know the limits. The limits hold for headers too, and for what is skipped.
    """
    call = Call(seconds, max_answer, error)
    token = _current.set(call)
    try:
        yield call
    finally:
        _current.reset(token)


def limited(pools: Mapping[str, type[HTTPConnectionPool]]) -> dict[str, Any]:
    """The pool classes of a urllib3 PoolManager by scheme, with connections that keep to the limits of the call."""
    return {scheme: _limited(pool) for scheme, pool in pools.items()}


def _limited(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    plain: Any = pool.ConnectionCls
    # A connection by a SOCKS proxy opens its socket in its own way, and stays as it is.
    if issubclass(plain, _LimitedConnection) or plain._new_conn is not HTTPConnection._new_conn:
        return pool
    connection = type(f"Limited{plain.__name__}", (_LimitedConnection, plain), {})
    return type(f"Limited{pool.__name__}", (pool,), {"ConnectionCls": connection})


class _LimitedConnection(HTTPConnection):
    """Before the other base class, it makes each step of a connection keep to the limits of the call."""

    def connect(self) -> None:
        super().connect()
        self.sock: Any = _LimitedSocket(self.sock)

    def _new_conn(self) -> socket.socket:
        """As urllib3 does it, but all addresses of the host share the time of the call."""
        try:
            return self._connect_to_first()
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"Connection to {self.host} timed out") from error
        except OSError as error:
            raise NewConnectionError(self, f"Failed to establish a new connection: {error}") from error

    def _connect_to_first(self) -> socket.socket:
        failure = OSError("the host has no address")
        host = self._dns_host.strip("[]")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, self.port, allowed_gai_family(), socket.SOCK_STREAM
        ):
            plain = None
            try:
                plain = socket.socket(family, kind, protocol)  # fails if this system cannot use such addresses
                for option in self.socket_options or ():
                    plain.setsockopt(*option)
                plain.settimeout(_time_left(_current.get(), self.timeout))
                if self.source_address:
                    plain.bind(self.source_address)
                plain.connect(address)
                return plain
            except BaseException as error:
                if plain is not None:
                    plain.close()
                if not isinstance(error, OSError):
                    raise
                failure = error
        raise failure

    def _tunnel(self) -> None:
        """Ask a proxy for the connection."""
        plain = self.sock
        self.sock = _LimitedSocket(plain)
        super()._tunnel()
        self.sock = plain
        plain.settimeout(_time_left(_current.get(), self.timeout))  # for the TLS handshake


class _LimitedSocket:
    """A socket, plain or TLS, that gives each operation only the time that is left of the call."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain
        self._pause = plain.gettimeout()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def settimeout(self, seconds: float | None) -> None:
        """Set the longest wait of one operation."""
        self._pause = seconds
        self._plain.settimeout(seconds)

    def sendall(self, data: Any) -> None:
        """Send everything, in as many operations as it takes."""
        left = memoryview(data).cast("B")
        while left:
            call = self.begin()
            try:
                sent = self._plain.send(left)
            except TimeoutError:
                _check_time(call)
                raise
            if call is not None:
                call.sent += sent
            left = left[sent:]

    def makefile(self, mode: str = "rb", buffering: int = -1) -> Any:
        """A stream for reading, as http.client and botocore want it."""
        reader = _LimitedReader(self, self._plain.makefile(mode, buffering=0))
        return reader if buffering == 0 else io.BufferedReader(reader)

    def begin(self) -> Call | None:
        """Limit the time of the operation that follows; return the call that it belongs to."""
        call = _current.get()
        self._plain.settimeout(_time_left(call, self._pause))
        return call


class _LimitedReader(io.RawIOBase):
    """What arrives on a socket, counted."""

    def __init__(self, sock: _LimitedSocket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._reads_at_end = 0

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        call = self._sock.begin()
        try:
            count = self._raw.readinto(buffer)
        except TimeoutError:
            _check_time(call)
            raise
        if count == 0:
            self._reads_at_end += 1
            if self._reads_at_end > _MAX_READS_AT_END:
                raise ConnectionAbortedError("the server closed the connection before its answer")
        elif count and call is not None:
            call.receive(count)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def _time_left(call: Call | None, pause: float | None) -> float | None:
    """The longest wait of one operation: `pause`, or what is left of the call if that is less."""
    if call is None:
        return pause
    left = call.time_left()
    return left if pause is None else min(left, pause)


def _check_time(call: Call | None) -> None:
    """After a time-out: raise the call's error if it was the end of the whole call."""
    if call is not None:
        call.time_left()
