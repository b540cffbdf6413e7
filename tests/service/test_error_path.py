"""Any message and any exception has a letter that the broker takes, and nothing undoes what is settled."""

import json
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from hypothesis import given, settings
from hypothesis import strategies as st
from kombu.exceptions import OperationalError
from kombu.serialization import dumps

from ingester_app import logs
from ingester_app.breaker import Breaker
from ingester_app.dead_letters import DEEPEST, letter_for, read_letter
from ingester_app.error_text import LONGEST_TEXT, LONGEST_TRACEBACK
from ingester_app.fits_message import Refused, parse
from ingester_app.ingest import TaskContext, ingest
from ingester_app.listener import Listener
from ingester_app.retry import retry_policies
from ingester_app.schema import DeadLetter, FrameMessage, RetryState, UnreadableMessageError
from ingester_app.settings import ServiceSettings
from lco_ingester.exceptions import (
    FailureKind,
    FileMissingError,
    FileSystemUnavailableError,
    HeaderMissingError,
    HookError,
    StoreUnavailableError,
)
from lco_ingester.frame import Archived, Fingerprint, Named, StorageFacts, Validated
from lco_ingester.metrics import Metrics
from lco_ingester.services import Services
from lco_ingester.settings import load_settings
from tests.support.strategies import FRAMES, JSON
from tests.support.synthetic import checks, rules

SETTINGS = load_settings(ServiceSettings)
POLICIES = retry_policies(SETTINGS)
LONGEST_LETTER = 9_000_000  # bytes


