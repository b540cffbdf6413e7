"""The real tasks, with one log line for each run of a task: `celery -A tests.faults.observed_tasks worker`."""

import logging
from pathlib import PurePath
from typing import Any

from celery import Task, signals

from ingester_app.broker import INGEST_TASK
from ingester_app.schema import FrameMessage
from lco_ingester.frame import path_of
from tasks import app

__all__ = ["app"]

logger = logging.getLogger(__name__)


@signals.task_prerun.connect(sender=app.tasks[INGEST_TASK])
def log_run(task_id: str, task: Task, kwargs: dict[str, Any], **_: Any) -> None:
    """Log which frame's message runs, its state, and whether it was delivered before."""
    message = FrameMessage.from_message(kwargs)
    logger.info(
        "run begins",
        extra={
            "frame": PurePath(path_of(message.frame)).name,
            "state": type(message.frame).__name__,
            "attempts": message.attempts,
            "redelivered": bool((task.request.delivery_info or {}).get("redelivered")),
            "task_id": task_id,
        },
    )
