"""RabbitMQ blocks publishers, refuses us, or is silent: everything waits, says why, can be stopped, and goes on."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from amqp.exceptions import ChannelError, MessageNacked

from ingester_app.broker import celery_connection, create_app
from ingester_app.health import findings
from ingester_app.tasks import create_worker_app
from lco_ingester import rabbitmq
from lco_ingester.broker_connection import Connection, connection_arguments
from lco_ingester.broker_tls import BrokerTls
from lco_ingester.services import open_services
from tests.support.ports import free_port
from tests.support.processes import Program, wait_until
from tests.support.rabbitmq import RabbitNode, running_rabbitmq
from tests.support.servers import ArchiveServer, S3Server
from tests.support.service import INGESTER, LISTENER, PERIODIC, ROOT, WORKER, Deployment, deployed

BEAT = (*INGESTER, "run", "beat")
FLOWER = (*INGESTER, "run", "flower")
BLOCKED = "blocks publishers: low on"
VHOST = "/ingester"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A node that these tests alone use."""
    with running_rabbitmq(tmp_path_factory.mktemp("broker"), "waits") as private:
        yield private


@pytest.fixture
def site(tmp_path: Path, node: RabbitNode, archive: ArchiveServer, store: S3Server) -> Iterator[Deployment]:
    with deployed(tmp_path / "site", node.url, archive, store) as deployment:
        yield deployment


def test_names_and_frames_wait_while_rabbitmq_blocks_and_are_archived_once(
    site: Deployment, node: RabbitNode, good: list[Path], archive: ArchiveServer
) -> None:
    """Meanwhile RabbitMQ closes the channels on which names and frames wait: consumer_timeout is three seconds here."""
    node.control("eval", "application:set_env(rabbit, consumer_timeout, 3000).")
    node.control("eval", "application:set_env(rabbit, channel_tick_interval, 1000).")
    listener = site.start_listener()
    site.publish(*good[:2])
    wait_until("two frames", lambda: site.frames_waiting() == 2)
    assert listener.end() == 0
    site.publish(*good[2:4])
    with node.memory_alarm():
        first = [site.start(*LISTENER), site.start(*WORKER)]
        for program in first:
            program.wait_for(BLOCKED)
        for program in first:
            program.wait_for("PRECONDITION_FAILED", 20)
        assert [program.process.poll() for program in first] == [None, None]
        _expect_blocked_health(site)
        assert first[0].logged().count(BLOCKED) == 1
        assert "Traceback" not in first[0].logged()
        assert [program.end(seconds=25) for program in first] == [0, 0]
        second = [site.start(*LISTENER), site.start(*WORKER)]
        for program in second:
            program.wait_for(BLOCKED)
    site.wait_for_announced(4)
    for program in second:
        program.wait_for("takes messages again")
    wait_until("no frame", lambda: site.names_waiting() + site.frames_waiting() == 0)
    assert [len(frame["version_set"]) for frame in archive.frames()] == [1, 1, 1, 1]
    site.fail_on_letters()


def _expect_blocked_health(site: Deployment) -> None:
    start = time.monotonic()
    ended = _command(site, "health")
    assert time.monotonic() - start < 12, "5 s for the answers, the rest for imports"
    assert ended.returncode == 1
    lines = {line.split()[1]: line for line in ended.stdout.splitlines()}
    for who in ("FITS", "Celery", "workers"):
        assert lines[who].startswith("BAD")
        assert BLOCKED in lines[who]
    assert lines["Archive"].startswith("ok")


def test_every_role_ends_at_one_signal_while_rabbitmq_blocks(site: Deployment, node: RabbitNode) -> None:
    programs = _all_roles(site)
    programs["listener"].wait_for("listening on queue")
    for name in ("worker", "periodic"):
        programs[name].wait_for(" ready.")
    programs["flower"].wait_for("Visit me")
    with node.disk_alarm():
        assert "low on disk" in _command(site, "health").stdout  # its ping lets the workers publish, too
        _expect_end(programs, signal.SIGTERM, 10)


@contextmanager
def _silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def _closed_port() -> Iterator[int]:
    yield free_port()


