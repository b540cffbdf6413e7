"""Anybody who may publish on the dead-letter exchange chooses body, headers and properties: the tool reads them all."""

import itertools
import json
import struct
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import amqp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingester_app.broker import celery_connection, dead_letter_queue, send_letter
from ingester_app.dead_letter_queue import can_be_replayed
from ingester_app.dead_letters import read_letter
from ingester_app.schema import DeadLetter, FrameMessage
from lco_ingester.frame import Named
from lco_ingester.printable import printable
from tests.service.test_letters import ingester
from tests.support.processes import wait_until
from tests.support.servers import ArchiveServer
from tests.support.service import Deployment
from tests.support.strategies import JSON

TABLE = b"\x20\x00"  # property flags: a table of headers
NAMED: dict[str, Any] = FrameMessage(Named("/data/forged.fits")).to_message()
LETTER: dict[str, Any] = DeadLetter(id="forged", path="/data/forged.fits", reason="FILE_MISSING").to_message()
OF_OTHER_TYPES: dict[str, Any] = {
    "id": 7, "path": None, "basename": [], "md5": {}, "step": 1.5, "reason": True, "error": None, "text": ["x"],
    "traceback": 0, "attempts": "many", "first_time": "today", "last_time": [], "worker": {}, "message": "none",
    "version": None, "raw": 3,
}  # fmt: skip


NUMBERS = itertools.count()


def letter_with(**fields: Any) -> bytes:
    """A letter, each with an id of its own: what was written twice is listed once."""
    return json.dumps({**LETTER, "id": f"forged-{next(NUMBERS)}", **fields}).encode()


def task_with(**fields: Any) -> bytes:
    return json.dumps([[], {**NAMED, **fields}, {}]).encode()


BODIES = {
    "empty": b"",
    "not UTF-8": b"\xff\xfe\x00",
    "one brace": b"{",
    "large": b'"' + b"x" * 2_000_000 + b'"',
    "deep": b"[" * 100_000,
    "deep and closed": b"[" * 990 + b"]" * 990,
    "deep message": b'{"id": "deep", "reason": "X", "message": ' + b'{"a": ' * 500 + b"1" + b"}" * 501,
    "deep task": b"[[], " + b'{"frame": ' * 500 + b"1" + b"}" * 500 + b", {}]",
    "number of 5000 digits": letter_with().replace(b'"attempts": 0', b'"attempts": ' + b"9" * 5000),
    "number of 400 digits": letter_with(attempts=10**400, version=10**400, first_time=10**400),
    "negative": letter_with(attempts=-1, last_time=-1e18, version=-3),
    "NaN": letter_with(last_time=float("nan"), first_time=float("nan"), message={**NAMED, "first_time": float("nan")}),
    "infinite": letter_with(last_time=float("inf"), first_time=float("-inf")),
    "far future": letter_with(last_time=1e300, first_time=1e17),
    "surrogates": letter_with(path="/data/\udcff.fits", text="\ud800", message={"\udcff": "\ud800"}),
    "all types": json.dumps(OF_OTHER_TYPES).encode(),
    "escape sequences": letter_with(path="/data/\x1b]0;owned\x07\x9b31m.fits", reason="\x1b[2J", step="\x9b"),
    "line breaks": letter_with(path="/data/a\nb\r\x85\u2028c", reason="A\nB", id="x\ny", traceback="\x1bx\nid: forged"),
    "direction": letter_with(path="/data/\u202estif.fits", text="\u2066"),
    "task with a state that is a list": task_with(frame={"state": [], "path": "/x"}),
    "task with odd numbers": task_with(attempts=10**30, first_time=1e300),
    "task without a frame": b"[[], {}, {}]",
    "task with a path of escapes": task_with(frame={"state": "named", "path": "/data/\x1b[31m\n.fits"}),
}  # fmt: skip

DEATHS = {
    "a text": "no list", "empty": [], "of texts": ["x"], "a number": [7], "a table": {"reason": "rejected"},
    "odd values": [{"reason": ["a"], "queue": {"b": 1}, "time": "yesterday", "count": 2**62}],
    "escapes": [{"reason": "\x1b[31m", "queue": "q\x1b\nid: x", "time": datetime(9999, 12, 31, tzinfo=UTC)}],
    "of bytes": [{"reason": b"\xff\xfe", "queue": b"\xff", "time": None}],
}  # fmt: skip

