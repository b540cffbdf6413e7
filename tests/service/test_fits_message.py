"""Bodies, letters and frames' messages as plain values."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingester_app.dead_letters import letter_for, read_letter
from ingester_app.fits_message import Refused, is_ignored, parse
from ingester_app.schema import FrameMessage
from lco_ingester.exceptions import HeaderMissingError
from lco_ingester.frame import Named


@pytest.mark.parametrize(
    "body", [b'{"path": "/data/x.fits"}', b'{"filename": "/data/x.fits"}', b'"/data/x.fits"', b" /data/x.fits\n"]
)
def test_these_bodies_name_a_file(body: bytes) -> None:
    assert parse(body) == "/data/x.fits"


@pytest.mark.parametrize(
    "body", [b"", b"  ", b"null", b"3", b"[]", b"{}", b'{"path": null}', b"/data/", b"a\0b", b"<html>", b'{"path', b"/"]
)
def test_these_bodies_name_no_file_and_say_why(body: bytes) -> None:
    if body == b"/data/":
        assert parse(body) == "/data/"  # whether it is a directory is for the worker to see
    else:
        refused = parse(body)
        assert isinstance(refused, Refused)
        assert refused.reason


def test_deep_json_is_refused_like_any_other_body_that_is_not_a_path() -> None:
    assert isinstance(parse(b"[" * 100_000), Refused)


@given(st.binary(max_size=200))
def test_no_body_makes_the_listener_raise(body: bytes) -> None:
    assert isinstance(parse(body), str | Refused)


@pytest.mark.parametrize(
    ("path", "ignored"),
    [("/data/a-l00.fits", True), ("/data/tstnrs01.fits", True), ("/data-l00/a-e00.fits", False), ("a-e00.fits", False)],
)
def test_a_name_is_ignored_because_of_the_file_name_and_not_of_its_directory(path: str, ignored: bool) -> None:
    assert is_ignored(path, ("-l00", "tstnrs")) is ignored


def a_letter(**fields: Any) -> Any:
    given_fields = {
        "path": "/data/x.fits", "md5": None, "step": "validate", "reason": "HEADER_MISSING", "attempts": 1,
        "first_time": 1.0, "now": 2.0, "worker": "w", "message": FrameMessage(Named("/data/x.fits")).to_message(),
    }  # fmt: skip
    return letter_for(HeaderMissingError(frame="/data/x.fits"), **{**given_fields, **fields})


def test_the_same_failure_of_the_same_message_is_the_same_letter() -> None:
    assert a_letter().id == a_letter(now=9.0).id
    assert a_letter().id != a_letter(attempts=2).id
    assert a_letter().id != a_letter(first_time=5.0).id


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"[1,2,3]", b'{"id": 1}', b"\xff\xfe"])
def test_what_the_broker_dead_lettered_is_a_letter_whatever_it_holds(body: bytes) -> None:
    letter = read_letter(body, {"x-death": [{"reason": "rejected", "queue": "ingest"}]}, {})
    assert letter.reason == "MESSAGE_UNREADABLE"
    assert letter.message is None


def test_a_task_at_its_delivery_limit_is_a_letter_with_its_frame() -> None:
    task = FrameMessage(Named("/data/x.fits"), attempts=4, first_time=5.0).to_message()
    headers = {"x-death": [{"reason": "delivery_limit", "queue": "ingest"}], "id": "task-id"}
    letter = read_letter(json.dumps([[], task, {}]), headers, {})
    assert (letter.id, letter.reason, letter.path, letter.attempts) == ("task-id", "DELIVERY_LIMIT", "/data/x.fits", 5)
    assert letter.message == task
