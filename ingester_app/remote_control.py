"""Celery's remote control, restricted to looking: anybody who may publish on the broker can send a command."""

from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger
from celery.worker.consumer.control import Control
from celery.worker.pidbox import Pidbox

# The others can drop a frame without a letter (revoke, terminate) or stop the worker (shutdown, pool_shrink,
# cancel_consumer, rate_limit).
READING_COMMANDS = frozenset((
    "active", "active_queues", "clock", "disable_events", "dump_active", "dump_reserved", "dump_revoked",
    "dump_schedule", "dump_tasks", "enable_events", "heartbeat", "hello", "ping", "query_task", "registered", "report",
    "reserved", "revoked", "scheduled", "stats",
))  # fmt: skip
MAX_COMMAND = 64 * 1024  # bytes

logger = get_logger(__name__)


class ReadingPidbox(Pidbox):  # type: ignore[misc]  # Celery has no types
    """A mailbox that refuses every command which changes something, and drops what is not a command."""

    def __init__(self, c: Any) -> None:
        super().__init__(c)
        handlers = self.node.handlers
        self.node.handlers = {
            name: handler if name in READING_COMMANDS else _refuse(name) for name, handler in handlers.items()
        }

    def start(self, c: Any) -> None:
        """Listen to the raw messages, because kombu would decode each before it can be checked."""
        super().start(c)
        self.consumer.on_message = self._on_raw_message

    def _on_raw_message(self, message: Any) -> None:
        # An encoding such as zlib_codec would unpack megabytes to gigabytes.
        is_plain = message.content_type == "application/json" and not (message.headers or {}).get("compression")
        if not is_plain or len(message.body) > MAX_COMMAND:
            logger.warning("a message of remote control is dropped: it is not a command in JSON")
            return
        try:
            command = message.decode()
        except Exception as error:  # an error would end the worker
            logger.warning("a message of remote control is dropped: %s", type(error).__name__)
            return
        self.on_message(command, message)


class ReadingControl(Control):  # type: ignore[misc]  # Celery has no types
    """The worker's step that listens to remote control, with our mailbox."""

    def __init__(self, c: Any, **kwargs: Any) -> None:
        super().__init__(c, **kwargs)
        self.box = ReadingPidbox(c)
        self.start, self.stop, self.shutdown = self.box.start, self.box.stop, self.box.shutdown


def _refuse(name: str) -> Callable[..., dict[str, str]]:
    def refuse(*_: Any, **__: Any) -> dict[str, str]:
        """Answer as Celery's own commands do after an error."""
        logger.warning("remote control is refused: %s", name)
        return {"error": f"{name} is refused: this service is controlled by signals, not by messages"}

    return refuse
