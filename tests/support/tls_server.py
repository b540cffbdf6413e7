"""A server that completes the TLS handshake with a given certificate, and then closes the connection."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.ports import HOST


class TlsServer:
    """`names` are the host names that clients asked for; `completed` counts the handshakes that succeeded."""

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        self.names: list[str | None] = []
        self.completed = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(cert_file, key_file)
        self._context.sni_callback = self._on_name
        self._listening = socket.create_server((HOST, 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _on_name(self, _socket: Any, name: str | None, _context: Any) -> None:
        self.names.append(name)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:  # closed
                return
            client.settimeout(10)
            with client, suppress(OSError), self._context.wrap_socket(client, server_side=True) as encrypted:
                if encrypted.recv(1):  # the client sends nothing after a certificate that it refuses
                    self.completed += 1


@contextmanager
def tls_server(cert_file: Path, key_file: Path) -> Iterator[TlsServer]:
    """A server that is closed at the end of the block."""
    server = TlsServer(cert_file, key_file)
    try:
        yield server
    finally:
        server.close()
