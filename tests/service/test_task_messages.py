"""Everybody who can publish on Celery's broker can write any message: the worker lives, and no frame vanishes."""

import json
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Exchange
from kombu.message import Message

from ingester_app.broker import INGEST_TASK, QUEUE_LENGTHS_TASK, TASKS, celery_connection, create_app, dispatch
from ingester_app.remote_control import READING_COMMANDS
from ingester_app.retry import GiveUp, RetryPolicy, decide
from ingester_app.schema import FrameMessage, RetryState, UnreadableMessageError
from ingester_app.task_message import NotOurTaskError, restrict
from lco_ingester.exceptions import FailureKind, StoreUnavailableError
from lco_ingester.frame import Named
from tests.support.processes import Program, wait_until
from tests.support.service import Deployment
from tests.support.strategies import JSON, OBJECTS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADERS = {"lang": "py", "task": INGEST_TASK, "id": "0b0c2f0e-1", "argsrepr": "x.fits", "kwargsrepr": "{}"}
ARGUMENTS = {"frame": {"state": "named", "path": "/data/x.fits"}}
NO_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
BODY = [[], ARGUMENTS, NO_EMBED]
LATER = "2999-01-01T00:00:00+00:00"


def message(body: Any = BODY, content_type: str = "application/json", **headers: Any) -> Message:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(
        encoded,
        content_type=content_type,
        content_encoding="utf-8",
        headers={**HEADERS, **headers},
        properties={"reply_to": "somewhere"},
        accept={"application/json"},
    )


def restricted(given_message: Message, longest_delay: timedelta | None = None) -> list[str]:
    return restrict(given_message, TASKS, NOW, longest_delay)


class TestWhatIsLeft:
    @pytest.mark.parametrize("limits", [[None, None], [1500, 1200]])
    def test_a_message_of_our_own_loses_nothing_that_counts(self, limits: list[int | None]) -> None:
        ours = message(timelimit=limits, retries=0, shadow=None, expires=None, stamps={}, eta=NOW.isoformat())
        assert restricted(ours) == []
        assert ours.payload == BODY
        assert {name: ours.headers[name] for name in HEADERS} == HEADERS

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("timelimit", ["now", {}]),
            ("timelimit", [1e-9, 1e-9]),
            ("expires", "2001-01-01T00:00:00"),
            ("expires", {"not": "a time"}),
            ("shadow", ["x"]),
            ("group", "x"),
            ("ignore_result", "no"),
            ("stamped_headers", ["x"]),
            ("replaced_task_nesting", 10**9),
        ],
    )
    def test_a_command_to_celery_is_removed(self, name: str, value: Any) -> None:
        forged = message(**{name: value})
        assert name in restricted(forged)
        assert name not in forged.headers

    @pytest.mark.parametrize("name", list(NO_EMBED))
    def test_callbacks_and_chains_are_removed_from_the_body_too(self, name: str) -> None:
        forged = message([[], ARGUMENTS, {**NO_EMBED, name: [{"task": "celery.backend_cleanup"}]}])
        assert name in restricted(forged)
        assert json.loads(forged.body) == forged.payload == BODY

    def test_only_a_periodic_task_may_expire(self) -> None:
        periodic = message(task=QUEUE_LENGTHS_TASK, expires=LATER)
        assert "expires" not in restricted(periodic)
        assert periodic.headers["expires"] == LATER

    def test_a_frame_waits_in_the_worker_only_where_the_broker_has_no_delays(self) -> None:
        soon, never = (NOW + timedelta(minutes=5)).isoformat(), LATER
        for eta, longest, kept in [
            (soon, None, False),
            (soon, timedelta(days=1), True),
            (never, timedelta(days=1), False),
            ("tomorrow", timedelta(days=1), False),
            (17, timedelta(days=1), False),
        ]:
            forged = message(eta=eta)
            restricted(forged, longest)
            assert ("eta" in forged.headers) is kept


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        "forged",
        [
            message(task="celery.backend_cleanup"),
            message(task="celery.chain"),
            message(task=["ingest"]),
            message(task=None),
            message(id=None),
            message(id=["x"]),
            message(id="x" * 1000),
            message(id="\x1b[2J"),
            message(content_type="application/x-python-serialize"),
            message(content_type="application/data"),
            message(content_type="text/plain"),
            message({"task": "ingest", "args": [], "kwargs": ARGUMENTS}),
            message([["a path"], ARGUMENTS, NO_EMBED]),
            message([[], ARGUMENTS]),
            message([[], "args", NO_EMBED]),
            message([[], ARGUMENTS, "args"]),
            message([]),
        ],
        ids=lambda forged: repr((forged.headers["task"], forged.headers["id"], forged.body))[:80],
    )
    def test_it_is_not_a_task_of_ours(self, forged: Message) -> None:
        with pytest.raises(NotOurTaskError):
            restricted(forged)

    def test_a_message_without_headers(self) -> None:
        bare = message()
        bare.headers = None
        with pytest.raises(NotOurTaskError):
            restricted(bare)

    @given(st.dictionaries(st.sampled_from([*HEADERS, "timelimit", "expires", "eta", "stamps"]), JSON), JSON)
    def test_whatever_stays_has_the_types_that_celery_expects(self, headers: dict[str, Any], body: Any) -> None:
        forged = message(body, **headers)
        try:
            restricted(forged, timedelta(days=1))
        except NotOurTaskError:
            return
        assert {type(forged.headers[name]) for name in ("task", "id", "argsrepr", "kwargsrepr", "origin")} == {str}
        assert forged.headers.keys() <= {*HEADERS, "root_id", "parent_id", "retries", "origin", "eta"}
        assert not any((forged.payload[2] or {}).values())


