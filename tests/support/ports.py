"""Ports of this machine: free ones, and one that accepts connections and never answers."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"


def free_port() -> int:
    """A port on which nothing listens now."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


closed_port = free_port
"""The same, as a test of a refused connection calls it."""


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server((HOST, 0)) as listening:
        yield listening.getsockname()[1]
