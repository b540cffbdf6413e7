"""The simulated broker and a real RabbitMQ behind the same few methods, for `test_contracts.py`."""

import json
import socket
import time
from contextlib import suppress
from typing import Any

from celery import Celery
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    declare_native_delayed_delivery_exchanges_and_queues,
)

from ingester_app.broker import (
    celery_connection,
    create_app,
    dead_letter_queue,
    declare_queues,
    dispatch,
    fits_connection,
    fits_queue,
    ingest_queue,
    send_letter,
)
from ingester_app.dead_letter_queue import letters_in
from ingester_app.schema import DeadLetter
from ingester_app.settings import ServiceSettings
from tests.simulation.broker import Message, SimulatedBroker

FRAMES, NAMES, LETTERS = "frames", "names", "letters"
SOON = 5.0  # seconds; RabbitMQ moves messages with some delay


def text_of(message: Any) -> str:
    """A real message's body."""
    return bytes(message.body).decode() if isinstance(message.body, (bytes, memoryview)) else str(message.body)


class Simulated:
    """A simulated broker on a clock of its own."""

    def __init__(self, delivery_limit: int) -> None:
        self._broker = SimulatedBroker(delivery_limit)
        self._now = 0.0

    def publish_name(self, path: str) -> None:
        self._broker.names += (Message(json.dumps({"path": path})),)

    def publish_frame(self, message: dict[str, Any], delay: int | None = None) -> None:
        self._broker.publish_frame(message, self._now + (delay or 0), self._now)

    def publish_letter(self, letter: DeadLetter) -> None:
        self._broker.put_letter(letter)

    def wait(self, seconds: float) -> None:
        end = self._now + seconds
        while self._broker.delayed and self._broker.delayed[0].due <= end:
            self._broker.end_of_next_delay()
        self._now = end

    def take(self, queue: str) -> tuple[str, bool] | None:
        """A message that is not acknowledged: its text, and whether it may have been delivered before."""
        waiting = getattr(self._broker, queue)
        if not waiting:
            return None
        self._held = waiting[0]
        setattr(self._broker, queue, waiting[1:])
        return self._held.body, self._held.redelivered

    take_now = take

    def die(self, queue: str) -> None:
        """The consumer that took a message dies."""
        give_back = {
            FRAMES: self._broker.give_back_frame,
            NAMES: self._broker.give_back_name,
            LETTERS: self._broker.give_back_letter,
        }
        give_back[queue](self._held)

    def letters(self) -> list[DeadLetter]:
        """The dead letters, which stay where they are."""
        return self._broker.read_letters()


class Real:
    """RabbitMQ, with the service's own queues, connections and ways to publish."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._queues = {
            FRAMES: ingest_queue(settings),
            NAMES: fits_queue(settings),
            LETTERS: dead_letter_queue(settings),
        }
        self._app: Celery = create_app(settings)
        with celery_connection(settings) as connection:
            declare_queues(connection, *reversed(self._queues.values()))
            kind = self._app.conf.broker_native_delayed_delivery_queue_type
            declare_native_delayed_delivery_exchanges_and_queues(connection, kind)
            bind_queue_to_native_delayed_delivery_exchange(connection, self._queues[FRAMES])

    def publish_name(self, path: str) -> None:
        with fits_connection(self._settings) as connection:
            exchange = self._queues[NAMES].exchange
            connection.Producer().publish({"path": path}, exchange=exchange, routing_key="")

    def publish_frame(self, message: dict[str, Any], delay: int | None = None) -> None:
        dispatch(self._app, message, message["frame"]["path"], countdown=delay)

    def publish_letter(self, letter: DeadLetter) -> None:
        send_letter(self._app, self._queues[LETTERS], letter)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def take(self, queue: str) -> tuple[str, bool] | None:
        """Wait for a message, some seconds at most; it is not acknowledged."""
        end = time.monotonic() + SOON
        while (taken := self.take_now(queue)) is None and time.monotonic() < end:
            time.sleep(0.05)
        return taken

    def take_now(self, queue: str) -> tuple[str, bool] | None:
        """Take a message without waiting, each time by another consumer."""
        connection = celery_connection(self._settings)
        message = self._queues[queue](connection.default_channel).get(no_ack=False)
        if message is None:
            connection.release()
            return None
        self._consumer = connection
        return text_of(message), bool(message.delivery_info["redelivered"])

    def die(self, queue: str) -> None:
        """The consumer that took a message disappears without closing its connection."""
        self._consumer.connection.transport.sock.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._consumer.release()

    def letters(self) -> list[DeadLetter]:
        """Wait for dead letters, which stay in their queue."""
        end = time.monotonic() + SOON
        with celery_connection(self._settings) as connection:
            while not (found := letters_in(connection, self._queues[LETTERS])) and time.monotonic() < end:
                time.sleep(0.05)
            return found
