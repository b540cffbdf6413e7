"""The service as an operator runs it: listener and workers as processes, with separate queues for each test."""

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kombu import Exchange, Queue

from ingester_app.broker import (
    celery_connection,
    create_app,
    dead_letter_queue,
    fits_connection,
    ingest_queue,
    queue_length,
)
from ingester_app.dead_letter_queue import letters_in
from ingester_app.schema import DeadLetter
from ingester_app.settings import ServiceSettings
from lco_ingester.settings import load_settings
from tests.support.processes import Program, wait_until
from tests.support.servers import ArchiveServer, S3Server

ROOT = Path(__file__).resolve().parents[2]
INGESTER = (sys.executable, "-m", "ingester_app.cli")
LISTENER = (*INGESTER, "run", "listener")
WORKER = (*INGESTER, "run", "worker")
PERIODIC = (*INGESTER, "run", "periodic")
BEAT = (*INGESTER, "run", "beat")
FLOWER = (*INGESTER, "run", "flower")


def celery_worker(app: str) -> tuple[str, ...]:
    """The command of a worker of another app, as `celery` runs it."""
    return (sys.executable, "-m", "celery", "-A", app, "worker", "--without-gossip", "--without-mingle")


@dataclass
class Deployment:
    """One site: its settings, its processes, and a consumer of its processed exchange."""

    directory: Path
    variables: dict[str, str]
    settings: ServiceSettings
    programs: list[Program] = field(default_factory=list)
    announced: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def environment(self, **variables: str) -> dict[str, str]:
        """The environment of a process of this site."""
        known = {name.upper() for name in ServiceSettings.model_fields}
        inherited = {name: value for name, value in os.environ.items() if name not in known}
        return {**inherited, **self.variables, **variables}

    def start(self, *command: str, code: Path | str = ROOT, **variables: str) -> Program:
        """Start any program of the service in a process group of its own; `code` is the checkout that it runs."""
        log = self.directory / f"{len(self.programs)}.log"
        self.programs.append(Program.start(command, log, code, self.environment(**variables)))
        return self.programs[-1]

    def start_listener(self, code: Path | str = ROOT, **variables: str) -> Program:
        """A listener that is listening."""
        own = LISTENER if code == ROOT else (sys.executable, "listener.py")
        listener = self.start(*own, code=code, **variables)
        listener.wait_for("listening on queue")
        return listener

    def start_worker(self, concurrency: int = 2, name: str = "", code: Path | str = ROOT, **variables: str) -> Program:
        """A worker that is ready."""
        name = name or f"w{len(self.programs)}-{uuid.uuid4().hex[:6]}"
        # An earlier release has no `ingester run`.
        own = WORKER if code == ROOT else (*celery_worker("tasks"), "-Q", self.settings.ingest_queue)
        worker = self.start(*own, "-c", str(concurrency), "-n", f"{name}@%h", code=code, **variables)
        worker.wait_for(" ready.")
        return worker

    def publish(self, *bodies: Any, **properties: Any) -> None:
        """Publish bodies on the FITS exchange: paths as `{"path": …}`, anything else as it is."""
        exchange = Exchange(self.settings.crawler_exchange_name, type="fanout", durable=True)
        with fits_connection(self.settings) as connection:
            producer = connection.Producer()
            for body in bodies:
                content = {"path": str(body)} if isinstance(body, Path) else body
                producer.publish(content, exchange=exchange, declare=[exchange], routing_key="", **properties)

    def watch(self) -> None:
        """Bind a queue to the processed exchange, so that no announcement is missed from now on."""
        with fits_connection(self.settings) as connection:
            self._watch_queue()(connection.default_channel).declare()

    def take_announced(self) -> list[tuple[str, dict[str, Any]]]:
        """All that was announced so far: message id and record of each message."""
        with fits_connection(self.settings) as connection:
            queue = self._watch_queue()(connection.default_channel)
            while (message := queue.get(no_ack=True)) is not None:
                self.announced.append((message.properties["message_id"], message.payload))
        return self.announced

    def wait_for_announced(self, number: int, seconds: float = 30.0) -> list[tuple[str, dict[str, Any]]]:
        """Wait until `number` different frames were announced; a dead letter fails at once and shows its traceback."""

        def enough() -> list[tuple[str, dict[str, Any]]] | None:
            self.fail_on_letters()
            announced = self.take_announced()
            return announced if len({identity for identity, _ in announced}) >= number else None

        result: list[tuple[str, dict[str, Any]]] = wait_until(f"{number} processed messages", enough, seconds)
        return result

    def fail_on_letters(self) -> None:
        """Fail with the traceback of a dead letter, if there is one."""
        for letter in self.letters():
            raise AssertionError(f"unexpected dead letter {letter.reason} for {letter.path}\n{letter.traceback}")

    def letters(self) -> list[DeadLetter]:
        """The dead letters, which stay where they are."""
        with celery_connection(self.settings) as connection:
            return letters_in(connection, dead_letter_queue(self.settings))

    def wait_for_letters(self, number: int, seconds: float = 30.0) -> list[DeadLetter]:
        """Wait for that many dead letters."""
        result: list[DeadLetter] = wait_until(
            f"{number} dead letters",
            lambda: letters if len(letters := self.letters()) >= number else None,
            seconds,
        )
        return result

    def names_waiting(self) -> int:
        """How many names wait in our queue on the FITS exchange."""
        with fits_connection(self.settings) as connection:
            return queue_length(connection, self.settings.fits_queue)

    def frames_waiting(self) -> int:
        """How many frames wait in Celery's queue."""
        with celery_connection(self.settings) as connection:
            return queue_length(connection, self.settings.ingest_queue)

    def declare_ingest_queue(self) -> None:
        """Celery's queue, before a worker has declared it."""
        with celery_connection(self.settings) as connection:
            for queue in (dead_letter_queue(self.settings), ingest_queue(self.settings)):
                queue(connection.default_channel).declare()

    def app(self) -> Any:
        """A Celery app of this site, to publish with."""
        return create_app(self.settings)

    def _watch_queue(self) -> Queue:
        exchange = Exchange(self.settings.processed_exchange_name, type="fanout", durable=True)
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": 1000000}
        return Queue(f"demo_watch_{self.settings.processed_exchange_name}", exchange, queue_arguments=arguments)


