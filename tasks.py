"""Door: the Celery app and its tasks. Run with `celery -A tasks worker -Q ingest`."""

import logging
import random
import socket
import sys
import time
from typing import Any

from celery import Celery, Task, signals
from celery.exceptions import Reject

import celeryconfig
from ingester_app import logs, periodic
from ingester_app.breaker import guarded
from ingester_app.broker import (
    ARCHIVE_HOLDINGS_TASK,
    INGEST_TASK,
    QUEUE_LENGTHS_TASK,
    dead_letter_queue,
    dispatch,
    prepare_celery_broker,
    send_letter,
)
from ingester_app.ingest import TaskContext, settings_fingerprint
from ingester_app.ingest import ingest as ingest_frame
from ingester_app.retry import retry_policies
from ingester_app.schema import FrameMessage, UnreadableMessageError
from lco_ingester.exceptions import BrokerDeploymentError
from lco_ingester.file.checks import CheckPolicy
from lco_ingester.file.datafile import PathFile
from lco_ingester.frame import path_of
from lco_ingester.record.rules import RecordRules
from lco_ingester.services import Services, close_services, open_services

PUT_BACK_AFTER = 5.0  # seconds; at once, twenty returns would pass in 10 ms

logger = logging.getLogger(__name__)
settings = celeryconfig.settings
app = Celery("ingester", set_as_current=False, config_source="celeryconfig")
letters = dead_letter_queue(settings)
rules, checks = RecordRules.of(settings), CheckPolicy.of(settings)
fingerprint = settings_fingerprint(settings)


def services() -> Services:
    """This process's services, each behind its circuit breaker."""
    return guarded(open_services(settings), settings.breaker_failures, settings.breaker_seconds)


@app.task(name=INGEST_TASK, bind=True)
def ingest(task: Task, **message: Any) -> str:
    """One frame: the steps that remain, a retry, or a dead letter."""
    try:
        frame_message = FrameMessage.from_message(message)
    except UnreadableMessageError as error:
        if not error.is_newer:
            raise
        logger.warning("a message of a later release is left to a worker of that release: %s", error)
        time.sleep(PUT_BACK_AFTER)
        raise Reject(error, requeue=True) from error
    context = TaskContext(
        services=services,
        rules=rules,
        checks=checks,
        file_at=lambda path: PathFile(path, settings.data_roots),
        retry_policies=retry_policies(settings),
        retry=lambda again, seconds: dispatch(
            app, again.to_message(), path_of(again.frame), countdown=seconds, task_id=task.request.id
        ),
        bury=lambda letter: send_letter(app, letters, letter),
        worker=task.request.hostname or socket.gethostname(),
        jitter=random.random,
        settings_fingerprint=fingerprint,
    )
    redelivered = bool((task.request.delivery_info or {}).get("redelivered"))
    with logs.bound(task_id=task.request.id):
        try:
            return ingest_frame(frame_message, redelivered, context)
        except Exception as error:
            time.sleep(PUT_BACK_AFTER)
            raise Reject(error, requeue=True) from error


@app.task(name=QUEUE_LENGTHS_TASK)
def queue_lengths() -> dict[str, int]:
    """Each minute: how many names, frames and dead letters wait."""
    return periodic.send_queue_lengths(settings, services())


@app.task(name=ARCHIVE_HOLDINGS_TASK)
def archive_holdings() -> int:
    """Each five minutes: how many frames the archive holds, and how fast it answers."""
    return periodic.send_archive_holdings(services())


@signals.setup_logging.connect
def configure_logging(**_: Any) -> None:
    """Our logs in place of Celery's."""
    logs.configure(settings.log_level, settings.log_format)


@signals.worker_init.connect
def prepare(**_: Any) -> None:
    """Declare every queue before the first message: delays are bound to all, and a reject needs the dead letters'."""
    try:
        prepare_celery_broker(settings)
    except BrokerDeploymentError as error:
        sys.exit(str(error))


@signals.worker_process_shutdown.connect
def close(**_: Any) -> None:
    """Let the last metrics leave."""
    close_services()
