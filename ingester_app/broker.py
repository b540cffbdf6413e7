"""The service's queues and exchanges, Celery's settings, and publishing: everything about brokers."""

import logging
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

from amqp.exceptions import AccessRefused, AMQPError, MessageNacked, NotAllowed, NotFound, PreconditionFailed
from amqp.spec import Basic
from celery import Celery
from celery.app.amqp import AMQP
from celery.schedules import crontab
from kombu import Exchange, Producer, Queue
from kombu.exceptions import KombuError, OperationalError

from ingester_app.amqp_frames import tolerant_frame_handler
from ingester_app.error_text import bounded
from ingester_app.schema import DeadLetter
from ingester_app.settings import ServiceSettings
from lco_ingester.broker_connection import Connection, connection_arguments
from lco_ingester.broker_tls import BrokerTlsError
from lco_ingester.broker_url import is_rabbitmq
from lco_ingester.exceptions import BrokerDeploymentError, BrokerUnavailableError
from lco_ingester.rabbitmq import BlockedError

INGEST_TASK = "ingest"
QUEUE_LENGTHS_TASK = "queue_lengths"
ARCHIVE_HOLDINGS_TASK = "archive_holdings"
TASKS = {INGEST_TASK: False, QUEUE_LENGTHS_TASK: True, ARCHIVE_HOLDINGS_TASK: True}
"""The tasks that a worker runs, each with whether it may expire: no frame may."""
PERIODIC_QUEUE = "periodic"
HEARTBEAT = 10  # seconds
CONFIRM_TIMEOUT = 30  # seconds
LONGEST_SHOWN = 255  # characters of a file's name in the log of Celery and in Flower
PROMPT_SECONDS = 2.0  # for a command that an operator waits for
REFUSED_PAUSE = 5  # seconds before we ask a broker again that refused us
# Without a limit a quorum queue of RabbitMQ 4 drops a message at its 20th return; -1 drops it at the first on 3.10.
NEVER = 1_000_000


BROKER_ERRORS = (OperationalError, AMQPError, MessageNacked, OSError)
"""What a publish raises if the broker did not take the message. Anything else is a fault of the message or of ours."""

Publish = Callable[[Producer], None]


class TooLargeError(Exception):
    """RabbitMQ takes no message of this size (`max_message_size`), whenever it is sent."""


logger = logging.getLogger(__name__)


def fits_queue(settings: ServiceSettings) -> Queue:
    """Our queue of the names of new files."""
    return Queue(
        settings.fits_queue,
        Exchange(settings.crawler_exchange_name, type="fanout", durable=True),
        durable=True,
        queue_arguments=_durable_arguments(settings.fits_broker.get_secret_value()),
    )


def ingest_queue(settings: ServiceSettings) -> Queue:
    """Celery's queue of frames. Its exchange is a topic exchange because native delayed delivery requires one."""
    arguments = None
    if is_rabbitmq(settings.broker_url.get_secret_value()):
        arguments = {
            "x-queue-type": "quorum",
            "x-delivery-limit": settings.delivery_limit,
            "x-dead-letter-exchange": settings.dead_letter_queue,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",  # at-least-once requires it
        }
    return _task_queue(settings.ingest_queue, arguments)


def periodic_queue(settings: ServiceSettings) -> Queue:
    """Celery's queue of the periodic tasks."""
    return _task_queue(PERIODIC_QUEUE, _durable_arguments(settings.broker_url.get_secret_value()))


def dead_letter_queue(settings: ServiceSettings) -> Queue:
    """The queue of the dead letters. Its exchange is a fanout because a letter of the broker keeps its routing key."""
    return Queue(
        settings.dead_letter_queue,
        Exchange(settings.dead_letter_queue, type="fanout", durable=True),
        durable=True,
        queue_arguments=_durable_arguments(settings.broker_url.get_secret_value()),
    )