@contextmanager
def deployed(
    directory: Path, broker: str, archive: ArchiveServer, store: S3Server, **variables: str
) -> Iterator[Deployment]:
    """A site on these servers, with exchanges and queues of its own; its processes end with the block."""
    mark = uuid.uuid4().hex[:8]
    known = {
        "API_ROOT": archive.url,
        "AUTH_TOKEN": archive.token,
        "BUCKET": store.bucket,
        "AWS_ENDPOINT_URL_S3": store.url,
        "AWS_ACCESS_KEY_ID": "access-key-for-tests",
        "AWS_SECRET_ACCESS_KEY": "secret-key-for-tests",
        "AWS_DEFAULT_REGION": "us-east-1",
        "FITS_BROKER": broker,
        "BROKER_URL": broker,
        "CRAWLER_EXCHANGE_NAME": f"fits_files_{mark}",
        "FITS_QUEUE": f"archive_ingest_{mark}",
        "PROCESSED_EXCHANGE_NAME": f"archived_fits_{mark}",
        "INGEST_QUEUE": f"ingest_{mark}",
        "DEAD_LETTER_QUEUE": f"dead_letters_{mark}",
        "RETRY_SERVER_FIRST": "1",
        "RETRY_SERVER_LONGEST": "2",
        "RETRY_FILE_FIRST": "1",
        "RETRY_FILE_LONGEST": "1",
        "RETRY_FILE_PATIENCE": "3",
        "RETRY_DEPLOYMENT_FIRST": "1",
        "RETRY_DEPLOYMENT_LONGEST": "2",
        **variables,
    }
    settings = load_settings(ServiceSettings, **{name.lower(): value for name, value in known.items()})
    directory.mkdir(parents=True, exist_ok=True)
    deployment = Deployment(directory, known, settings)
    deployment.watch()
    try:
        yield deployment
    finally:
        for program in deployment.programs:
            program.kill()
