"""A server below HTTP: it sends chosen bytes, slowly or without an end, and counts its connections."""

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from tests.support.ports import HOST

PAUSE = 0.02  # seconds between two pieces of a slow answer


@dataclass(frozen=True)
class Told:
    """An answer: `begin`, and then `repeat` again and again, with a pause before each; never, if it is empty.

    With `reads_slowly` the server first reads the request, a byte at a time.
    """

    begin: bytes = b""
    repeat: bytes = b""
    pause: float = PAUSE
    reads_slowly: bool = False


def whole(body: bytes = b"", *headers: bytes, status: bytes = b"200 OK") -> Told:
    """A complete answer, after which the connection stays open."""
    head = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers, b"", b""]
    return Told(b"\r\n".join(head) + body)


@dataclass
class RawServer:
    """`answer` chooses what is sent, by the first line of the request."""

    answer: Callable[[str], Told]
    port: int = 0
    connections: int = 0
    asked: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def serve(self, connection: socket.socket) -> None:
        """Answer the requests of one connection until either side closes it."""
        with contextlib.suppress(OSError), connection:
            stream = connection.makefile("rb")
            while line := stream.readline().decode("latin-1"):
                self.asked.append(line)
                told = self.answer(line)
                if told.reads_slowly:
                    while not self.stopped.wait(told.pause) and connection.recv(1):
                        pass
                    return
                self._read_rest(stream, connection)
                self._send(connection, told)

    def _read_rest(self, stream: BinaryIO, connection: socket.socket) -> None:
        length, chunked = 0, False
        while (header := stream.readline().lower()).strip():
            if header.startswith(b"content-length:"):
                length = int(header.partition(b":")[2])
            chunked = chunked or header.startswith(b"transfer-encoding:")
            if header.startswith(b"expect:"):
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while chunked and (size := int(stream.readline(), 16)):
            stream.read(size + 2)
        if chunked:
            stream.readline()
        while length > 0 and (piece := stream.read(min(length, 2**16))):
            length -= len(piece)

    def _send(self, connection: socket.socket, told: Told) -> None:
        connection.sendall(told.begin)
        while told.repeat and not self.stopped.is_set():
            time.sleep(told.pause)
            connection.sendall(told.repeat)


@contextmanager
def raw_server(
    answer: Callable[[str], Told] | Told, tls: ssl.SSLContext | None = None, buffer: int = 0
) -> Iterator[RawServer]:
    """A running server; `buffer` limits the bytes that the system accepts for it in advance."""
    server = RawServer(answer if callable(answer) else lambda _: answer)
    listening = socket.create_server((HOST, 0))
    if buffer:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    server.port = listening.getsockname()[1]
    threading.Thread(target=_accept, args=(server, listening, tls), daemon=True).start()
    try:
        yield server
    finally:
        server.stopped.set()
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def _accept(server: RawServer, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            server.connections += 1
            threading.Thread(target=_serve, args=(server, connection, tls), daemon=True).start()


def _serve(server: RawServer, connection: socket.socket, tls: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError):
        server.serve(tls.wrap_socket(connection, server_side=True) if tls else connection)


@contextmanager
def full_port() -> Iterator[int]:
    """A port at which a connection gets no answer at all, as at a host that drops packets (Linux)."""
    with contextlib.ExitStack() as opened:
        listening = opened.enter_context(socket.socket())
        listening.bind((HOST, 0))
        listening.listen(0)
        for _ in range(4):
            filler = opened.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def make_certificate(directory: Path) -> Path:
    """A file with a key and a self-signed certificate for this machine's loopback address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    file = directory / "server.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file
