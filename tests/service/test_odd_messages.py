"""No message on a real RabbitMQ can take listener or worker away: each becomes a letter, or its frame is archived."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import pack
from typing import Any

import amqp

from ingester_app.broker import celery_connection, dead_letter_queue, dispatch, fits_connection, send_letter
from lco_ingester.exceptions import HeaderMissingError
from tests.service.test_error_path import ODD_BODIES, ODD_ERRORS, letter
from tests.support.service import Deployment


class RawMessage(amqp.Message):
    """A message whose properties are written byte by byte."""

    def __init__(self, body: bytes, flag: int, properties: bytes) -> None:
        super().__init__(body)
        self._raw = pack(">H", 1 << flag) + properties

    def _serialize_properties(self) -> bytes:
        return self._raw


class RawText(str):
    """A text that is sent as bytes that are not UTF-8."""

    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfe"


def table(value: bytes) -> bytes:
    """A table with one field."""
    field = b"\x01k" + value
    return pack(">I", len(field)) + field


def deep_table(levels: int) -> bytes:
    """Tables in each other."""
    value = table(b"V")
    for _ in range(levels):
        value = table(b"F" + value)
    return value


CONTENT_TYPE, HEADERS = 15, 13  # the bits of these properties
ODD_PROPERTIES: list[tuple[int, bytes]] = [
    (HEADERS, table(b"T" + pack(">Q", 2**63))),  # a time after the year 9999
    (HEADERS, table(b"x" + pack(">I", 2) + b"\xff\x00")),
    (HEADERS, deep_table(3000)),
    (CONTENT_TYPE, b"\x02\xff\xfe"),
]


def odd_messages(body: bytes) -> Iterator[amqp.Message]:
    """The body, each time with other properties that py-amqp or kombu cannot read."""
    for flag, properties in ODD_PROPERTIES:
        yield RawMessage(body, flag, properties)
    yield amqp.Message(body, application_headers={"compression": "nonsense"})
    yield amqp.Message(body, application_headers={"compression": "application/x-gzip"})
    yield amqp.Message(body, content_encoding="nonsense", priority=255, expiration="900000")


def as_bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else (body or "").encode(errors="surrogatepass")


def test_odd_bodies_become_letters_at_once_and_names_behind_them_are_archived(
    site: Deployment, good: list[Path]
) -> None:
    listener = site.start_listener()
    bodies = [as_bytes(body) for body in ODD_BODIES.values()]
    packed = amqp.Message(zlib.compress(b"x" * 10**8), application_headers={"compression": "application/x-gzip"})
    with fits_connection(site.settings) as connection:
        for message in [*map(amqp.Message, bodies), packed, amqp.Message(str(good[0]).encode())]:
            connection.default_channel.basic_publish(message, site.settings.crawler_exchange_name, "")
    letters = site.wait_for_letters(len(bodies) + 1)
    assert {each.reason for each in letters} == {"MESSAGE_UNREADABLE"}
    assert len(letters) == len(bodies) + 1
    listener.wait_for("dispatched")
    assert site.names_waiting() == 0
    assert "given back" not in listener.logged()
    assert listener.process.poll() is None


def test_a_name_with_odd_properties_is_archived(site: Deployment, good: list[Path]) -> None:
    listener = site.start_listener()
    site.start_worker(concurrency=1)
    with fits_connection(site.settings) as connection:
        channel = connection.default_channel
        for message in odd_messages(str(good[0]).encode()):
            channel.basic_publish(message, site.settings.crawler_exchange_name, "")
        channel.basic_publish(amqp.Message(str(good[1]).encode()), site.settings.crawler_exchange_name, RawText("k"))
    site.wait_for_announced(2)
    assert site.names_waiting() == 0
    assert listener.process.poll() is None


def test_an_odd_message_on_celerys_queue_becomes_a_letter_and_the_worker_lives(
    site: Deployment, good: list[Path]
) -> None:
    worker = site.start_worker(concurrency=1)
    queue = site.settings.ingest_queue
    messages = list(odd_messages(b"[[], {}, {}]"))
    with celery_connection(site.settings) as connection:
        for message in messages:
            connection.default_channel.basic_publish(message, queue, queue)
    assert len(site.wait_for_letters(len(messages))) == len(messages)
    assert worker.process.poll() is None


def test_a_task_with_an_odd_path_can_be_published_again(site: Deployment) -> None:
    site.declare_ingest_queue()
    paths = ["/data/\udcff.fits", "/" + "x" * 300_000, "/data/\0x.fits", ""]
    for path in paths:
        dispatch(site.app(), {"frame": {"state": "named", "path": path}}, path)
    assert site.frames_waiting() == len(paths)


def test_every_letter_of_an_odd_exception_is_taken_by_the_broker_and_read_back(site: Deployment) -> None:
    site.declare_ingest_queue()
    written = [letter(make(), first_time=float(number)) for number, make in enumerate(ODD_ERRORS.values())]
    written.append(letter(HeaderMissingError(), message={"frame": {"state": "archived", "record": "x" * 20_000_000}}))
    for each in written:
        send_letter(site.app(), dead_letter_queue(site.settings), each)
    assert sorted(site.letters(), key=lambda each: each.id) == sorted(written, key=lambda each: each.id)
