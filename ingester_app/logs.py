"""Logging: one line for each event, as JSON for machines or as text for people."""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from textwrap import indent
from typing import Any

import structlog

from lco_ingester.printable import printable

# At INFO they repeat what our own events say.
CHATTY = ("amqp", "botocore", "boto3", "celery.app.trace", "celery.worker.strategy", "kombu", "s3transfer", "urllib3")


def configure(level: str, log_format: str) -> None:
    """Send the events of every logger to stderr, with the fields that `bound` has added."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if log_format == "json":
        last += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        last += [structlog.processors.format_exc_info, _printable, renderer]
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
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


bound = structlog.contextvars.bound_contextvars
