"""A Celery consumer that keeps its processes busy and loses no message it cannot read."""

from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger
from celery.worker.consumer import Consumer

logger = get_logger(__name__)


class FrameConsumer(Consumer):
    """Keeps one frame ready, and rejects what is no task, so that the queue's dead-letter exchange gets it.

    Celery's own acknowledges a body that it cannot decode, which loses it, and dies of one that has the headers of a
    task and another shape.
    """

    def __init__(self, *args: Any, initial_prefetch_count: int, **kwargs: Any) -> None:
        super().__init__(*args, initial_prefetch_count=_and_one_ready(initial_prefetch_count), **kwargs)

    @property
    def max_prefetch_count(self) -> int:
        """How many messages may be here without being acknowledged. Celery asks after it has lost a connection."""
        return _and_one_ready(super().max_prefetch_count)

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


def _and_one_ready(processes: int) -> int:
    """A message for each process, and one for whichever is free first.

    That one need not wait until the broker has heard of its last frame and sent another. It must not wait for one
    that hangs either, while another worker may be idle: so none is kept for a single process, and never more than one.
    """
    return processes + 1 if processes > 1 else processes
