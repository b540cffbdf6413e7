"""A Celery consumer that believes no message: it rejects what is not a task of ours and restricts what is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.utils.log import get_logger
from celery.worker.consumer import Consumer

from ingester_app.broker import TASKS, is_rabbitmq
from ingester_app.task_message import restrict

# The remote control commands that only look. The others can drop a frame without a letter (revoke, terminate) or take
# the worker away (shutdown, pool_shrink, cancel_consumer, rate_limit).
READING_COMMANDS = frozenset((
    "active", "active_queues", "clock", "disable_events", "dump_active", "dump_reserved", "dump_revoked",
    "dump_schedule", "dump_tasks", "enable_events", "heartbeat", "hello", "ping", "query_task",
    "registered", "report", "reserved", "revoked", "scheduled", "stats",
))  # fmt: skip
# On a broker without delays a frame waits in the worker, for at most the pauses of its retries.
LONGEST_DELAY = timedelta(days=2)

logger = get_logger(__name__)


def _refuse(name: str) -> Callable[..., dict[str, str]]:
    def refuse(*_: Any, **__: Any) -> dict[str, str]:
        """Answer as Celery's own commands do after an error."""
        logger.warning("remote control is refused: %s", name)
        return {"error": f"{name} is refused: this service is controlled by signals, not by messages"}

    return refuse


class RejectingConsumer(Consumer):
    """Rejects every message that is not a task of ours, so that RabbitMQ dead-letters it.

    Celery's own consumer acknowledges a body that it cannot decode, so the message is lost. A body with the headers of
    a task and another structure ends its worker. Of our tasks' messages it leaves only what `restrict` permits.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        delays_in_broker = is_rabbitmq(self.app.conf.broker_url)
        self._longest_delay = None if delays_in_broker else LONGEST_DELAY
        for step in self.blueprint.order:
            if step.alias == "Control":
                handlers = step.box.node.handlers
                step.box.node.handlers = {
                    name: handler if name in READING_COMMANDS else _refuse(name) for name, handler in handlers.items()
                }

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Reject a message that cannot be decoded; one of remote control, which needs no answer, is dropped."""
        if message.delivery_info.get("consumer_tag") in message.channel.no_ack_consumers:
            logger.warning("a message of remote control cannot be decoded: %s", type(exc).__name__)
            return  # RabbitMQ closes the channel of whoever rejects it, and the worker would end
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
