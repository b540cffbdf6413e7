"""Logging: one line for each event, as JSON for machines or as text for people."""

import logging
import sys
from contextlib import suppress
from typing import Any

import structlog

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
        last += [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
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


bound = structlog.contextvars.bound_contextvars
