"""A port that leads to another one, and can be cut: each node of a RabbitMQ cluster leads to the same queues."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.ports import HOST


class Forwarder:
    """Forwards connections to `target` until it is cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listening = socket.create_server((HOST, 0))
        self._open: list[socket.socket] = []
        self.port = int(self._listening.getsockname()[1])
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Refuse new connections and end the present ones."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):  # cut
            while True:
                client, _ = self._listening.accept()
                self.accepted += 1
                server = socket.create_connection((HOST, self._target))
                self._open += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=_copy, args=(source, sink), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def forwarding(target: int) -> Iterator[Forwarder]:
    """A forwarder that is cut at the end of the block."""
    forwarder = Forwarder(target)
    try:
        yield forwarder
    finally:
        forwarder.cut()