class NoTextError(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


def chain(length: int) -> Exception:
    """An exception with that many causes."""
    error = Exception("the first")
    for number in range(length):
        following = Exception(f"number {number}")
        following.__cause__ = error
        error = following
    return error


def cycle() -> Exception:
    """Two exceptions, each the cause of the other."""
    one, other = Exception("one"), Exception("other")
    one.__cause__, other.__cause__ = other, one
    return one


def nested(levels: int) -> Exception:
    """Groups of exceptions, one in the other."""
    error: Exception = ValueError("inside")
    for _ in range(levels):
        error = ExceptionGroup("outside", [error])
    return error


def endless(number: int = 0) -> int:
    """Deeper with each call, and never twice in the same line: its traceback is long."""
    return endless(number + 1) if number % 2 else endless(number + 1) + 1


def recursion() -> Exception:
    """What a recursion without an end raises, with its traceback."""
    try:
        endless()
    except RecursionError as error:
        return error
    raise AssertionError


def odd_syntax_error() -> Exception:
    """An exception that `traceback` reads fields of."""
    error = SyntaxError("odd")
    error.lineno, error.offset, error.text = "three", -7, 9  # type: ignore[assignment]
    return error


ODD_ERRORS: dict[str, Callable[[], Exception]] = {
    "no text": NoTextError,
    "a surrogate": lambda: ValueError("\udcff"),
    "a long text": lambda: ValueError("x" * 20_000_000),
    "bytes": lambda: ValueError(b"\xff\x00"),
    "a long chain": lambda: chain(2000),
    "a cycle": cycle,
    "nested groups": lambda: nested(500),
    "a wide group": lambda: ExceptionGroup("wide", [ValueError("x" * 1000)] * 5000),
    "endless recursion": recursion,
    "odd syntax error": odd_syntax_error,
    "memory": MemoryError,
    "ours": lambda: HeaderMissingError(frame="/data/\udcff", found="x" * 1_000_000),
    "a class with an odd name": type("x" * 3000, (Exception,), {}),
}
ERRORS = st.one_of(
    st.sampled_from(sorted(ODD_ERRORS.keys() - {"a long text", "a wide group"})).map(lambda name: ODD_ERRORS[name]()),
    st.text(st.characters()).map(ValueError),
    st.binary().map(OSError),
)
ODD_TEXTS = st.text(st.characters(), max_size=30)  # with surrogates
NUMBERS = st.floats() | st.integers()


def deep(levels: int, value: Any = None) -> Any:
    """A list in a list in a list …"""
    for _ in range(levels):
        value = [value]
    return value


def published(letter: DeadLetter) -> str | bytes:
    """The letter as kombu publishes it."""
    _, _, body = dumps(letter.to_message(), serializer="json")
    body.encode() if isinstance(body, str) else body.decode()
    return body


def assert_whole(letter: DeadLetter) -> None:
    """The letter can be published, is not too long, and is read back as it was."""
    body = published(letter)
    assert len(body) < LONGEST_LETTER
    read = read_letter(body, {}, {})
    assert read.raw is None, read.text
    assert read == letter or json.loads(body) == json.loads(published(read))


def letter(error: BaseException, **fields: Any) -> DeadLetter:
    known = {
        "path": "/data/x.fits", "md5": None, "step": "validate", "reason": "X", "attempts": 1, "first_time": 1.0,
        "now": 2.0, "worker": "w", "message": None,
    }  # fmt: skip
    return letter_for(error, **{**known, **fields})


@pytest.mark.parametrize("odd", ODD_ERRORS)
def test_every_odd_exception_has_a_letter_of_bounded_size(odd: str) -> None:
    found = letter(ODD_ERRORS[odd]())
    assert_whole(found)
    assert len(found.text) <= 11 * LONGEST_TEXT
    assert len(found.traceback) <= 11 * LONGEST_TRACEBACK
    assert len(published(found)) < 1_500_000


@settings(deadline=None)
@given(
    ERRORS,
    ODD_TEXTS,
    st.none() | ODD_TEXTS,
    st.integers(),
    NUMBERS,
    st.dictionaries(ODD_TEXTS, JSON | NUMBERS | ODD_TEXTS | st.binary() | st.datetimes()),
)
def test_any_exception_and_any_message_have_a_letter(
    error: Exception, path: str, md5: str | None, attempts: int, first_time: float, message: dict[str, Any]
) -> None:
    assert_whole(letter(error, path=path, md5=md5, attempts=attempts, first_time=first_time, message=message))


def test_every_field_of_a_letter_is_bounded() -> None:
    found = letter(ValueError(), path="x" * 10_000_000, md5="x" * 1_000_000, attempts=10**5000, first_time=math.nan)
    assert_whole(found)
    assert len(published(found)) < 100_000


@pytest.mark.parametrize(
    "odd",
    [deep(900), float("nan"), "\udcff", b"bytes", {1: 2}, "x" * 20_000_000, 10**5000],
    ids=["deep", "not a number", "surrogate", "bytes", "number as name", "long", "huge number"],
)
def test_a_message_that_no_broker_takes_is_replaced_by_that_of_a_frame_that_begins_again(odd: Any) -> None:
    found = letter(ValueError(), message={"frame": {"state": "archived", "record": odd}}, attempts=3)
    assert found.message is not None
    again = FrameMessage.from_message(found.message)
    assert (again.frame, again.attempts) == (Named("/data/x.fits"), 3)


@pytest.mark.parametrize("levels", [*range(DEEPEST - 6, DEEPEST + 3), 5000])
def test_a_letter_with_a_message_of_any_depth_is_read_as_it_was_written(levels: int) -> None:
    message: dict[str, Any] = {"frame": "x"}
    for _ in range(levels - 1):
        message = {"frame": message}
    written = letter(ValueError(), message=message)
    assert (written.message == message) is (levels <= DEEPEST)
    assert read_letter(json.dumps(written.to_message()), {}, {}) == written


class Broker:
    """A Celery app that takes what a real one could send, and keeps it."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.tasks: list[str] = []
        self.letters: list[DeadLetter] = []
        self._raises = raises

    def send_task(self, _: str, *, kwargs: dict[str, Any], argsrepr: str, **__: Any) -> None:
        if self._raises is not None:
            raise self._raises
        assert len(argsrepr.encode()) < 3000
        dumps(kwargs, serializer="json")
        self.tasks.append(kwargs["frame"]["path"])

    @property
    def amqp(self) -> "Broker":
        return self

    def connection_for_write(self) -> None:
        pass

    def Producer(self, _: None) -> "Broker":  # noqa: N802 - Celery's name
        return self

    def producer_or_acquire(self, *_: object) -> "Broker":
        return self

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def publish(self, content: dict[str, Any], **_: Any) -> None:
        self.letters.append(read_letter(dumps(content, serializer="json")[2], {}, {}))


class Message:
    """A message of the FITS queue, and what became of it."""

    def __init__(self, body: Any) -> None:
        self.body = body
        self.became = ""

    def ack(self) -> None:
        self.became += "acknowledged"

    def requeue(self) -> None:
        self.became += "given back"


class NoPause(Listener):
    """The listener, without its wait before it gives a name back."""

    def _pause(self, seconds: float = 0.0) -> None:
        pass


def listened(body: Any, broker: Broker) -> str:
    message = Message(body)
    NoPause(None, broker, SETTINGS).on_message(message)
    return message.became


PATH = "/data/x.fits"
ODD_BODIES: dict[str, Any] = {
    "empty": b"",
    "nothing": None,
    "not UTF-8": b"\xff\xfe/data/x.fits",
    "a path that is not UTF-8": b"/data/\xff.fits",
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"path":' * 100_000,
    "a long text": b"x" * 2_000_000,
    "a long path": b"/" + b"/".join([b"x" * 200] * 21),
    "a path of 100 kB": b"/" + b"x" * 100_000,
    "a long name": b"/data/" + b"x" * 256,
    "a long name in UTF-8": ("/data/" + "ä" * 128).encode(),
    "a long path in JSON": json.dumps({"path": "/x" * 2048}).encode(),
    "a lone surrogate": json.dumps({"path": "/data/x\udcff.fits"}).encode(),
    "a lone surrogate as text": "/data/x\udcff.fits",
    "a zero byte": json.dumps({"path": "/data/x\0.fits"}).encode(),
    "an escape sequence": json.dumps({"path": "/data/\x1b[2Jx.fits"}).encode(),
    "a line break": json.dumps({"path": "/data/x\ny.fits"}).encode(),
    "right to left": json.dumps({"path": "/data/\u202ex.fits"}).encode(),
    "a relative path": b"x.fits",
    "a relative path in JSON": b'{"path": "data/x.fits"}',
    "a path of the home directory": b"~/x.fits",
    "a URL": b"file:///data/x.fits",
    "a number": b"1" * 10_000,
    "a huge number in JSON": b'{"path": ' + b"1" * 10_000 + b"}",
    "no number": b"NaN",
    "null": b'{"path": null}',
    "a list as the path": b'{"path": ["/data/x.fits"]}',
    "a list": b'["/data/x.fits"]',
    "XML": b"<path>/data/x.fits</path>",
    "no name": b"/",
}


@pytest.mark.parametrize("odd", ODD_BODIES)
def test_an_odd_body_becomes_a_letter_at_once_and_never_returns(odd: str) -> None:
    broker = Broker()
    assert listened(ODD_BODIES[odd], broker) == "acknowledged"
    assert broker.tasks == []
    [found] = broker.letters
    assert (found.reason, found.step) == ("MESSAGE_UNREADABLE", "listen")
    assert "Publish the absolute path" in found.text
    assert len(found.text) < 11_000


@settings(deadline=None)
@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()) | ODD_TEXTS)
def test_any_body_is_a_task_or_a_letter(body: Any) -> None:
    broker = Broker()
    assert listened(body, broker) == "acknowledged"
    assert len(broker.tasks) + len(broker.letters) == 1
    for found in broker.letters:
        assert_whole(found)


def test_the_longest_path_of_linux_is_taken() -> None:
    path = ("/" + "x" * 255) * 15 + "/" + "x" * 254
    assert len(path) == 4095
    assert parse(path.encode()) == path
    assert isinstance(parse(path.encode() + b"x"), Refused)
    assert isinstance(parse(json.dumps({"filename": path, "header": {"OBJECT": "M 31"}})), str)


@pytest.mark.parametrize("error", [OperationalError("away"), ConnectionResetError(), TimeoutError()])
def test_a_name_returns_if_the_broker_did_not_take_it(error: Exception) -> None:
    broker = Broker(error)
    assert listened(PATH.encode(), broker) == "given back"
    assert broker.letters == []


@pytest.mark.parametrize("error", [UnicodeEncodeError("utf-8", "\udcff", 0, 1, "no"), TypeError(), RecursionError()])
def test_a_name_that_could_not_be_sent_for_another_reason_is_a_letter_that_can_be_replayed(error: Exception) -> None:
    broker = Broker(error)
    assert listened(PATH.encode(), broker) == "acknowledged"
    [found] = broker.letters
    assert (found.reason, found.path) == ("PROGRAM_ERROR", PATH)
    assert found.message is not None
    assert FrameMessage.from_message(found.message).frame == Named(PATH)


class Loud(logging.Handler):
    """A handler that fails, as a formatter at the end of its stack does."""

    def emit(self, record: logging.LogRecord) -> None:
        raise RecursionError


@pytest.fixture
def failing_log(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every log line raises, except those of the metrics' own thread."""
    monkeypatch.setattr(logging.getLogger("lco_ingester.metrics"), "disabled", True)
    handler = Loud()
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)


