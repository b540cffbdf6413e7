"""A Celery consumer that does not lose messages it cannot read."""

from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger
from celery.worker.consumer import Consumer

logger = get_logger(__name__)


class RejectingConsumer(Consumer):
    """Rejects every message that is not a task, so that RabbitMQ dead-letters it.

    Celery's own consumer acknowledges a body that it cannot decode, so the message is lost. A body with the headers of
    a task and another structure ends its worker.
    """

    class Blueprint(Consumer.Blueprint):
        """The parts of the consumer."""

        def info(self, parent: Any) -> dict[str, Any]:
            """What `inspect stats` and Flower show, without the URLs of a failover list: they hold passwords."""
            info: dict[str, Any] = super().info(parent)
            if isinstance(broker := info.get("broker"), dict):
                broker.pop("alternates", None)
            return info

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
