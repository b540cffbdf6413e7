"""The Celery app with its tasks: what a worker runs."""

import logging
import random
import socket
import sys
import time
from multiprocessing.sharedctypes import RawValue
from typing import Any

from celery import Celery, Task, signals
from celery.exceptions import Reject

from ingester_app import logs, periodic
from ingester_app.breaker import guarded
from ingester_app.broker import (
    ARCHIVE_HOLDINGS_TASK,
    INGEST_TASK,
    QUEUE_LENGTHS_TASK,
    Publish,
    create_app,
    dead_letter_queue,
    dispatch,
    prepare_celery_broker,
    send_letter,
    while_blocked,
)
from ingester_app.error_text import text_of
from ingester_app.events import EventsOfOurs
from ingester_app.ingest import TaskContext, settings_fingerprint
from ingester_app.ingest import ingest as ingest_frame
from ingester_app.retry import retry_policies
from ingester_app.schema import FrameMessage, UnreadableMessageError
from ingester_app.settings import ServiceSettings
from lco_ingester.exceptions import BrokerDeploymentError, FailureKind
from lco_ingester.file.checks import CheckPolicy
from lco_ingester.file.datafile import PathFile
from lco_ingester.frame import path_of
from lco_ingester.record.rules import RecordRules
from lco_ingester.redaction import Redactor
from lco_ingester.services import Services, close_services, open_services

PUT_BACK_AFTER = 5.0  # seconds; without this pause twenty returns would pass in 10 ms

CLOCKS_DIFFER = 600.0  # seconds between the clocks of two hosts, at most
NEWER_AFTER = 30  # seconds until a message of a later release is delivered again, perhaps to a worker of that release

logger = logging.getLogger(__name__)


def create_worker_app(settings: ServiceSettings) -> Celery:
    """The Celery app of `broker.create_app` with the tasks and the signal handlers of a worker."""
    app = create_app(settings, events=EventsOfOurs)
    redact = Redactor(settings.secrets())
    # Shared with the children by fork. Without a lock, which a killed child could hold for ever.
    is_stopping = RawValue("b", 0)
    _add_tasks(app, settings, redact, is_stopping)
    _connect_signals(settings, redact, is_stopping)
    return app


def _add_tasks(app: Celery, settings: ServiceSettings, redact: Redactor, is_stopping: Any) -> None:
    letters = dead_letter_queue(settings)
    rules, checks, policies = RecordRules.of(settings), CheckPolicy.of(settings), retry_policies(settings)
    fingerprint = settings_fingerprint(settings)

    def services() -> Services:
        """This process's services, each behind its circuit breaker."""
        return guarded(open_services(settings, redact), settings.breaker_failures, settings.breaker_seconds)

    def publish(send: Publish) -> None:
        """A frame in hand waits while RabbitMQ blocks publishers, because each return would count as a delivery."""
        while_blocked(app, send, lambda: bool(is_stopping.value))

    def context_of(task: Task) -> TaskContext:
        return TaskContext(
            services=services,
            rules=rules,
            checks=checks,
            file_at=lambda path: PathFile(path, settings.data_roots),
            retry_policies=policies,
            retry=lambda again, seconds: publish(
                lambda producer: dispatch(
                    app,
                    again.to_message(),
                    path_of(again.frame),
                    countdown=seconds,
                    task_id=task.request.id,
                    producer=producer,
                )
            ),
            bury=lambda letter: publish(lambda producer: send_letter(app, letters, letter, producer)),
            worker=task.request.hostname or socket.gethostname(),
            jitter=random.random,
            settings_fingerprint=fingerprint,
            redact=redact,
        )

    @app.task(name=INGEST_TASK, bind=True)
    def ingest(task: Task, /, **message: Any) -> str:
        """One frame: the steps that remain, a retry, or a dead letter."""
        # After an error Celery rejects the message, and RabbitMQ dead-letters it.
        frame_message = _read(message, policies[FailureKind.DEPLOYMENT].total)
        redelivered = bool((task.request.delivery_info or {}).get("redelivered"))
        number = task.request.id
        with logs.bound(task_id=number):
            try:
                if frame_message is not None:
                    return ingest_frame(frame_message, redelivered, context_of(task))
                publish(lambda to: dispatch(app, message, "", countdown=NEWER_AFTER, task_id=number, producer=to))
                return "left to a worker of a later release"
            except Exception as error:
                time.sleep(PUT_BACK_AFTER)
                raise Reject(redact(text_of(error)), requeue=True) from error

    @app.task(name=QUEUE_LENGTHS_TASK)
    def queue_lengths() -> dict[str, int]:
        """Each minute: how many names, frames and dead letters wait."""
        return periodic.send_queue_lengths(settings, services())

    @app.task(name=ARCHIVE_HOLDINGS_TASK)
    def archive_holdings() -> int:
        """Each five minutes: how many frames the archive holds, and how fast it answers."""
        return periodic.send_archive_holdings(services())


def _read(message: dict[str, Any], longest: float) -> FrameMessage | None:
    """The message; None if a worker of a later release must read it, for at most `longest` seconds.

    Raises UnreadableMessageError.
    """
    try:
        return FrameMessage.from_message(message)
    except UnreadableMessageError as error:
        if not error.is_newer or _has_waited(message, longest):
            raise
        logger.warning("left to a worker of a later release: %s", error)
        return None


def _has_waited(message: dict[str, Any], seconds: float) -> bool:
    """Whether a message is older than that, or does not say how old it is. A clock may be some minutes ahead."""
    first_time = message.get("first_time")
    return not isinstance(first_time, (int, float)) or not -CLOCKS_DIFFER <= time.time() - first_time <= seconds


def _connect_signals(settings: ServiceSettings, redact: Redactor, is_stopping: Any) -> None:
    @signals.setup_logging.connect(weak=False)
    def configure_logging(**_: Any) -> None:
        """Our logs in place of Celery's."""
        logs.configure(settings.log_level, settings.log_format, redact)

    @signals.worker_init.connect(weak=False)
    def prepare(**_: Any) -> None:
        """Declare every queue before the first message.

        Delays are bound to all queues, and a reject needs the dead letters' queue.
        """
        try:
            prepare_celery_broker(settings)
        except BrokerDeploymentError as error:
            sys.exit(redact(str(error)))

    @signals.worker_shutting_down.connect(weak=False)
    def stop(**_: Any) -> None:
        """Tell the children that they must not wait any longer."""
        is_stopping.value = 1

    @signals.worker_process_shutdown.connect(weak=False)
    def close(**_: Any) -> None:
        """Send the last metrics."""
        close_services()