def celery_queues(settings: ServiceSettings) -> tuple[Queue, ...]:
    """All our queues on Celery's broker. The dead letters come first: the queue of frames names their exchange."""
    return dead_letter_queue(settings), ingest_queue(settings), periodic_queue(settings)


def celery_settings(settings: ServiceSettings) -> dict[str, Any]:
    """Celery's settings, derived from ours (docs/design.md says why)."""
    url = settings.broker_url.get_secret_value()
    ingest = ingest_queue(settings)
    connection = _arguments(url, settings)
    return {
        "broker_url": connection["hostname"],
        "broker_transport_options": connection["transport_options"],
        "broker_use_ssl": connection["ssl"],
        "broker_heartbeat": HEARTBEAT,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,  # as after consumer_timeout
        "broker_connection_retry_on_startup": True,
        "broker_native_delayed_delivery_queue_type": "quorum",
        "control_queue_exclusive": False,
        "task_queues": [ingest, periodic_queue(settings)],
        "task_default_queue": ingest.name,
        "task_default_queue_type": "quorum" if is_rabbitmq(url) else "classic",
        "task_default_exchange": ingest.name,
        "task_default_exchange_type": "topic",
        "task_default_routing_key": ingest.name,
        "task_create_missing_queues": False,
        "task_routes": {
            INGEST_TASK: {"queue": ingest.name},
            QUEUE_LENGTHS_TASK: {"queue": PERIODIC_QUEUE},
            ARCHIVE_HOLDINGS_TASK: {"queue": PERIODIC_QUEUE},
        },
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_acks_on_failure_or_timeout": False,
        "task_acks_on_failure": False,
        "task_acks_on_timeout": False,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_soft_time_limit": settings.soft_time_limit,
        "task_time_limit": settings.hard_time_limit,
        "worker_consumer": "ingester_app.consumer:RejectingConsumer",
        "worker_detect_quorum_queues": True,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_soft_shutdown_timeout": settings.soft_shutdown_seconds,
        "worker_send_task_events": False,  # Flower switches them on
        "task_send_sent_event": False,
        "beat_schedule": {
            QUEUE_LENGTHS_TASK: {"task": QUEUE_LENGTHS_TASK, "schedule": 60.0, "options": {"expires": 60}},
            ARCHIVE_HOLDINGS_TASK: {
                "task": ARCHIVE_HOLDINGS_TASK,
                "schedule": crontab(minute="*/5"),
                "options": {"expires": 300},
            },
        },
    }


class ConnectionsOfOurs(AMQP):  # type: ignore[misc]
    """Celery opens the same connections as we do."""

    Connection = Connection


def create_app(settings: ServiceSettings, events: type | None = None) -> Celery:
    """A Celery app without tasks: it can publish tasks by name. `events` is a class in place of Celery's Events."""
    app = Celery("ingester", set_as_current=False, amqp=ConnectionsOfOurs, events=events)
    app.conf.update(celery_settings(settings))
    app.declared_queues = celery_queues(settings)
    return app


def fits_connection(settings: ServiceSettings, connect_timeout: float | None = None) -> Connection:
    """A connection, not yet open, to the broker of the FITS exchange."""
    url = settings.fits_broker.get_secret_value()
    return Connection(**_arguments(url, settings, connect_timeout), heartbeat=HEARTBEAT)


def celery_connection(settings: ServiceSettings, connect_timeout: float | None = None) -> Connection:
    """A connection, not yet open, to Celery's broker."""
    url = settings.broker_url.get_secret_value()
    return Connection(**_arguments(url, settings, connect_timeout), heartbeat=HEARTBEAT)


def declare_queues(connection: Connection, *queues: Queue) -> None:
    """Declare queues, with their exchanges and bindings.

    Raises BrokerDeploymentError if one is there with other arguments (RabbitMQ answers 406), or a connection error.
    """
    for queue in queues:
        try:
            with connection.channel() as channel:
                queue(channel).declare()
        except PreconditionFailed as error:
            raise BrokerDeploymentError(
                expected=f"queue or exchange {queue.name} to be new, or to have our arguments",
                found=str(error),
                hint="Stop what publishes to it, empty it with the old consumer, delete it and start again: "
                "docs/operating.md, 'Coming from another ingester'",
            ) from error