@pytest.mark.parametrize(("port", "number"), [(_closed_port, signal.SIGTERM), (_silent_port, signal.SIGINT)])
def test_a_process_that_waits_for_its_broker_ends_at_once(
    site: Deployment, port: Callable[[], AbstractContextManager[int]], number: signal.Signals
) -> None:
    with port() as at:
        url = f"amqp://guest:guest@127.0.0.1:{at}//"
        programs = _all_roles(site, BROKER_URL=url, FITS_BROKER=url)
        for program in programs.values():
            wait_until("its handler of signals", partial(_catches, program))
        if number is signal.SIGTERM:
            programs["listener"].wait_for("no broker at")
            programs["worker"].wait_for("no broker at")
        _expect_end(programs, number, 2)


def _catches(program: Program) -> bool:
    """Whether the process has set its own handler for SIGTERM."""
    status = Path(f"/proc/{program.pid}/status").read_text()
    [mask] = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(mask >> (signal.SIGTERM - 1) & 1)


def _all_roles(site: Deployment, **variables: str) -> dict[str, Program]:
    commands = {
        "listener": LISTENER,
        "worker": WORKER,
        "periodic": PERIODIC,
        "beat": BEAT,
        "flower": (*FLOWER, "--port", str(free_port())),
    }
    return {name: site.start(*command, **variables) for name, command in commands.items()}


def _expect_end(programs: dict[str, Program], number: signal.Signals, seconds: float) -> None:
    """Each ends with exit code 0 in time."""
    took = {}
    for name, program in programs.items():
        start = time.monotonic()
        program.process.send_signal(number)
        try:
            code: int | None = program.process.wait(20)
        except subprocess.TimeoutExpired:
            code = None
        took[name] = code, time.monotonic() - start
    assert all(code == 0 and after < seconds for code, after in took.values()), took


def test_a_listener_and_a_worker_go_on_when_what_was_taken_from_them_is_back(
    site: Deployment, node: RabbitNode, good: list[Path]
) -> None:
    _give_back(node)
    url = f"amqp://ingester:first@127.0.0.1:{node.port}/{quote(VHOST, safe='')}"
    site.variables.update(BROKER_URL=url, FITS_BROKER=url)
    admin = f"amqp://guest:guest@127.0.0.1:{node.port}/{quote(VHOST, safe='')}"
    site.settings = site.settings.model_copy(
        update={name: type(site.settings.broker_url)(admin) for name in ("broker_url", "fits_broker")}
    )
    site.watch()
    listener, worker = site.start_listener(), site.start_worker(concurrency=1)
    for number, what in enumerate(("user", "permissions", "virtual host"), start=1):
        _take(node, what)
        for program in (listener, worker):
            wait_until(f"{what}: a line", partial(_has_logged, program, "rying again in 5 s", number), 15)
        _give_back(node)
        site.watch()
        wait_until(f"{what}: listening", partial(_has_logged, listener, "listening on", number + 1), 15)
        site.publish(good[number])
        site.wait_for_announced(number)
    for queue in (site.settings.fits_queue, site.settings.ingest_queue):
        node.control("delete_queue", "-p", VHOST, queue)
    wait_until("listening again", partial(_has_logged, listener, "listening on", 5), 15)
    site.publish(good[4])
    site.wait_for_announced(4)
    assert [program.process.poll() for program in (listener, worker)] == [None, None]


def _has_logged(program: Program, text: str, times: int) -> bool:
    return program.logged().count(text) >= times


def _take(node: RabbitNode, what: str) -> None:
    match what:
        case "user":
            node.control("delete_user", "ingester")
        case "permissions":
            node.control("set_permissions", "-p", VHOST, "ingester", "^$", "^$", "^$")
        case "virtual host":  # its connections are closed with it
            node.control("delete_vhost", VHOST)
            return
    node.control("close_all_connections", "--vhost", VHOST, "test")


def _give_back(node: RabbitNode) -> None:
    """User, virtual host and permissions; what exists stays as it is."""
    for command in (("add_user", "ingester", "first"), ("add_vhost", VHOST)):
        with suppress(RuntimeError):
            node.control(*command)
    for user in ("guest", "ingester"):
        node.control("set_permissions", "-p", VHOST, user, ".*", ".*", ".*")