PROPERTIES: dict[str, dict[str, Any]] = {
    "unknown content type": {"content_type": "application/x-nonsense", "content_encoding": "klingon"},
    "says it is compressed": {"application_headers": {"compression": "application/x-gzip"}},
    "compressed by nothing we know": {"application_headers": {"compression": "\x1b"}},
    "all types of headers": {
        "application_headers": {
            "decimal": Decimal("1.5"), "table": {"a": {"b": []}}, "bytes": b"\xff",
            "time": datetime(2026, 1, 1, tzinfo=UTC), "id": 7, "origin": ["x"], "none": None, "big": 2**62,
            "x-delivery-count": "many",
        },
        "message_id": "\x1b]0;owned\x07",
    },
    **{f"x-death: {name}": {"application_headers": {"x-death": death}} for name, death in DEATHS.items()},
}  # fmt: skip


def header(name: bytes, kind: bytes, value: bytes) -> bytes:
    """One entry of a table, as it travels (AMQP 0-9-1, 4.2.5.5)."""
    return bytes([len(name)]) + name + kind + value


def table(*entries: bytes) -> bytes:
    content = b"".join(entries)
    return struct.pack(">I", len(content)) + content


def nested(depth: int) -> bytes:
    value = table()
    for _ in range(depth):
        value = table(header(b"", b"F", value))
    return value


UNDECODABLE = {
    "a time of 2^63": TABLE + table(header(b"t", b"T", struct.pack(">Q", 2**63))),
    "a time of 2^63 in x-death": TABLE
    + table(header(b"x-death", b"A", table(b"F" + table(header(b"time", b"T", struct.pack(">Q", 2**63)))))),
    "a deep table": TABLE + nested(5000),
    "a content type that is not UTF-8": b"\x80\x00" + b"\x02\xff\xfe",
}


class Raw(amqp.Message):
    """A message whose properties are these bytes."""

    def __init__(self, body: bytes, encoded: bytes) -> None:
        super().__init__(body)
        self.encoded = encoded

    def _serialize_properties(self) -> bytes:
        return self.encoded


FORGED: dict[str, tuple[amqp.Message, bytes]] = {
    **{name: (amqp.Message(body), b"") for name, body in BODIES.items()},
    **{name: (amqp.Message(letter_with(id=name), **fields), b"") for name, fields in PROPERTIES.items()},
    **{f"task, {name}": (amqp.Message(task_with(other=name), **fields), b"") for name, fields in PROPERTIES.items()},
    **{name: (Raw(name.encode(), encoded), b"") for name, encoded in UNDECODABLE.items()},
    "nothing but undecodable properties": (Raw(b"", UNDECODABLE["a time of 2^63"]), b""),
    "a routing key that is not UTF-8": (amqp.Message(b"a routing key"), b"\xff\xfe"),
}

HEADERS = st.recursive(
    JSON | st.binary(max_size=20) | st.decimals() | st.datetimes() | st.datetimes(timezones=st.just(UTC)),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text() | st.binary(), inside, max_size=3),
    max_leaves=6,
)
DEATH = st.fixed_dictionaries({}, optional=dict.fromkeys(("reason", "queue", "time", "count"), HEADERS))
ODD_NUMBERS = st.floats() | st.integers() | st.sampled_from([10**400, -(10**400), 1e300, float("nan")])
ANY_JSON = JSON | ODD_NUMBERS | st.text(st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF))
ANY_LETTER = st.fixed_dictionaries(
    {}, optional={name: ANY_JSON | st.just(value) for name, value in {**LETTER, "raw": "x"}.items()}
)
ANY_TASK = st.fixed_dictionaries({}, optional={name: ANY_JSON | st.just(value) for name, value in NAMED.items()})
ANY_BODY = (
    st.binary()
    | st.text()
    | (ANY_JSON | ANY_LETTER | ANY_TASK.map(lambda task: [[], task, {}])).map(json.dumps).map(str.encode)
)


def fields_have_their_types(letter: DeadLetter) -> None:
    """Every field has its type and a plausible value, and the letter can be exported and read again."""
    for name in ("id", "path", "basename", "step", "reason", "error", "text", "traceback", "worker"):
        assert isinstance(getattr(letter, name), str), name
    assert letter.id
    assert letter.reason
    assert letter.md5 is None or isinstance(letter.md5, str)
    assert letter.raw is None or isinstance(letter.raw, str)
    assert letter.message is None or isinstance(letter.message, dict)
    for time in (letter.first_time, letter.last_time):
        assert type(time) is float
        assert datetime.fromtimestamp(time, UTC)
    assert type(letter.attempts) is int
    assert 0 <= letter.attempts <= 10**9
    assert can_be_replayed(letter) in (True, False)
    row = json.loads(json.dumps(letter.to_message()))
    assert row["id"] == letter.id