@pytest.mark.usefixtures("failing_log")
@pytest.mark.parametrize("body", [PATH.encode(), b"", b"/data/x-l00.fits"])
def test_a_log_that_fails_does_not_bring_a_name_back(body: bytes) -> None:
    logging.getLogger("listener").setLevel(logging.INFO)
    assert listened(body, Broker()) == "acknowledged"


class Task:
    """What `tasks.py` gives to the body of the task; what it decided is kept."""

    def __init__(self, error: BaseException | None = None, services: Callable[[], Any] | None = None) -> None:
        self.retries: list[tuple[FrameMessage, int]] = []
        self.letters: list[DeadLetter] = []
        self._error = error
        self._services = services

    def file_at(self, path: str) -> Any:
        error = self._error

        class File:
            def __init__(self) -> None:
                self.path = path

            def fingerprint(self) -> Any:
                if error is not None:
                    raise error

            opened = fingerprint

        return File()

    def services(self) -> Any:
        if self._services is not None:
            return self._services()
        return Services(None, None, None, Metrics.off())  # type: ignore[arg-type]

    def run(self, message: FrameMessage, now: float = 1_800_000_000.0) -> str:
        context = TaskContext(
            services=self.services,
            rules=rules(),
            checks=checks(),
            file_at=self.file_at,
            retry_policies=POLICIES,
            retry=lambda again, seconds: self.retries.append((again, seconds)),
            bury=self.letters.append,
            worker="w",
            now=lambda: now,
        )
        return ingest(message, False, context)


