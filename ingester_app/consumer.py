"""A Celery consumer that believes no message: it rejects what is not a task of ours and restricts what is."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.utils.log import get_logger
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

from ingester_app.broker import REFUSED_PAUSE, TASKS
from ingester_app.delays import DelaysOnThisConnection
from ingester_app.remote_control import ReadingControl
from ingester_app.task_message import restrict
from lco_ingester.broker_url import is_rabbitmq

# On a broker without delays a frame waits in the worker, for at most the pauses of its retries.
LONGEST_DELAY = timedelta(days=2)

logger = get_logger(__name__)


class RejectingConsumer(Consumer):
    """Rejects every message that is not a task of ours, so that RabbitMQ dead-letters it.

    Celery's own consumer acknowledges a body that it cannot decode, so the message is lost. A body with the headers of
    a task and another structure ends its worker. Of our tasks' messages it leaves only what `restrict` permits.
    """

    class Blueprint(Consumer.Blueprint):
        """Celery's steps, with our own for delayed delivery and for remote control."""

        default_steps = (
            *(step for step in Consumer.Blueprint.default_steps if not step.endswith((":DelayedDelivery", ":Control"))),
            DelaysOnThisConnection,
            ReadingControl,
        )

        def info(self, parent: Any) -> dict[str, Any]:
            """What `inspect stats` and Flower show.

            Without the URLs of a failover list, which hold passwords, and without the transport's options: one of them
            is a function, which no answer can hold.
            """
            info: dict[str, Any] = super().info(parent)
            if isinstance(broker := info.get("broker"), dict):
                broker.pop("alternates", None)
                broker.pop("transport_options", None)
            return info

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        delays_in_broker = is_rabbitmq(self.app.conf.broker_url)
        self._longest_delay = None if delays_in_broker else LONGEST_DELAY

    def connect(self) -> Any:
        """Celery's connect, which ends the worker if the login is refused.

        At the start of a worker `prepare_celery_broker` has logged in. So somebody has changed the broker since then,
        and may change it back.
        """
        while True:
            try:
                return super().connect()
            except (*self.connection_errors, *self.channel_errors) as error:
                self._wait_after(error)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Celery's clean-up; a refusal is logged as an error, and waits before the next try."""
        super().on_connection_error_after_connected(exc)
        if isinstance(exc, self.channel_errors):
            self._wait_after(exc)

    def _wait_after(self, error: Exception) -> None:
        logger.error(
            "refused by %s, trying again in %d s: %s. Check user, password, virtual host, permissions and the queue",
            self.conninfo.as_uri(),
            REFUSED_PAUSE,
            error,
        )
        for _ in range(REFUSED_PAUSE * 5):
            maybe_shutdown()
            time.sleep(0.2)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Reject a message that cannot be decoded."""
        message.reject_log_error(logger, self.connection_errors)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Celery's handler for what `restrict` leaves; any other exception than a connection error becomes a reject."""
        handle = super().create_task_handler(*args, **kwargs)

        def handle_or_reject(message: Any) -> None:
            try:
                if removed := restrict(message, TASKS, datetime.now(UTC), self._longest_delay):
                    logger.warning("removed from task %s: %s", message.headers["id"], ", ".join(removed))
                handle(message)
            except self.connection_errors:
                raise
            except Exception:  # otherwise it ends this worker, and then the next one that gets the message
                logger.exception("a message that is not a task goes to the dead letters")
                if not message.acknowledged:
                    message.reject_log_error(logger, self.connection_errors)

        return handle_or_reject
