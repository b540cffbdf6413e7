"""The listener: names from the FITS exchange become `ingest` tasks."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from celery import Celery
from kombu import Connection, Producer
from kombu.exceptions import OperationalError
from kombu.mixins import ConsumerMixin

from ingester_app import logs
from ingester_app.broker import (
    BROKER_ERRORS,
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
from ingester_app.error_text import traceback_of
from ingester_app.fits_message import Refused, is_ignored, parse
from ingester_app.schema import FrameMessage
from ingester_app.settings import ServiceSettings, load_service_settings
from lco_ingester.exceptions import DoNotRetryError, IngesterError
from lco_ingester.frame import Named
from lco_ingester.printable import printable
from lco_ingester.rabbitmq import BlockedError
from lco_ingester.redaction import Redactor

PREFETCH = 10
PAUSE = 5.0  # seconds before a name that could not be dispatched returns to the queue
RECONNECT_PAUSE = 1.0  # seconds
END_SECONDS = 25.0  # after SIGTERM, also if the broker does not answer
SHOWN = 1000  # bytes of a body in its letter
HINT = 'Publish the absolute path of a file, as JSON {"path": "/…"} in UTF-8'

logger = logging.getLogger("listener")


@dataclass(frozen=True, slots=True)
class _Done:
    """What the log says about a name."""

    level: int
    event: str
    fields: dict[str, str]


class Listener(ConsumerMixin):
    """Acknowledges a name after the broker has confirmed its task or its dead letter."""

    def __init__(self, connection: Connection, app: Celery, settings: ServiceSettings) -> None:
        self.connection = connection
        self._app = app
        self._settings = settings
        self._redact = Redactor(settings.secrets())
        self._is_waiting = False
        self._is_start = True
        self.should_stop = False

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
        """One name: dispatch, dead-letter or ignore it; then acknowledge it.

        Only what the broker did not take returns to the queue: a fault of the message would come back for ever.
        """
        try:
            done = self._settle(message.body)
        except Exception as error:  # an exception here would end the loop with the message unacknowledged
            if not isinstance(error, BlockedError):  # that was logged when it began
                event = "a name could not be dispatched and is given back"
                logs.report(logger, logging.ERROR, event, exception=traceback_of(error))
            self._pause()
            message.requeue()
            return
        message.ack()
        logs.report(logger, done.level, done.event, **done.fields)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """A message that kombu cannot unpack. ConsumerMixin would acknowledge it without a letter."""
        self.on_message(message)

    def _settle(self, body: bytes | str) -> _Done:
        """Publish the task of a name, or a dead letter. Raises errors of the broker."""
        path = parse(body)
        if isinstance(path, Refused):
            return self._bury(_refusal(body, path), "MESSAGE_UNREADABLE")
        if is_ignored(path, self._settings.ignored_chars):
            return _Done(logging.INFO, "ignored", {"path": path})
        message = FrameMessage(Named(path), first_time=time.time()).to_message()
        try:
            dispatch(self._app, message, path, producer=self._producer)
        except BROKER_ERRORS:
            raise
        except Exception as error:  # it would fail again, also if the broker is well
            return self._bury(error, "PROGRAM_ERROR", path, message)
        return _Done(logging.INFO, "dispatched", {"path": path})

    def _bury(self, error: Exception, reason: str, path: str = "", message: dict[str, Any] | None = None) -> _Done:
        now = time.time()
        letter = letter_for(
            error,
            path=path,
            md5=None,
            step="listen",
            reason=reason,
            attempts=1,
            first_time=now,
            now=now,
            worker="listener",
            message=message,
            redact=self._redact,
        )
        send_letter(self._app, dead_letter_queue(self._settings), letter, self._producer)
        return _Done(logging.ERROR, letter.text, {"path": path, "reason": reason})

    def _pause(self, seconds: float = PAUSE) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.should_stop:
            time.sleep(0.1)

    def stop(self, *_: Any) -> None:
        """End: at once if we wait for a broker, otherwise after the name in hand, which has END_SECONDS."""
        if self._is_waiting:
            os._exit(0)
        if not self.should_stop:
            self.should_stop = True
            end = threading.Timer(END_SECONDS, _give_back)
            end.daemon = True
            end.start()


def _give_back() -> None:
    """End now: what is not acknowledged returns to its queue. A task that was sent all the same runs twice."""
    logger.warning("no answer from the broker within %d s: ended, and the name in hand is given back", END_SECONDS)
    os._exit(0)


def _refusal(body: bytes | str, refused: Refused) -> DoNotRetryError:
    shown = body[:SHOWN].decode(errors="replace") if isinstance(body, bytes) else str(body)[:SHOWN]
    return DoNotRetryError(check="message on the FITS exchange", detail=refused.reason, found=repr(shown), hint=HINT)


def main() -> int:
    """Listen with the settings of the environment; the exit code."""
    try:
        settings = load_service_settings()
    except IngesterError as error:
        print(printable(str(error)), file=sys.stderr)
        return 1
    return listen(settings)


def listen(settings: ServiceSettings) -> int:
    """Listen until SIGTERM or SIGINT; the exit code."""
    redact = Redactor(settings.secrets())
    logs.configure(settings.log_level, settings.log_format, redact)
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
        print(printable(redact(str(error))), file=sys.stderr)
        return 1
    logger.info("stopped")
    return 0
