"""A service that runs: listener and worker of a contender, with exchanges and queues of its own."""

import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from kombu import Connection, Exchange

from benchmarks.environments import CACHE, ROOT, python_of
from benchmarks.external_services import ExternalServices
from tests.support.processes import Program

START_SECONDS = 60.0
CONFIRM_SECONDS = 30.0
WORKER = ("-m", "celery", "-A", "{app}", "worker", "--without-gossip", "--without-mingle", "-l", "INFO")


@dataclass(frozen=True)
class Service:
    """A contender's service: whose environment, where its programs lie, and what they are called."""

    name: str
    runner: str
    directory: Path
    app: str
    listener: str
    variables: Mapping[str, str] = field(default_factory=dict)


OURS = Service("ours", "ours", ROOT, "tasks", "listener.py")
LCO = Service("lco-ingester 2.1.15", "lco", ROOT / "benchmarks" / "contenders", "lco_service", "lco_service.py")


@dataclass
class Deployment:
    """Its process ids by role, and how to hand it names."""

    broker: str
    names: dict[str, str]
    pids: dict[str, int]

    @property
    def processed(self) -> Exchange:
        """Where it announces what it has archived."""
        return Exchange(self.names["PROCESSED_EXCHANGE_NAME"], type="fanout", durable=True)

    def publish(self, paths: list[Path]) -> None:
        """Publish names on its FITS exchange, and wait for all confirms: without them some names were lost once."""
        exchange = Exchange(self.names["CRAWLER_EXCHANGE_NAME"], type="fanout", durable=True)
        with Connection(self.broker) as connection, connection.channel() as channel:
            waiting = set(range(1, len(paths) + 1))
            channel.events["basic_ack"].add(lambda tag, multiple: _confirm(waiting, tag, multiple))
            channel.confirm_select()
            producer = connection.Producer(channel, exchange=exchange, auto_declare=True)
            for path in paths:
                producer.publish({"path": str(path)}, routing_key="")
            while waiting:
                connection.drain_events(timeout=CONFIRM_SECONDS)


@contextmanager
def deployed(service: Service, workers: int, broker: str, external: ExternalServices) -> Iterator[Deployment]:
    """The service with `workers` worker processes, ready; it ends with the block, and its queues go with it."""
    mark = uuid.uuid4().hex[:8]
    names = {
        "CRAWLER_EXCHANGE_NAME": f"fits_files_{mark}",
        "FITS_QUEUE": f"archive_ingest_{mark}",
        "PROCESSED_EXCHANGE_NAME": f"archived_fits_{mark}",
        "INGEST_QUEUE": f"ingest_{mark}",
        "DEAD_LETTER_QUEUE": f"dead_letters_{mark}",
    }
    environment = external.environment(
        POSTPROCESS_FILES="True", FITS_BROKER=broker, BROKER_URL=broker, **names, **service.variables
    )
    python = str(python_of(service.runner))
    worker = [word.format(app=service.app) for word in WORKER]
    commands = {
        "listener": [python, service.listener],
        "worker": [python, *worker, "-Q", names["INGEST_QUEUE"], "-c", str(workers), "-n", f"{mark}@%h"],
    }
    ready = {"listener": "listening on queue", "worker": " ready."}
    programs: dict[str, Program] = {}
    try:
        for role, command in commands.items():
            log = CACHE / "logs" / f"{mark}-{role}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            programs[role] = Program.start(command, log, service.directory, environment)
            programs[role].wait_for(ready[role], START_SECONDS)
        yield Deployment(broker, names, {role: program.pid for role, program in programs.items()})
    finally:
        for program in programs.values():
            with suppress(subprocess.TimeoutExpired):  # then it was killed
                program.end()
        _forget(broker, names)


def _confirm(waiting: set[int], tag: int, multiple: bool) -> None:
    """What RabbitMQ confirms: one message, or all up to it (RabbitMQ documentation, "Publisher Confirms")."""
    waiting.difference_update([number for number in waiting if number <= tag] if multiple else [tag])


def _forget(broker: str, names: Mapping[str, str]) -> None:
    with Connection(broker) as connection:
        for name in ("FITS_QUEUE", "INGEST_QUEUE", "DEAD_LETTER_QUEUE"):
            with connection.channel() as channel:
                channel.queue_delete(names[name])
