"""Connections to RabbitMQ on which every wait ends.

py-amqp waits without limit for most answers of the broker. Two states of RabbitMQ then hold a process for ever: a node
that is frozen, and a node with a memory or disk alarm, which reads nothing more from a connection that has published.
"""

import logging
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from amqp import spec
from amqp.exceptions import MessageNacked, RecoverableConnectionError
from kombu.exceptions import OperationalError
from kombu.transport import pyamqp

ANSWER_SECONDS = 30.0  # for an answer of the broker
CLOSE_SECONDS = 5.0  # for its answer to a close
BLOCKED_SECONDS = 2.0  # for any answer while it blocks us: an alarm may be short
BELIEVED_SECONDS = 30.0  # that it still blocks us, after a blocked connection was dropped
_CLOSED = (spec.Channel.CloseOk, spec.Connection.CloseOk)
_CONFIRMED = [spec.Basic.Ack, spec.Basic.Nack]

logger = logging.getLogger(__name__)


class NoAnswerError(RecoverableConnectionError):  # type: ignore[misc]
    """The broker did not answer in time. The connection is dropped, because a late answer would confuse it."""


class BlockedError(OperationalError):  # type: ignore[misc]
    """RabbitMQ blocks its publishers, so a message was not confirmed.

    kombu does not try again after this error: each try would leave one more message for the time after the alarm.
    """


class _Bounded:
    """A channel or a connection of py-amqp whose `wait` has a deadline."""

    connection: Any

    def wait(
        self,
        method: Any,
        callback: Callable[..., Any] | None = None,
        timeout: float | None = None,
        returns_tuple: bool = False,
    ) -> Any:
        """Wait for an answer. Raises NoAnswerError, and then the connection is dropped."""
        connection = self.connection
        if connection is None:
            raise RecoverableConnectionError("connection already closed")
        seconds = timeout or (CLOSE_SECONDS if method in _CLOSED else ANSWER_SECONDS)
        try:
            with connection.answering_within(seconds):
                return super().wait(method, callback, None, returns_tuple)  # type: ignore[misc]
        except TimeoutError as error:
            text = connection.no_answer(seconds)
            connection.collect()
            raise NoAnswerError(text) from error


class Channel(_Bounded, pyamqp.Channel):  # type: ignore[misc]
    """A channel that knows which of its messages a confirm is for."""

    _sent = 0
    _confirm_selected: bool

    def basic_publish_confirm(self, *args: Any, confirm_timeout: float | None = None, **kwargs: Any) -> Any:
        """Publish and wait for the confirm.

        py-amqp takes any confirm for that of the last message. Here the number counts: a message that was given up, or
        that was returned as unroutable, is confirmed later. Raises BlockedError, NoAnswerError or MessageNacked.
        """
        connection = self.connection
        if connection is None:
            raise RecoverableConnectionError("connection already closed")
        connection.raise_if_blocked()
        if not self._confirm_selected:
            self.confirm_select()
            self._confirm_selected, self._sent = True, 0
        self._sent += 1
        result = self._basic_publish(*args, **kwargs)
        self._wait_for_confirm(connection, self._sent, confirm_timeout or ANSWER_SECONDS)
        return result

    def _wait_for_confirm(self, connection: Any, number: int, seconds: float) -> None:
        confirmed = 0

        def on_confirm(method: Any, delivery_tag: int, multiple: bool) -> None:
            nonlocal confirmed
            confirmed = delivery_tag
            if method == spec.Basic.Nack and delivery_tag >= number:
                raise MessageNacked

        try:
            with connection.answering_within(seconds):
                while confirmed < number:
                    super(_Bounded, self).wait(_CONFIRMED, callback=on_confirm)
        except TimeoutError as error:
            text = connection.no_answer(seconds)
            if connection.blocked_by:
                raise BlockedError(text) from error
            connection.collect()
            raise NoAnswerError(text) from error

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """Close, or drop the connection if the broker does not read from it."""
        connection = self.connection
        if connection is not None and connection.blocked_by:
            connection.collect()
            return None
        return super().close(*args, **kwargs)


class AMQPConnection(_Bounded, pyamqp.Connection):  # type: ignore[misc]
    """A connection that knows whether RabbitMQ blocks it, and why."""

    Channel = Channel
    # By host: why a connection was blocked when it was dropped, and until when the next ones believe it. Celery drops a
    # connection after an error, so each of its messages would leave another blocked connection at the broker.
    _alarms: ClassVar[dict[str, tuple[str, float]]] = {}
    # py-amqp drops the reason, the only argument of this method.
    _METHODS = {  # noqa: RUF012 - py-amqp's name
        **pyamqp.Connection._METHODS,
        spec.Connection.Blocked: spec.method(spec.Connection.Blocked, "s"),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("write_timeout", ANSWER_SECONDS)
        self.blocked_by = ""
        self._deadline: float | None = None
        super().__init__(*args, **kwargs)

    @contextmanager
    def answering_within(self, seconds: float) -> Iterator[None]:
        """Reads raise TimeoutError after `seconds`, however many heartbeats come; sooner if we are blocked."""
        before, self._deadline = self._deadline, time.monotonic() + seconds
        if self.blocked_by:
            self._hurry()
        try:
            yield
        finally:
            self._deadline = before

    def blocking_read(self, timeout: float | None = None) -> Any:
        """Read a frame."""
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            timeout = left if timeout is None else min(timeout, left)
        return super().blocking_read(timeout)

    def raise_if_blocked(self) -> None:
        """Read what has come; raise BlockedError if RabbitMQ still blocks us."""
        reason, end = self._alarms.get(self.host, ("", 0.0))
        if time.monotonic() < end:
            raise BlockedError(f"RabbitMQ at {self.host} blocks publishers: {reason}")
        while self.blocked_by:
            try:
                self.drain_events(timeout=0)
            except TimeoutError:
                raise BlockedError(f"RabbitMQ at {self.host} blocks publishers: {self.blocked_by}") from None

    def no_answer(self, seconds: float) -> str:
        """Why no answer came, in words."""
        if self.blocked_by:
            return f"RabbitMQ at {self.host} blocks publishers: {self.blocked_by}"
        return f"no answer from RabbitMQ at {self.host} within {seconds:g} s"

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """Close, or drop the connection if the broker does not read from it."""
        if self.blocked_by:
            self.collect()
            return None
        return super().close(*args, **kwargs)

    def collect(self) -> None:
        """Drop the connection.

        A blocked one is reset, not closed: otherwise RabbitMQ takes its last message after the alarm, although we have
        said that it was not published. Until then RabbitMQ keeps what is left of each such connection in its memory.
        """
        if self.blocked_by and self._transport is not None and self._transport.sock is not None:
            self._transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._alarms[self.host] = self.blocked_by, time.monotonic() + BELIEVED_SECONDS
        self.blocked_by = ""
        super().collect()

    def _hurry(self) -> None:
        if self._deadline is not None:
            self._deadline = min(self._deadline, time.monotonic() + BLOCKED_SECONDS)

    def _on_blocked(self, reason: str) -> None:
        self.blocked_by = reason or "unknown reason"
        self._hurry()
        logger.warning("RabbitMQ at %s blocks publishers: %s; messages wait until its alarm ends", self.host, reason)

    def _on_unblocked(self) -> None:
        self.blocked_by = ""
        self._alarms.pop(self.host, None)
        logger.warning("RabbitMQ at %s takes messages again", self.host)
