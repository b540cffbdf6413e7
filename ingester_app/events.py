"""Celery's events, which Flower shows: each is sent once or not at all, because a worker must not wait for them."""

import time
from typing import Any

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher

from ingester_app.broker import PROMPT_SECONDS, send_once

PAUSE = 30.0  # seconds without events after one that could not be sent


class EventsSentOnce(EventDispatcher):  # type: ignore[misc]  # Celery has no types
    """Drops what the broker does not take at once.

    Celery tries to send the heartbeat of a worker for ever. While a broker is silent, the worker then does nothing
    else: it neither connects again nor ends at SIGTERM. And Celery keeps all other events until the broker is back.
    """

    _silent_until = 0.0

    def _publish(self, event: Any, producer: Any, routing_key: str, **_: Any) -> None:
        if producer is None or time.monotonic() < self._silent_until:
            return
        try:
            send_once(
                producer,
                event,
                self.exchange,
                seconds=PROMPT_SECONDS,
                retries=1 if self._silent_until else 0,  # on a new connection, if the worker still has its own
                routing_key=routing_key,
                serializer=self.serializer,
                headers=self.headers,
                delivery_mode=self.delivery_mode,
            )
            self._silent_until = 0.0
        except Exception:  # the worker's own connection says what is wrong
            self._silent_until = time.monotonic() + PAUSE


class EventsOfOurs(Events):  # type: ignore[misc]  # Celery has no types
    """Celery's events with our dispatcher."""

    dispatcher_cls = EventsSentOnce
