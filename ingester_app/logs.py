"""Logging: one line for each event, as JSON for machines or as text for people."""

import logging
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

import structlog

# At INFO they repeat what our own events say.
CHATTY = ("amqp", "botocore", "boto3", "celery.app.trace", "celery.worker.strategy", "kombu", "s3transfer", "urllib3")


def configure(level: str, log_format: str, redact: Callable[[str], str]) -> None:
    """Send the events of every logger to stderr, with the fields that `bound` has added.

    `redact` hides secrets in all texts, also in tracebacks and in what other libraries log.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        lambda _, __, event: {name: _redacted(value, redact) for name, value in event.items()},
    ]
    if log_format == "json":
        last += [structlog.processors.JSONRenderer()]
    else:
        plain = structlog.dev.plain_traceback  # the other formatters may show the values of variables
        last += [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    hide_in_uncaught(redact)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def hide_in_uncaught(redact: Callable[[str], str]) -> None:
    """Let Python print an error that ends this process without secrets."""

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        print(redact("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)

    sys.excepthook = report


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """A value of an event without secrets; an object as the text that the log would show."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {str(key): _redacted(item, redact) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(item, redact) for item in value]
    return redact(value if isinstance(value, str) else repr(value))


bound = structlog.contextvars.bound_contextvars