def with_fields(**fields: Any) -> dict[str, Any]:
    validated = {
        "state": "validated",
        "path": "/data/x.fits",
        "basename": "x",
        "extension": ".fits",
        "md5": "0" * 32,
        "fingerprint": {"size": 1, "mtime_ns": 1, "inode": 1},
        "record": {},
        "facts": {"place": {}, "section": "raw", "observed": "2026-01-01T00:00:00", "ended": "2026-01-01T00:00:00"},
    }
    return {"frame": {**validated, **fields}}


def test_the_frame_that_the_forged_ones_are_made_of_is_sound() -> None:
    FrameMessage.from_message(with_fields())


@pytest.mark.parametrize(
    "forged",
    [
        {"frame": {"state": "named", "path": ""}},
        {"frame": {"state": "named", "path": "x" * 5000}},
        {"frame": {"state": "named", "path": None}},
        {**ARGUMENTS, "first_time": float("nan")},
        {**ARGUMENTS, "first_time": -1},
        {**ARGUMENTS, "attempts": -(10**9)},
        {**ARGUMENTS, "trouble": {"kind": "server", "since": float("nan"), "attempt": 0}},
        {**ARGUMENTS, "trouble": {"kind": "server", "since": float("-inf"), "attempt": 0}},
        {**ARGUMENTS, "trouble": {"kind": "server", "since": 0, "attempt": -5}},
        {**ARGUMENTS, "trouble": {"kind": "no such", "since": 0, "attempt": 0}},
        with_fields(md5="../x"),
        with_fields(md5="0" * 33),
        with_fields(basename="../../x"),
        with_fields(basename="another"),
        with_fields(extension="/../x.fits"),
        with_fields(record={"a": float("nan")}),
        with_fields(record={"a": NOW}),
        with_fields(fingerprint={"size": -1}),
        with_fields(facts={"place": {}, "section": "raw", "observed": "yesterday", "ended": "2026-01-01T00:00:00"}),
        with_fields(facts={"place": {}, "section": "raw", "observed": LATER, "ended": "2026-01-01T00:00:00"}),
        {"frame": {"state": "archived", "path": "/data/x.fits", "md5": "0" * 32, "record": {"no": "frameid"}}},
        {"frame": {"state": "uploaded", "validated": {}, "version_id": "x" * 2000}},
    ],
    ids=lambda forged: json.dumps(forged, default=str)[:100],
)
def test_a_forged_state_is_refused_before_any_step(forged: dict[str, Any]) -> None:
    with pytest.raises(UnreadableMessageError):
        FrameMessage.from_message(forged)


@given(OBJECTS)
def test_any_arguments_are_read_or_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(UnreadableMessageError):
        FrameMessage.from_message(arguments)


@pytest.mark.parametrize("depth", [100, *range(248, 262), 100_000])
def test_a_record_of_any_depth_is_refused_or_can_be_sent_again(depth: int) -> None:
    record: dict[str, Any] = {"frameid": 1}
    inner = record
    for _ in range(depth):
        inner["a"] = inner = {}
    archived = {"state": "archived", "path": "/data/x.fits", "md5": "0" * 32, "record": record}
    try:
        read = FrameMessage.from_message({"frame": archived})
    except UnreadableMessageError:
        return
    json.dumps(read.to_message())


def test_a_failure_that_is_said_to_have_begun_in_the_future_ends_all_the_same() -> None:
    policies = {FailureKind.SERVER: RetryPolicy(5, 900, 3600)}
    state, now = RetryState(FailureKind.SERVER, 1e12, 0), 1e9
    for _ in range(100):
        decision = decide(StoreUnavailableError(), state, now, policies, lambda: 1.0)
        if isinstance(decision, GiveUp):
            return
        state, now = decision.retry_state, now + decision.seconds
    raise AssertionError("it is tried again for ever")


