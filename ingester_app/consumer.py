"""A Celery consumer that loses no message it cannot read."""

from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger
from celery.worker.consumer import Consumer

logger = get_logger(__name__)


class RejectingConsumer(Consumer):
    """Rejects what is no task, so that the queue's dead-letter exchange gets it.

    Celery's own acknowledges a body that it cannot decode, which loses it, and dies of one that has the headers of a
    task and another shape.
    """

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Reject what cannot be decoded."""
        message.reject_log_error(logger, self.connection_errors)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Celery's handler, with whatever else it raises turned into a reject."""
        handle = super().create_task_handler(*args, **kwargs)

        def handle_or_reject(message: Any) -> None:
            try:
                handle(message)
            except self.connection_errors:
                raise
            except Exception:  # it would end the worker, and the next one that gets this message
                logger.exception("a message that is no task goes to the dead letters")
                if not message.acknowledged:
                    message.reject_log_error(logger, self.connection_errors)

        return handle_or_reject