def prepare_celery_broker(settings: ServiceSettings) -> None:
    """Wait for Celery's broker and declare all its queues; warn if it is not RabbitMQ.

    Raises BrokerDeploymentError.
    """
    if not is_rabbitmq(settings.broker_url.get_secret_value()):
        logger.warning("this broker has no quorum queues and no confirms: a killed process may lose frames")
    with celery_connection(settings) as connection:
        wait_until_connected(connection)
        declare_queues(connection, *celery_queues(settings))


def wait_until_connected(connection: Connection, *, is_start: bool = True) -> None:
    """Connect, and try again until it succeeds.

    A login that is refused at the start is a mistake in the settings: raises BrokerDeploymentError. Later somebody has
    changed the broker, and may change it back.
    """

    def away(error: Exception, interval: float) -> None:
        level = logging.ERROR if isinstance(error, BrokerTlsError) else logging.WARNING
        logger.log(level, "no broker at %s, trying again in %d s: %s", connection.as_uri(), interval, error)

    while True:
        try:
            connection.ensure_connection(away, interval_start=1, interval_step=1, interval_max=5)
            return
        except (AMQPError, KombuError) as error:
            refused = _translated(error, connection.as_uri())
            if is_start and isinstance(refused, BrokerDeploymentError):
                raise refused from error
            logger.error("%s. Trying again in %d s", refused, REFUSED_PAUSE)
        time.sleep(REFUSED_PAUSE)


@contextmanager
def opened(connection: Connection) -> Iterator[Connection]:
    """An open connection for a command, which fails instead of waiting.

    Raises BrokerUnavailableError or BrokerDeploymentError, also for what the broker does in the block.
    """
    uri = connection.as_uri()
    try:
        with connection:
            yield connection.ensure_connection(max_retries=1, interval_start=0, timeout=PROMPT_SECONDS)
    except (AMQPError, KombuError, OSError) as error:
        raise _translated(error, uri) from error


def exit_on_signals() -> None:
    """End this process with exit code 0 at SIGTERM or SIGINT, until it sets handlers of its own.

    At once, because it has nothing in hand: Python drops a SystemExit that is raised in a finalizer.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))


def while_blocked(app: Celery, publish: Publish, stop_waiting: Callable[[], bool]) -> None:
    """Publish; while RabbitMQ blocks its publishers, try again each second. Raises BlockedError if told to stop.

    All with one producer: a connection that RabbitMQ blocks must stay open, because only it hears the end of the alarm.
    """
    with app.producer_or_acquire() as producer:
        while True:
            try:
                return publish(producer)
            except BlockedError:
                if stop_waiting():
                    raise
                time.sleep(1.0)


def is_blocked(connection: Connection, exchange: str = "") -> str:
    """Why RabbitMQ blocks publishers; empty if it does not.

    It says so only to a connection that publishes. So this publishes a message that no queue gets, on an exchange that
    is not a fanout. Raises a connection error.
    """
    nobody = f"ingester-health-{uuid.uuid4()}"
    try:
        with connection.Producer() as producer:
            producer.publish(b"?", exchange=exchange, routing_key=nobody, confirm_timeout=PROMPT_SECONDS)
    except BlockedError as error:
        return str(error)
    except (AccessRefused, NotFound):  # a user that may not write to this exchange; no worker has declared it yet
        return ""
    return ""


def _translated(error: Exception, uri: str) -> BrokerDeploymentError | BrokerUnavailableError:
    """The broker's error as ours."""
    tls = next((each for each in (error, error.__cause__) if isinstance(each, BrokerTlsError)), None)
    if tls is not None:
        return BrokerDeploymentError(str(tls))
    if isinstance(error, (AccessRefused, NotAllowed)):
        return BrokerDeploymentError(
            expected=f"a login at {uri}",
            found=str(error),
            hint="Check user, password and virtual host in FITS_BROKER and BROKER_URL, and the user's permissions",
        )
    return BrokerUnavailableError(
        expected=f"an answer from {uri}", found=str(error) or type(error).__name__, hint="Check that RabbitMQ runs"
    )