def forge(
    site: Deployment, body: Any = BODY, *, times: int = 1, kind: str = "application/json", **headers: Any
) -> None:
    """Publish a message on Celery's queue with any header."""
    queue = site.settings.ingest_queue
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    with create_app(site.settings).producer_or_acquire() as producer:
        for number in range(times):
            sent = {**HEADERS, "id": f"forged-{number}", **headers}
            producer.publish(
                encoded,
                content_type="application/json",
                content_encoding="utf-8",
                headers=sent,
                exchange=queue,
                routing_key=queue,
            )


def peak_memory(program: Program) -> int:
    """The most memory that a process has had, in bytes."""
    return int(Path(f"/proc/{program.pid}/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024


def wait_for(site: Deployment, frame: Path) -> None:
    basename = frame.name.partition(".")[0]
    wait_until(basename, lambda: basename in [record["basename"] for _, record in site.take_announced()])


def is_alive(worker: Program, site: Deployment, frame: Path) -> None:
    """The worker still archives a frame."""
    dispatch(site.app(), FrameMessage(Named(str(frame)), first_time=time.time()).to_message(), str(frame))
    wait_for(site, frame)
    assert worker.process.poll() is None


FORGED_HEADERS: list[dict[str, Any]] = [
    {"timelimit": ["a", "b"]},
    {"timelimit": 7},
    {"timelimit": [0.001, 0.001]},
    {"expires": "2001-01-01T00:00:00+00:00"},
    {"expires": []},
    {"eta": LATER},
    {"shadow": {}},
    {"stamped_headers": 5, "stamps": 6},
    {"ignore_result": False, "root_id": 5, "parent_id": {}},
]


def test_bursts_with_forged_headers_harm_nothing_and_each_frame_ends(
    site: Deployment, good: list[Path], tmp_path: Path
) -> None:
    worker = site.start_worker(concurrency=1, RETRY_FILE_PATIENCE="1")
    missing = {"frame": {"state": "named", "path": str(tmp_path / "missing.fits")}}
    for headers in FORGED_HEADERS:
        forge(site, [[], missing, NO_EMBED], times=4, **headers)
    letters = site.wait_for_letters(4 * len(FORGED_HEADERS), 60)
    assert {letter.reason for letter in letters} == {"FILE_MISSING"}
    is_alive(worker, site, good[0])


def test_other_tasks_never_run_and_become_letters(site: Deployment, good: list[Path]) -> None:
    worker = site.start_worker(concurrency=1)
    names = [name for name in site.app().tasks if name.startswith("celery.")]
    assert names
    for name in names:
        forge(site, task=name)
    forge(site, [[], {"frame": {"state": "named", "path": None}}, NO_EMBED])
    forge(site, [[], {"task": "a name of an argument"}, NO_EMBED])
    forge(site, b"[" * 100_000)
    assert len(site.wait_for_letters(len(names) + 3)) == len(names) + 3
    is_alive(worker, site, good[0])


def test_a_callback_does_not_run(site: Deployment, good: list[Path], tmp_path: Path) -> None:
    worker = site.start_worker(concurrency=1)
    called: dict[str, Any] = {
        "task": INGEST_TASK,
        "args": [],
        "kwargs": {},
        "options": {"task_id": "called"},
        "subtask_type": None,
    }
    arguments = FrameMessage(Named(str(good[1])), first_time=time.time()).to_message()
    forge(site, [[], arguments, {**NO_EMBED, "callbacks": [called], "chain": [called]}])
    wait_for(site, good[1])
    is_alive(worker, site, good[0])
    assert site.letters() == []
    assert "called" not in worker.logged().replace("removed from task forged-0: callbacks, chain", "")


def test_a_compressed_body_is_not_unpacked(site: Deployment, good: list[Path]) -> None:
    worker = site.start_worker(concurrency=1)
    before = peak_memory(worker)
    bomb = zlib.compress(b"[" + b" " * 200_000_000 + b"]", 9)
    for method in ("gzip", "bzip2", "xz", "no such"):
        forge(site, bomb, compression=method)
    letters = site.wait_for_letters(4)
    assert {letter.reason for letter in letters} == {"MESSAGE_UNREADABLE"}
    assert peak_memory(worker) - before < 50_000_000
    is_alive(worker, site, good[0])


def test_remote_control_can_look_but_neither_drop_a_frame_nor_stop_a_worker(site: Deployment, good: list[Path]) -> None:
    worker = site.start_worker(concurrency=1)
    app = site.app()
    mine = [name for answer in app.control.ping(timeout=2) for name in answer if name in worker.logged()]
    assert len(mine) == 1
    task = "a-frame-to-drop"
    app.control.revoke(task, terminate=True, destination=mine)
    app.control.broadcast("shutdown", destination=mine)
    app.control.broadcast("pool_shrink", {"n": 1}, destination=mine)
    app.control.cancel_consumer(site.settings.ingest_queue, destination=mine)
    app.control.rate_limit(INGEST_TASK, "1/h", destination=mine)
    app.control.time_limit(INGEST_TASK, hard=0.01, destination=mine)
    app.control.broadcast("hello", {"from_node": "another@host", "revoked": [task]}, destination=mine)
    wait_until("all seven commands", lambda: worker.logged().count("remote control is refused") == 7)
    message = FrameMessage(Named(str(good[1])), first_time=time.time()).to_message()
    dispatch(app, message, str(good[1]), task_id=task)
    wait_for(site, good[1])
    is_alive(worker, site, good[0])
    assert app.control.inspect(mine).reserved() == {mine[0]: []}


def junk() -> list[Callable[[Any], None]]:
    """What somebody may publish on the exchange of Celery's remote control."""
    exchange = Exchange("celery.pidbox", type="fanout")

    def send(body: Any, **properties: Any) -> Callable[[Any], None]:
        return lambda producer: producer.publish(body, exchange=exchange, routing_key="", **properties)

    nowhere = {"method": "ping", "arguments": {}, "reply_to": {"exchange": "no such exchange", "routing_key": "x"}}
    return [
        send(b"\xff", content_type="application/json", content_encoding="utf-8"),
        send(b"[" * 100_000, content_type="application/json", content_encoding="utf-8"),
        send([], serializer="json"),
        send({"method": ["ping"]}, serializer="json"),
        send({"method": "ping", "arguments": 5, "destination": 7}, serializer="json"),
        send({"method": "ping", "arguments": {}, "ticket": [1]}, serializer="json", headers={"clock": "x"}),
        send({"method": "hello", "arguments": {"from_node": "x", "revoked": "y"}}, serializer="json"),
        send({"method": "query_task", "arguments": {"ids": {}}}, serializer="json"),
        send({"method": "registered", "arguments": {"taskinfoitems": [5]}}, serializer="json"),
        send(zlib.compress(b" " * 200_000_000), content_type="application/data", content_encoding="zlib_codec"),
        send(b"{}", serializer="json", headers={"compression": "no such"}),
        send({"method": "x" * 1_000_000}, serializer="json"),
        send({"method": "ping", "pattern": r"(((\S+)+)+)+!", "matcher": "pcre"}, serializer="json"),
        send({"method": "ping", "reply_to": {}}, serializer="json"),
        send({**nowhere, "ticket": "t"}, serializer="json"),
    ]


def test_junk_on_the_exchange_of_remote_control_does_not_end_a_worker(site: Deployment, good: list[Path]) -> None:
    worker = site.start_worker(concurrency=1)
    before = peak_memory(worker)
    with celery_connection(site.settings) as connection:
        producer = connection.Producer()
        for each in junk():
            each(producer)
    is_alive(worker, site, good[0])
    assert peak_memory(worker) - before < 50_000_000


def test_an_answer_of_a_worker_goes_nowhere_but_to_those_who_wait_for_answers(
    site: Deployment, good: list[Path]
) -> None:
    site.start_worker(concurrency=1)
    with celery_connection(site.settings) as connection:
        producer, channel = connection.Producer(), connection.default_channel
        queue = channel.queue_declare(exclusive=True).queue
        to = {"exchange": "", "routing_key": queue}
        command = {"method": "ping", "arguments": {}, "reply_to": to, "ticket": "t"}
        exchange = Exchange("celery.pidbox", type="fanout")
        producer.publish(command, exchange=exchange, routing_key="", serializer="json", headers={"clock": 2**63 - 1})
        assert site.app().control.ping(timeout=2), "also after a clock that no message can hold"
        assert channel.queue_declare(queue, passive=True).message_count == 0


def test_every_command_that_is_left_is_answered(site: Deployment) -> None:
    site.start_worker(concurrency=1)
    control = site.app().control
    arguments = {"query_task": {"ids": ["a"]}}
    answered = {
        name: control.broadcast(name, arguments.get(name, {}), reply=True, limit=1, timeout=5)
        for name in READING_COMMANDS
    }
    assert [name for name, answer in answered.items() if not answer or "{'error'" in str(answer)] == []


def test_the_commands_that_are_left_are_celerys() -> None:
    from celery.worker.control import Panel

    assert Panel.data.keys() >= READING_COMMANDS
