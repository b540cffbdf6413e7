"""A Celery consumer that does not lose messages it cannot read."""

from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger
from celery.worker.consumer import Consumer

from ingester_app.delays import DelaysOnThisConnection

logger = get_logger(__name__)


class RejectingConsumer(Consumer):
    """Rejects every message that is not a task, so that RabbitMQ dead-letters it.

    Celery's own consumer acknowledges a body that it cannot decode, so the message is lost. A body with the headers of
    a task and another structure ends its worker.
    """

    class Blueprint(Consumer.Blueprint):
        """Celery's steps, with our own for delayed delivery."""

        default_steps = (
            *(step for step in Consumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")),
            DelaysOnThisConnection,
        )

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Reject a message that cannot be decoded."""
        message.reject_log_error(logger, self.connection_errors)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Celery's handler; any other exception than a connection error becomes a reject."""
        handle = super().create_task_handler(*args, **kwargs)

        def handle_or_reject(message: Any) -> None:
            try:
                handle(message)
            except self.connection_errors:
                raise
            except Exception:  # otherwise it ends this worker, and then the next one that gets the message
                logger.exception("a message that is not a task goes to the dead letters")
                if not message.acknowledged:
                    message.reject_log_error(logger, self.connection_errors)

        return handle_or_reject