def dispatch(
    app: Celery,
    message: dict[str, Any],
    path: str,
    *,
    countdown: int | None = None,
    task_id: str | None = None,
    producer: Producer | None = None,
) -> None:
    """Publish a frame's message as an `ingest` task; returns when the broker has confirmed it.

    The publish is mandatory, because RabbitMQ confirms and drops a message for which no queue is bound. Raises
    TooLargeError, kombu's OperationalError or a connection error.

    The log and Flower show the basename, never the record.
    """
    try:
        app.send_task(
            INGEST_TASK,
            kwargs=message,
            argsrepr=bounded(PurePath(path).name, LONGEST_SHOWN),  # a header, which RabbitMQ takes only up to 128 kB
            kwargsrepr="{}",
            countdown=countdown,
            task_id=task_id,
            producer=producer,
            mandatory=True,
            confirm_timeout=CONFIRM_TIMEOUT,
        )
    except PreconditionFailed as error:
        if error.method_sig != Basic.Publish:  # a queue with other arguments
            raise
        raise TooLargeError(str(error)) from error


def send_letter(app: Celery, queue: Queue, letter: DeadLetter, producer: Producer | None = None) -> None:
    """Publish a dead letter; returns when the broker has confirmed it.

    Raises kombu's OperationalError or a connection error.
    """
    with app.producer_or_acquire(producer) as used:
        used.publish(
            letter.to_message(),
            exchange=queue.exchange,
            declare=[queue],
            routing_key="",
            serializer="json",
            delivery_mode="persistent",
            message_id=letter.id,
            mandatory=True,
            confirm_timeout=CONFIRM_TIMEOUT,
            retry=True,
            retry_policy={"max_retries": 1},
        )


def send_once(
    to: Producer | Any, body: Any, exchange: Exchange, *, seconds: float, retries: int = 0, **options: Any
) -> None:
    """Publish what need not arrive, by a producer or on a channel; wait `seconds` for the broker.

    Raises kombu's OperationalError or a connection error.
    """
    producer = to if isinstance(to, Producer) else Producer(to)
    producer.publish(
        body,
        exchange=exchange,
        declare=[exchange],
        confirm_timeout=seconds,
        retry=True,
        retry_policy={"max_retries": retries, "interval_start": 0},
        **options,
    )


def queue_state(connection: Connection, name: str) -> tuple[int, int]:
    """Messages that wait in a queue, and its consumers; (0, 0) if the queue does not exist.

    Raises a connection error.
    """
    try:
        with connection.channel() as channel:
            answer = channel.queue_declare(queue=name, passive=True)
            return int(answer.message_count), int(answer.consumer_count)
    except connection.channel_errors:
        return 0, 0


def queue_length(connection: Connection, name: str) -> int:
    """Messages that wait in a queue; 0 if the queue does not exist.

    Raises a connection error.
    """
    return queue_state(connection, name)[0]


def _arguments(url: str, settings: ServiceSettings, connect_timeout: float | None = None) -> dict[str, Any]:
    """The arguments of a connection that receives any message."""
    arguments = connection_arguments(url, settings.broker_tls, connect_timeout)
    if is_rabbitmq(url):
        arguments["transport_options"] = {**arguments["transport_options"], "frame_handler": tolerant_frame_handler}
    return arguments


def _task_queue(name: str, arguments: dict[str, Any] | None) -> Queue:
    return Queue(name, Exchange(name, type="topic", durable=True), routing_key=name, queue_arguments=arguments)


def _durable_arguments(url: str) -> dict[str, Any] | None:
    return {"x-queue-type": "quorum", "x-delivery-limit": NEVER} if is_rabbitmq(url) else None
