"""The listener: names from the FITS exchange become `ingest` tasks."""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from celery import Celery
from kombu import Connection, Producer
from kombu.exceptions import OperationalError
from kombu.mixins import ConsumerMixin

from ingester_app import logs
from ingester_app.broker import (
    create_app,
    dead_letter_queue,
    declare_queues,
    dispatch,
    fits_connection,
    fits_queue,
    prepare_celery_broker,
    send_letter,
    wait_until_connected,
)
from ingester_app.dead_letters import letter_for
from ingester_app.fits_message import Refused, is_ignored, parse
from ingester_app.schema import FrameMessage
from ingester_app.settings import ServiceSettings, load_service_settings
from lco_ingester.exceptions import DoNotRetryError, IngesterError
from lco_ingester.frame import Named
from lco_ingester.rabbitmq import BlockedError

PREFETCH = 10
PAUSE = 5.0  # seconds before a name that could not be dispatched returns to the queue
RECONNECT_PAUSE = 1.0  # seconds

logger = logging.getLogger("listener")


class Listener(ConsumerMixin):
    """Acknowledges a name after the broker has confirmed its task or its dead letter."""

    def __init__(self, connection: Connection, app: Celery, settings: ServiceSettings) -> None:
        self.connection = connection
        self._app = app
        self._settings = settings
        self._is_waiting = False
        self._is_start = True

    def get_consumers(self, Consumer: Any, channel: Any) -> list[Any]:  # noqa: N803 - kombu's name
        """One consumer on our queue. It gets the raw message because kombu drops what it cannot decode."""
        return [Consumer([fits_queue(self._settings)], on_message=self.on_message, prefetch_count=PREFETCH)]

    def run(self, **_: Any) -> None:
        """Consume until `should_stop`; after an error of the broker, begin again on a new connection."""
        self._is_start = False
        while not self.should_stop:
            try:
                for _event in self.consume(limit=None):
                    pass
            except (*self.connection_errors, OperationalError) as error:
                logger.warning("connection to %s lost, connecting again: %s", self.connection.as_uri(), error)
                self._pause(RECONNECT_PAUSE)
            except self.channel_errors as error:
                logger.error(
                    "refused by %s, trying again in %d s: %s. Check the queue %s and the user's permissions",
                    self.connection.as_uri(),
                    PAUSE,
                    error,
                    self._settings.fits_queue,
                )
                self._pause()

    @contextmanager
    def establish_connection(self) -> Iterator[Connection]:
        """A connection; waits until there is one or until `stop`."""
        with self.create_connection() as connection:
            with self.waiting():
                wait_until_connected(connection, is_start=self._is_start)
            yield connection

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A block that `stop` ends at once, because no name is in hand."""
        self._is_waiting = True
        try:
            if self.should_stop:  # it came just before
                raise SystemExit(0)
            yield
        finally:
            self._is_waiting = False

    @cached_property
    def _producer(self) -> Producer:
        """One for all names, and not Celery's pool.

        The pool closes a connection after an error, but a connection that RabbitMQ blocks must hear the alarm's end.
        """
        return self._app.amqp.Producer(self._app.connection_for_write())

    def on_consume_ready(self, connection: Connection, channel: Any, consumers: Any, **_: Any) -> None:
        """Log that the listener is ready."""
        logger.info("listening on queue %s at %s", self._settings.fits_queue, connection.as_uri())

    def on_message(self, message: Any) -> None:
        """One name: dispatch, dead-letter or ignore it; then acknowledge it."""
        try:
            self._handle(message.body)
        except Exception as error:  # an exception here would end the loop with the message unacknowledged
            if not isinstance(error, BlockedError):  # that was logged when it began
                logger.exception("a name could not be dispatched and is given back")
            self._pause()
            message.requeue()
            return
        message.ack()

    def _handle(self, body: bytes | str) -> None:
        path = parse(body)
        if isinstance(path, Refused):
            self._bury(body, path)
        elif is_ignored(path, self._settings.ignored_chars):
            logger.info("ignored", extra={"path": path})
        else:
            message = FrameMessage(Named(path), first_time=time.time()).to_message()
            dispatch(self._app, message, path, producer=self._producer)
            logger.info("dispatched", extra={"path": path})

    def _bury(self, body: bytes | str, refused: Refused) -> None:
        shown = (body.decode(errors="replace") if isinstance(body, bytes) else body)[:1000]
        now = time.time()
        error = DoNotRetryError(check="message on the FITS exchange", detail=refused.reason, found=repr(shown))
        letter = letter_for(
            error,
            path="",
            md5=None,
            step="listen",
            reason="MESSAGE_UNREADABLE",
            attempts=1,
            first_time=now,
            now=now,
            worker="listener",
            message=None,
        )
        send_letter(self._app, dead_letter_queue(self._settings), letter, self._producer)
        logger.error(str(error))

    def _pause(self, seconds: float = PAUSE) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.should_stop:
            time.sleep(0.1)

    def stop(self, *_: Any) -> None:
        """End: at once if we wait for a broker, otherwise after the name in hand."""
        self.should_stop = True
        if self._is_waiting:
            os._exit(0)


def main() -> int:
    """Listen with the settings of the environment; the exit code."""
    try:
        settings = load_service_settings()
    except IngesterError as error:
        print(error, file=sys.stderr)
        return 1
    return listen(settings)


def listen(settings: ServiceSettings) -> int:
    """Listen until SIGTERM or SIGINT; the exit code."""
    logs.configure(settings.log_level, settings.log_format)
    try:
        listener = Listener(fits_connection(settings), create_app(settings), settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, listener.stop)
        with listener.establish_connection() as connection, listener.waiting():
            declare_queues(connection, fits_queue(settings))
        with listener.waiting():
            prepare_celery_broker(settings)
        listener.run()
    except IngesterError as error:
        print(error, file=sys.stderr)
        return 1
    logger.info("stopped")
    return 0