def test_a_time_limit_that_was_caught_on_the_way_is_still_one() -> None:
    caught = HookError("a site's own file type failed")
    caught.__cause__ = ValueError()
    caught.__cause__.__cause__ = SoftTimeLimitExceeded()
    task = Task(caught)
    assert task.run(FrameMessage(Named(PATH))).endswith(": TOOK_TOO_LONG")
    assert task.letters == []


def test_a_state_of_other_settings_keeps_their_fingerprint_while_the_file_cannot_be_read_again() -> None:
    """Otherwise its record, made with the wrong settings, would count as one of the right settings."""
    facts = StorageFacts({}, "raw", "2026-01-01T00:00:00", "2026-01-01T00:00:00")
    frame = Validated(PATH, "x", ".fits", "0" * 32, Fingerprint(1), {}, facts)
    task = Task(FileSystemUnavailableError())
    task.run(FrameMessage(frame, settings_fingerprint="of the wrong ones"))
    [(again, _)] = task.retries
    assert again.frame == frame
    assert again.settings_fingerprint == "of the wrong ones"


EXPIRED = RetryState(FailureKind.DEPLOYMENT, 1.0, 3)


@pytest.mark.parametrize("odd", sorted(ODD_ERRORS.keys() - {"ours", "memory"}))
def test_an_unknown_exception_waits_loudly_and_then_is_a_letter_with_its_traceback(
    odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    task = Task(ODD_ERRORS[odd]())
    assert task.run(FrameMessage(Named(PATH))).endswith(": PROGRAM_ERROR")
    [(again, seconds)] = task.retries
    assert again.retry_state is not None
    assert (again.retry_state.kind, task.letters) == (FailureKind.DEPLOYMENT, [])
    assert 1 <= seconds <= 900
    [record] = caplog.records
    assert (record.levelname, record.reason) == ("ERROR", "PROGRAM_ERROR")  # type: ignore[attr-defined]
    assert "ProgramError" in record.exception  # type: ignore[attr-defined]
    task.run(FrameMessage(Named(PATH), EXPIRED))
    [found] = task.letters
    assert (found.reason, found.error) == ("PROGRAM_ERROR", "ProgramError")
    assert PATH in found.text
    assert_whole(found)


def test_the_traceback_of_an_unknown_exception_shows_where_it_was_raised() -> None:
    task = Task(ZeroDivisionError("by zero"))
    task.run(FrameMessage(Named(PATH), EXPIRED))
    [found] = task.letters
    assert "ZeroDivisionError in step validate: by zero" in found.text
    assert "in fingerprint" in found.traceback


FIELDS = st.sampled_from(("frame", "trouble", "attempts", "first_time", "replayed", "made_with", "version", "other"))


def raising(error: Exception) -> Callable[[], Any]:
    """A function that raises the error."""

    def raises() -> Any:
        raise error

    return raises


KWARGS = st.dictionaries(FIELDS, JSON | NUMBERS)
WRITTEN = st.builds(FrameMessage, FRAMES, attempts=st.integers(), first_time=st.floats()).map(FrameMessage.to_message)


@settings(deadline=None)
@given(KWARGS | WRITTEN | st.builds(lambda one, other: {**one, **other}, WRITTEN, KWARGS), ERRORS)
def test_any_keyword_arguments_of_a_task_are_unreadable_or_end_as_a_retry_or_a_letter(
    kwargs: dict[str, Any], error: Exception
) -> None:
    try:
        message = FrameMessage.from_message(kwargs)
    except UnreadableMessageError:
        body = json.dumps([[], kwargs, {}])
        assert json.dumps(read_letter(body, {"x-death": [{"reason": "rejected"}]}, {}).to_message())
        return
    for known in (error, FileMissingError(), HeaderMissingError()):
        task = Task(services=raising(known))
        task.run(message)
        assert len(task.retries) + len(task.letters) == 1
        for found in task.letters:
            assert_whole(found)
        for again, _ in task.retries:
            dumps(again.to_message(), serializer="json")


no_services = raising(ValueError("invalid port"))  # as for a wrong URL of a broker


@pytest.mark.usefixtures("failing_log")
@pytest.mark.parametrize(
    ("error", "state", "outcome"),
    [
        (FileMissingError(), None, "retry"),
        (HeaderMissingError(), None, "letter"),
        (ZeroDivisionError(), None, "retry"),
        (ZeroDivisionError(), EXPIRED, "letter"),
    ],
)
def test_after_a_decision_neither_log_nor_metrics_bring_the_message_back(
    error: Exception, state: RetryState | None, outcome: str
) -> None:
    opened = iter([Services(None, None, None, Metrics.off())])  # type: ignore[arg-type]
    task = Task(error, lambda: next(opened, None) or no_services())
    task.run(FrameMessage(Named(PATH), state))
    assert (len(task.retries), len(task.letters)) == ((1, 0) if outcome == "retry" else (0, 1))


def test_a_frame_with_a_record_that_cannot_be_written_begins_again_from_its_letter() -> None:
    task = Task(services=raising(HeaderMissingError()))
    task.run(FrameMessage(Archived(PATH, "0" * 32, {"deep": deep(800)})))
    [found] = task.letters
    assert_whole(found)
    assert found.message is not None
    assert FrameMessage.from_message(found.message).frame == Named(PATH)


@pytest.mark.usefixtures("failing_log")
def test_a_circuit_that_cannot_report_does_not_replace_the_answer_of_the_server() -> None:
    outcomes = iter([FileMissingError(), StoreUnavailableError(), None])

    def ask() -> str:
        if error := next(outcomes):
            raise error
        return "answer"

    breaker = Breaker("S3", StoreUnavailableError, 1, 0.01, BrokenMetrics())
    with pytest.raises(FileMissingError):
        breaker.guard(ask)()
    with pytest.raises(StoreUnavailableError):
        breaker.guard(ask)()
    time.sleep(0.02)
    assert breaker.guard(ask)() == "answer"


def test_services_that_cannot_be_opened_cost_no_letter() -> None:
    task = Task(services=no_services)
    assert task.run(FrameMessage(Named(PATH))).endswith("PROGRAM_ERROR")
    assert (len(task.retries), len(task.letters)) == (1, 0)


class BrokenMetrics(Metrics):
    """Metrics whose client fails in an unknown way."""

    def __init__(self) -> None:
        super().__init__(sys, "name", asynchronous=False)


@pytest.mark.usefixtures("failing_log")
def test_an_announced_frame_is_not_announced_again_because_a_report_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    logging.getLogger("ingester_app.ingest").setLevel(logging.INFO)
    task = Task(services=lambda: Services(None, None, None, BrokenMetrics()))  # type: ignore[arg-type]
    assert task.run(FrameMessage(Archived(PATH, "0" * 32, {}))) == "archived"
    assert (task.retries, task.letters) == ([], [])


def test_a_report_never_raises() -> None:
    logs.report(logging.getLogger("x"), logging.ERROR, "event", name="a field that logging keeps for itself")


def test_metrics_never_raise() -> None:
    metrics = BrokenMetrics()
    metrics.send("name", 1, tag=7)  # type: ignore[arg-type]
