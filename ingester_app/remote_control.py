"""Celery's remote control, restricted to looking: anybody who may publish on the broker can send a command."""

from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger
from celery.worker.consumer.control import Control
from celery.worker.pidbox import Pidbox

from ingester_app.broker import HEARTBEAT, send_once
from lco_ingester.rabbitmq import BlockedError

# The others can drop a frame without a letter (revoke, terminate, hello) or stop the worker (shutdown, pool_shrink,
# cancel_consumer, rate_limit).
READING_COMMANDS = frozenset((
    "active", "active_queues", "clock", "disable_events", "dump_active", "dump_reserved", "dump_revoked",
    "dump_schedule", "dump_tasks", "enable_events", "heartbeat", "ping", "query_task", "registered", "report",
    "reserved", "revoked", "scheduled", "stats",
))  # fmt: skip
MAX_COMMAND = 64 * 1024  # bytes
_FIELDS = {"method": str, "arguments": dict, "destination": list, "reply_to": dict, "ticket": str}

logger = get_logger(__name__)


class NotACommandError(ValueError):
    """A message that no command of Celery's sends."""


class ReadingPidbox(Pidbox):  # type: ignore[misc]  # Celery has no types
    """A mailbox that refuses every command which changes something, and drops what is not a command."""

    def __init__(self, c: Any) -> None:
        super().__init__(c)
        handlers = self.node.handlers
        self.node.handlers = {
            name: handler if name in READING_COMMANDS else _refuse(name) for name, handler in handlers.items()
        }
        self.node.reply = self._answer

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
            command = _checked(message.decode(), self.node.mailbox.reply_exchange.name)
        except Exception as error:  # an error would end the worker
            why = error if isinstance(error, NotACommandError) else type(error).__name__
            logger.warning("a message of remote control is dropped: %s", why)
            return
        self._obey(command)

    def _obey(self, command: dict[str, Any]) -> None:
        try:
            self.node.handle_message(command)
        except BlockedError as error:
            logger.warning("an answer of remote control is not sent: %s", error)
        except self.c.connection_errors:  # the worker connects again
            raise
        except Exception as error:
            logger.warning("an answer of remote control is not sent: %s", error)
            self.reset()  # the broker may have closed the channel

    def _answer(self, data: Any, exchange: str, routing_key: str, ticket: Any, **_: Any) -> None:
        """Celery would try for ever. Meanwhile the worker would do nothing else, and not end either."""
        replies = self.node.mailbox.reply_exchange
        headers = {"ticket": ticket}
        send_once(self.node.channel, data, replies, seconds=HEARTBEAT, routing_key=routing_key, headers=headers)


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


def _checked(command: Any, reply_exchange: str) -> dict[str, Any]:
    """What a worker needs of a command. Raises NotACommandError.

    Not the pattern of workers' names, which may be a regular expression that takes hours. And an answer goes only
    where senders of commands wait for it: otherwise the worker would write to any queue for anybody.
    """
    if not isinstance(command, dict) or command.get("pattern"):
        raise NotACommandError("it has a pattern, or it is no object")
    fields = {name: command[name] for name in _FIELDS if command.get(name) is not None}
    wrong = [name for name, value in fields.items() if not isinstance(value, _FIELDS[name])]
    if wrong or "method" not in fields:
        raise NotACommandError(f"wrong or missing: {', '.join(wrong) or 'method'}")
    reply_to = fields.get("reply_to")
    if reply_to is None:
        return fields
    if reply_to.get("exchange") != reply_exchange or not isinstance(reply_to.get("routing_key"), str):
        raise NotACommandError(f"its answer should go to another exchange than {reply_exchange}")
    return fields
