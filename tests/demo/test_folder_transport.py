"""The demo's broker: a directory that kombu uses by the URL `folder:///directory`."""

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from uuid import uuid4

import pytest
from kombu import Connection, Exchange, Queue
from kombu.exceptions import ChannelError
from kombu.transport import resolve_transport

from ingester_demo import folder_transport
from lco_ingester.publisher import Publisher

MESSAGES = 300


@pytest.fixture
def url(tmp_path: Path) -> str:
    folder_transport.register()
    return folder_transport.url_of(tmp_path / "broker")


@pytest.fixture
def name() -> str:
    """A name for a queue and its exchange; kombu remembers bindings for the whole process."""
    return f"names-{uuid4()}"


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let every write beyond `size` bytes fail, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def bind(url: str, exchange: str, queue: str) -> None:
    """Declare a queue and its binding; runs in a process of its own."""
    folder_transport.register()
    with Connection(url) as connection:
        Queue(queue, Exchange(exchange, type="fanout"))(connection.default_channel).declare()


def test_the_alias_resolves_to_the_transport() -> None:
    folder_transport.register()
    assert resolve_transport("folder") is folder_transport.Transport


def test_the_broker_makes_its_directories_itself(url: str, name: str, tmp_path: Path) -> None:
    with Connection(url) as connection:
        connection.SimpleQueue(name).put("a message")
    assert {each.name for each in (tmp_path / "broker").iterdir()} == {"messages", "control"}


def test_a_message_goes_from_one_connection_to_another(url: str, name: str) -> None:
    with Connection(url) as writer, Connection(url) as reader:
        queue = reader.SimpleQueue(name)
        writer.SimpleQueue(name).put({"path": "/data/a.fits"})
        assert queue.get(timeout=5).payload == {"path": "/data/a.fits"}


def test_the_librarys_publisher_needs_to_know_nothing_of_it(url: str, name: str) -> None:
    with Connection(url) as connection:
        queue = Queue(name, Exchange(name, type="fanout", durable=True))(connection.default_channel)
        queue.declare()
        publisher = Publisher(url, name)
        publisher.publish({"basename": "a-e00"}, "an-md5")
        publisher.close()
        message = queue.get(no_ack=True)
        assert message is not None
        assert message.payload == {"basename": "a-e00"}


@pytest.mark.parametrize("without", ["folder://", "folder:///"])
def test_a_url_without_a_directory_is_refused(without: str) -> None:
    folder_transport.register()
    with pytest.raises(ValueError, match="folder:///tmp/broker"):
        Connection(without).connect()


def test_a_message_that_cannot_be_written_completely_is_never_read(url: str, name: str) -> None:
    with Connection(url) as connection:
        queue = connection.SimpleQueue(name)
        with largest_file(100_000), pytest.raises(ChannelError, match="cannot write"):
            queue.put("x" * 1_000_000)
        with pytest.raises(Empty):
            queue.get(timeout=0.2)
        queue.put("a later message")
        assert queue.get(timeout=5).payload == "a later message"


def test_messages_that_are_read_while_others_are_written_arrive_complete(url: str, name: str) -> None:
    def write() -> None:
        with Connection(url) as connection:
            queue = connection.SimpleQueue(name)
            for number in range(MESSAGES):
                queue.put({"number": number, "filling": "x" * 10_000})

    writer = threading.Thread(target=write)
    with Connection(url) as connection:
        queue = connection.SimpleQueue(name)
        writer.start()
        found = [queue.get(timeout=20).payload["number"] for _ in range(MESSAGES)]
    writer.join()
    assert sorted(found) == list(range(MESSAGES))


def test_processes_that_bind_queues_at_the_same_time_lose_no_binding(url: str, name: str) -> None:
    queues = [f"{name}-{number}" for number in range(4)]
    context = get_context("spawn")
    processes = [context.Process(target=bind, args=(url, name, queue)) for queue in queues]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    with Connection(url) as connection:
        bound = connection.default_channel.get_table(name)
    assert {each.queue for each in bound} == set(queues)


def test_a_table_of_bindings_is_never_seen_empty(url: str, name: str) -> None:
    stop = threading.Event()
    errors: list[Exception] = []

    def read() -> None:
        with Connection(url) as connection:
            channel = connection.default_channel
            while not stop.is_set():
                try:
                    for number in range(200):
                        channel.get_table(f"{name}-{number}")
                except ValueError as error:  # as for an empty file, which is not JSON
                    errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    with Connection(url) as connection:
        for number in range(200):
            connection.default_channel._queue_bind(f"{name}-{number}", "", "", "a-queue")
    stop.set()
    reader.join()
    assert errors == []
