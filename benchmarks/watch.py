"""Receives what a service announces, and records when."""

import re
import threading
import time
from typing import Any

from kombu import Connection, Exchange, Queue

_BASENAME = re.compile(rb'"basename": ?"([^"]+)"')


class Watch(threading.Thread):
    """Listens to a processed exchange, from the moment `with` is entered until it is left."""

    def __init__(self, broker: str, exchange: Exchange) -> None:
        super().__init__(daemon=True)
        self._broker = broker
        self._exchange = exchange
        self._heard: dict[str, float] = {}
        self._changed = threading.Condition()
        self._listening = threading.Event()
        self._leave = threading.Event()

    def __enter__(self) -> "Watch":
        self.start()
        if not self._listening.wait(30):
            raise RuntimeError("the queue of the processed exchange could not be declared")
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        self.join(10)

    def run(self) -> None:
        """Record frame and time of each announcement."""
        with Connection(self._broker) as connection, connection.channel() as channel:
            queue = Queue("", self._exchange, exclusive=True, auto_delete=True, durable=False)(channel)
            queue.declare()
            # The message of AMQP: to build kombu's from it costs more than to receive it.
            channel.basic_consume(queue.name, no_ack=True, callback=self._hear)
            self._listening.set()
            while not self._leave.is_set():
                try:
                    connection.drain_events(timeout=0.2)
                except TimeoutError:
                    continue

    def wait_for(self, names: set[str], seconds: float) -> dict[str, float]:
        """When (`time.perf_counter`) each of these frames, by basename, was first announced.

        Raises TimeoutError that says how many were.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: names <= self._heard.keys(), seconds):
                heard = len(names & self._heard.keys())
                raise TimeoutError(f"{heard} of {len(names)} frames were announced within {seconds:.0f} s")
            return {name: self._heard[name] for name in names}

    def _hear(self, message: Any) -> None:
        now = time.perf_counter()
        body = message.body if isinstance(message.body, bytes) else bytes(message.body, "utf-8")
        found = _BASENAME.search(body)
        if found is None:
            return
        with self._changed:
            self._heard.setdefault(found.group(1).decode(), now)
            self._changed.notify_all()