@settings(max_examples=300, deadline=None)
@given(
    ANY_BODY,
    st.dictionaries(st.sampled_from(["id", "origin", "x-death", "compression", "other"]), HEADERS)
    | st.builds(lambda death: {"x-death": [death]}, DEATH),
    st.dictionaries(st.sampled_from(["message_id", "timestamp", "content_type"]), HEADERS),
)
def test_any_message_is_a_letter_whose_fields_have_their_types(
    body: bytes | str, headers: dict[str, Any], properties: dict[str, Any]
) -> None:
    fields_have_their_types(read_letter(body, headers, properties))


@pytest.mark.parametrize("name", FORGED)
def test_each_forged_message_is_a_letter_whose_fields_have_their_types(name: str) -> None:
    message, _ = FORGED[name]
    fields_have_their_types(read_letter(message.body, message.properties.get("application_headers", {}), {}))


def test_a_time_of_the_broker_is_utc() -> None:
    """py-amqp gives it without a zone."""
    noon = datetime(2026, 11, 29, 12, tzinfo=UTC)
    death = {"reason": "rejected", "queue": "q", "time": noon.replace(tzinfo=None)}
    assert read_letter(b"x", {"x-death": [death]}, {}).last_time == noon.timestamp()


def not_json(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def test_forged_letters_between_good_ones_are_listed_shown_exported_and_discarded_and_the_good_ones_replayed(
    site: Deployment,
) -> None:
    site.declare_ingest_queue()
    queue = dead_letter_queue(site.settings)
    good = [f"/data/good-{number}.fits" for number in range(len(FORGED) + 1)]
    with celery_connection(site.settings) as connection:
        for number, path in enumerate(good):
            message = FrameMessage(Named(path)).to_message()
            letter = DeadLetter(id=f"good-{number}", path=path, reason="FILE_MISSING", message=message)
            send_letter(site.app(), queue, letter)
            if number < len(FORGED):
                forged, key = list(FORGED.values())[number]
                connection.default_channel.basic_publish(forged, exchange=queue.exchange.name, routing_key=key)
    everything = len(good) + len(FORGED)

    listed = ingester(site, "letters", "list")
    assert (listed.returncode, listed.stderr) == (0, f"{everything} letters\n")
    assert len(listed.stdout.splitlines()) == everything
    assert all(printable(line) == line for line in listed.stdout.split("\n"))
    assert {path for path in good if path not in listed.stdout} == set()

    shown = ingester(site, "letters", "show")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert printable(shown.stdout, keep="\n\t") == shown.stdout
    assert "\nid: forged" not in shown.stdout

    exported = ingester(site, "letters", "export")
    assert (exported.returncode, exported.stderr) == (0, "")
    assert len([json.loads(row, parse_constant=not_json) for row in exported.stdout.splitlines()]) == everything

    replayed = ingester(site, "letters", "replay", "--name", "/good-*.fits")
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert site.frames_waiting() == len(good)
    rest = ingester(site, "letters", "replay", "--all", "--dry-run")
    assert rest.returncode == 1
    assert "Traceback" not in rest.stderr

    discarded = ingester(site, "letters", "discard", "--all", "--yes")
    assert (discarded.returncode, discarded.stderr) == (0, "")
    assert discarded.stdout.count("discarded: ") == len(FORGED)
    assert all(printable(line) == line for line in discarded.stdout.split("\n"))
    assert ingester(site, "letters", "list").stdout == ""


def test_a_message_whose_properties_cannot_be_decoded_ends_neither_the_listener_nor_a_worker(
    site: Deployment, good: list[Path], archive: ArchiveServer
) -> None:
    listener = site.start_listener()
    exchanges = site.settings.crawler_exchange_name, site.settings.ingest_queue
    with celery_connection(site.settings) as connection:
        channel = connection.default_channel
        for encoded in UNDECODABLE.values():
            name = json.dumps({"path": str(good[0])}).encode()
            channel.basic_publish(Raw(name, encoded), exchange=exchanges[0], routing_key="")
        channel.basic_publish(amqp.Message(name), exchange=exchanges[0], routing_key=b"\xff")
        worker = site.start_worker(concurrency=1)
        for encoded in UNDECODABLE.values():
            channel.basic_publish(Raw(b"[]", encoded), exchange=exchanges[1], routing_key=exchanges[1])
        site.wait_for_letters(len(UNDECODABLE))
        # The names are dispatched as if they had no properties.
        wait_until("the frame", lambda: [frame["basename"] for frame in archive.frames()])
    assert listener.process.poll() is None
    assert worker.process.poll() is None
    assert {letter.reason for letter in site.letters()} == {"MESSAGE_UNREADABLE"}
    wait_until("all names", lambda: listener.logged().count('"dispatched"') == len(UNDECODABLE) + 1)