@contextmanager
def _connected(node: RabbitNode) -> Iterator[tuple[Connection, Any]]:
    """A connection as the service makes them, and a channel with a queue of its own, `channel.own`."""
    with Connection(**connection_arguments(node.url, BrokerTls())) as connection:
        channel = connection.channel()
        channel.own = channel.queue_declare(exclusive=True).queue
        yield connection, channel


def _publish(channel: Any, routing_key: str = "", **options: Any) -> None:
    channel.basic_publish(channel.prepare_message(b"body"), routing_key=routing_key or channel.own, **options)


@pytest.mark.parametrize(
    "call",
    [
        lambda connection, channel: connection.channel(),
        lambda connection, channel: channel.queue_declare(channel.own, passive=True),
        lambda connection, channel: channel.basic_qos(0, 1, False),
        lambda connection, channel: _publish(channel),
        lambda connection, channel: channel.close(),
        lambda connection, channel: connection.connection.close(),
    ],
    ids=["open a channel", "declare", "qos", "publish", "close a channel", "close"],
)
def test_every_call_to_a_frozen_node_ends(
    node: RabbitNode, monkeypatch: pytest.MonkeyPatch, call: Callable[[Connection, Any], object]
) -> None:
    monkeypatch.setattr(rabbitmq, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(rabbitmq, "CLOSE_SECONDS", 0.5)
    with _connected(node) as (connection, channel):
        node.freeze()
        time.sleep(0.2)  # until all its threads stand still
        try:
            with pytest.raises(rabbitmq.NoAnswerError, match=r"no answer from RabbitMQ at 127.0.0.1:\d+ within 0.5 s"):
                call(connection, channel)
        finally:
            node.thaw()


def test_an_event_does_not_wait_for_a_frozen_node(site: Deployment, node: RabbitNode) -> None:
    """Celery tries to send the heartbeat of a worker for ever, and the worker does nothing else meanwhile."""
    app = create_worker_app(site.settings)
    with celery_connection(site.settings) as connection:
        events = app.events.Dispatcher(connection, buffer_while_offline=True)
        events.send("worker-online", retry=True)
        node.freeze()
        time.sleep(0.2)
        start = time.monotonic()
        try:
            for _ in range(100):
                events.send("worker-heartbeat", retry=True)
        finally:
            node.thaw()
        assert time.monotonic() - start < 5
        assert not events._outbound_buffer


def test_a_listener_ends_in_time_with_a_name_in_hand_that_no_broker_confirms(
    site: Deployment, node: RabbitNode, rabbit: RabbitNode, good: list[Path]
) -> None:
    sooner = "from ingester_app import listener; listener.END_SECONDS = 1.0; raise SystemExit(listener.main())"
    site.declare_ingest_queue()
    site.settings = site.settings.model_copy(update={"fits_broker": type(site.settings.fits_broker)(rabbit.url)})
    listener = site.start(sys.executable, "-c", sooner, FITS_BROKER=rabbit.url)
    listener.wait_for("listening on queue")
    site.publish(good[0])
    listener.wait_for("dispatched")
    node.freeze()
    try:
        site.publish(good[1])
        wait_until("the name in hand", lambda: site.names_waiting() == 0)
        assert listener.end(seconds=5) == 0
    finally:
        node.thaw()
    assert "the name in hand is given back" in listener.logged()
    wait_until("the name in its queue", lambda: site.names_waiting() == 1)


def test_the_confirm_of_a_returned_message_is_not_taken_for_that_of_the_next(node: RabbitNode) -> None:
    with _connected(node) as (_, channel):
        full = {"x-max-length": 0, "x-overflow": "reject-publish"}
        refusing = channel.queue_declare(exclusive=True, arguments=full).queue
        with pytest.raises(ChannelError, match="NO_ROUTE"):
            _publish(channel, "nowhere", mandatory=True)
        with pytest.raises(MessageNacked):
            _publish(channel, refusing)
        _publish(channel)


def test_a_blocked_connection_that_stays_open_goes_on_after_the_alarm(node: RabbitNode) -> None:
    with _connected(node) as (_, channel):
        with node.disk_alarm():
            for _ in range(2):  # the second is not sent, so it does not arrive later
                with pytest.raises(rabbitmq.BlockedError, match="low on disk"):
                    _publish(channel)
        wait_until("the end of the alarm", lambda: _is_taken(channel))
        assert channel.queue_declare(channel.own, passive=True).message_count == 2


def _is_taken(channel: Any) -> bool:
    with suppress(rabbitmq.BlockedError):
        _publish(channel)
        return True
    return False


def test_a_message_that_was_given_up_does_not_arrive_after_the_alarm(
    node: RabbitNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq.AMQPConnection, "_alarms", {})
    with _connected(node) as (_, watching):
        queue = watching.queue_declare("given up", auto_delete=False).queue
        with node.memory_alarm():
            with _connected_to(node) as other, pytest.raises(rabbitmq.BlockedError):
                _publish(other.default_channel, queue)
            start = time.monotonic()
            with _connected_to(node) as other, pytest.raises(rabbitmq.BlockedError, match="low on memory"):
                _publish(other.default_channel, queue)  # not even sent
            assert time.monotonic() - start < 1
        time.sleep(0.5)
        assert watching.queue_declare(queue, passive=True).message_count == 0


def _connected_to(node: RabbitNode) -> Connection:
    return Connection(**connection_arguments(node.url, BrokerTls()))


def test_health_answers_in_time_although_nobody_answers(site: Deployment) -> None:
    with _silent_port() as port:
        url = f"amqp://guest:guest@127.0.0.1:{port}//"
        silent = f"http://127.0.0.1:{port}"
        site.variables.update(BROKER_URL=url, FITS_BROKER=url, API_ROOT=silent, AWS_ENDPOINT_URL_S3=silent)
        start = time.monotonic()
        ended = _command(site, "health")
        assert time.monotonic() - start < 12
    assert ended.returncode == 1
    assert [line.split()[0] for line in ended.stdout.splitlines()] == ["BAD"] * 5


def test_no_connection_of_health_outlives_it_while_rabbitmq_blocks(site: Deployment, node: RabbitNode) -> None:
    """RabbitMQ reads nothing from a blocked connection: only its own heartbeat shows that the other side is gone."""
    with node.disk_alarm():
        assert "low on disk" in _command(site, "health").stdout
        seconds = node.control("-q", "list_connections", "--no-table-headers", "timeout").split()
    assert set(seconds) <= {"10"}


def test_one_silent_server_delays_no_other_line_of_health(site: Deployment) -> None:
    with _silent_port() as port:
        settings = site.settings.model_copy(update={"api_root": f"http://127.0.0.1:{port}/"})
        start, after = time.monotonic(), {}
        for finding in findings(settings, create_app(settings), lambda: open_services(settings), str):
            after[finding.what] = finding.words, time.monotonic() - start
    assert after.pop("Archive API")[0] == "no answer within 5 s"
    assert all(seconds < 5 for _, seconds in after.values()), after
    assert time.monotonic() - start < 6


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("amqp://guest:guest@127.0.0.1:{closed}//", "refused"),
        ("amqp://guest:wrong@127.0.0.1:{port}//", "ACCESS_REFUSED"),
        ("amqp://guest:guest@127.0.0.1:{port}/missing", "NOT_ALLOWED"),
    ],
)
@pytest.mark.parametrize("command", [("letters", "list"), ("letters", "replay", "--all")])
def test_letters_say_in_one_line_why_the_broker_cannot_be_used(
    site: Deployment, node: RabbitNode, url: str, why: str, command: tuple[str, ...]
) -> None:
    site.variables["BROKER_URL"] = url.format(closed=free_port(), port=node.port)
    ended = _command(site, *command)
    assert ended.returncode == 1
    [line] = ended.stderr.strip().splitlines()
    assert why in line
    assert "guest:" not in line.replace("guest:**", "")


def _command(site: Deployment, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*INGESTER, *words], cwd=ROOT, env=site.environment(), capture_output=True, text=True, check=False, timeout=60
    )
