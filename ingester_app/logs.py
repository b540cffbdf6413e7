"""Logging: one line for each event, as JSON for machines or as text for people."""

import logging
import sys
import traceback
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from textwrap import indent
from types import TracebackType
from typing import Any

import structlog

from lco_ingester.printable import printable

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
        last += [_printable, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    hide_in_uncaught(redact)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def report(logger: logging.Logger, level: int, event: str, **fields: object) -> None:
    """Log what is settled already. Never raises: otherwise a message would return although it is settled."""
    with suppress(Exception):
        logger.log(level, event, extra=fields)


def _printable(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape what a terminal would obey. An event is one line; its traceback is indented, to look like no event."""
    for name, value in event.items():
        if name in ("exception", "stack"):
            event[name] = indent(printable(str(value), keep="\n\t"), "    ")
        elif not isinstance(value, int | float):
            event[name] = printable(value if isinstance(value, str) else repr(value))
    return event


def hide_in_uncaught(redact: Callable[[str], str]) -> None:
    """Let Python print an error that ends this process without secrets."""

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = redact("".join(traceback.format_exception(kind, error, trace)))
        print(printable(text, keep="\n\t"), end="", file=sys.stderr)

    sys.excepthook = show


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
