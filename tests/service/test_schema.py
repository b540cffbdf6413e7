"""Messages and dead letters survive JSON, other releases, and unknown fields."""

import json
import pickle
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingester_app.dead_letter_queue import can_be_replayed
from ingester_app.dead_letters import letter_for, read_letter
from ingester_app.schema import (
    STATES,
    VERSION,
    DeadLetter,
    FrameMessage,
    RetryState,
    UnreadableMessageError,
    for_replay,
)
from lco_ingester.exceptions import FailureKind
from lco_ingester.frame import (
    Named,
    md5_of,
    path_of,
)
from tests.support.strategies import FRAMES, OBJECTS, TEXTS

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*/*.json"))
FRAMES_OF_OLD = [file for file in GOLDEN if file.name.startswith("frame_")]
LETTERS_OF_OLD = [file for file in GOLDEN if file.name.startswith("letter")]

RETRY_STATES = st.builds(RetryState, st.sampled_from(FailureKind), st.floats(0, 1e10), st.integers(0, 1000))
MESSAGES = st.builds(
    FrameMessage, FRAMES, st.none() | RETRY_STATES, st.integers(0), st.floats(0, 1e10), st.booleans(), TEXTS
)
LETTERS = st.builds(
    DeadLetter,
    id=st.text(min_size=1),
    path=TEXTS,
    md5=st.none() | TEXTS,
    reason=st.text(min_size=1),
    attempts=st.integers(0, 10**9),
    last_time=st.floats(0, 1e10),
    message=st.none() | OBJECTS,
)


def stored(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def sent(data: dict[str, Any]) -> dict[str, Any]:
    """The data as they come out of a queue."""
    received: dict[str, Any] = json.loads(json.dumps(data))
    return received


class TestFrameMessage:
    @given(MESSAGES)
    def test_survives_json(self, message: FrameMessage) -> None:
        assert FrameMessage.from_message(sent(message.to_message())) == message

    @given(MESSAGES, OBJECTS)
    def test_loses_nothing_if_a_later_release_adds_fields_anywhere(
        self, message: FrameMessage, unknown: dict[str, Any]
    ) -> None:
        def with_more(value: Any, path: str = "") -> Any:
            # The record and the key's keywords are the frame's own: nobody adds to them.
            if not isinstance(value, dict) or path in ("record", "place"):
                return value
            known = {name: with_more(inner, name) for name, inner in value.items()}
            return {**{f"new_{name}": inner for name, inner in unknown.items()}, "later": 1, **known}

        assert FrameMessage.from_message(sent(with_more(message.to_message()))) == message

    @pytest.mark.parametrize("file", FRAMES_OF_OLD, ids=lambda file: f"{file.parent.name}-{file.stem}")
    def test_of_an_earlier_release_is_read(self, file: Path) -> None:
        message = FrameMessage.from_message(stored(file))
        assert path_of(message.frame).startswith("/data/coj/")
        assert message.first_time == 1793577600.25
        if file.stem == "frame_new":
            assert message == FrameMessage(Named(path_of(message.frame)), first_time=1793577600.25)
            return
        assert type(message.frame) is STATES[file.stem.removeprefix("frame_")]
        assert (message.attempts, message.settings_fingerprint) == (3, "0a1b2c3d4e5f")
        assert message.retry_state is not None
        assert message.retry_state.since == 1793577601.5

    @pytest.mark.parametrize("file", FRAMES_OF_OLD, ids=lambda file: f"{file.parent.name}-{file.stem}")
    def test_is_written_in_words_that_an_earlier_release_reads(self, file: Path) -> None:
        """3.0.0 refuses a frame with a key more or less; beside the frame it ignores what it does not know."""
        old, new = stored(file), sent(FrameMessage.from_message(stored(file)).to_message())
        assert new["frame"] == old["frame"]
        assert {name: new[name] for name in old} == old
        assert new.keys() <= {"frame", "trouble", "attempts", "first_time", "replayed", "made_with", "version"}

    def test_knows_the_states_of_old_by_names_that_no_class_decides(self) -> None:
        assert sorted(STATES) == ["archived", "inarchive", "named", "uploaded", "validated"]
        assert {file.stem.removeprefix("frame_") for file in FRAMES_OF_OLD} == {*STATES, "new"}

    @pytest.mark.parametrize(
        "frame",
        [
            None, 3, {}, {"path": "a.fits"}, {"state": "named"}, {"state": "sent", "path": "a.fits"},
            {"state": None, "path": "a.fits"}, {"state": "named", "path": None},
            {"state": "validated", "path": "a.fits", "fingerprint": 7},
            {"state": "uploaded", "validated": {"path": "a.fits"}, "version_id": "x"},
            {"state": "uploaded", "validated": None, "version_id": "x"},
        ],
        ids=str,
    )  # fmt: skip
    def test_that_holds_no_frame_says_which_field_is_wrong(self, frame: Any) -> None:
        with pytest.raises(UnreadableMessageError, match="holds no frame: frame") as raised:
            FrameMessage.from_message({"frame": frame})
        assert not raised.value.is_newer

    def test_that_cannot_be_read_shows_whether_a_later_release_wrote_it(self) -> None:
        with pytest.raises(UnreadableMessageError) as raised:
            FrameMessage.from_message({"frame": {"state": "split", "parts": []}, "version": VERSION + 1})
        assert raised.value.is_newer

    @given(MESSAGES, OBJECTS)
    def test_is_replayed_with_all_that_it_held(self, message: FrameMessage, unknown: dict[str, Any]) -> None:
        before = {**{f"new_{name}": value for name, value in unknown.items()}, **message.to_message()}
        again = for_replay(before)
        assert {**again, "trouble": before["trouble"], "replayed": before["replayed"]} == before
        read = FrameMessage.from_message(sent(again))
        assert (read.retry_state, read.replayed, read.frame) == (None, True, message.frame)


class TestDeadLetter:
    @given(LETTERS)
    def test_survives_json(self, letter: DeadLetter) -> None:
        assert read_letter(json.dumps(letter.to_message()), {}, {}) == letter

    @given(LETTERS, OBJECTS)
    def test_of_a_later_release_is_read_whatever_it_holds_more(
        self, letter: DeadLetter, unknown: dict[str, Any]
    ) -> None:
        body = {**{f"new_{name}": value for name, value in unknown.items()}, **letter.to_message(), "version": 2}
        read = read_letter(json.dumps(body), {}, {})
        assert {**read.to_message(), "version": VERSION} == letter.to_message()

    @pytest.mark.parametrize("file", LETTERS_OF_OLD, ids=lambda file: f"{file.parent.name}-{file.stem}")
    def test_of_an_earlier_release_is_read_and_can_be_replayed(self, file: Path) -> None:
        old = stored(file)
        letter = read_letter(file.read_bytes(), {}, {})
        assert {name: value for name, value in letter.to_message().items() if name in old} == old
        assert can_be_replayed(letter) == (old["message"] is not None)
        if letter.message is not None:
            frame = FrameMessage.from_message(for_replay(letter.message)).frame
            assert (path_of(frame), md5_of(frame)) == (letter.path, letter.md5)

    @pytest.mark.parametrize("missing", ["traceback", "worker", "md5", "first_time", "attempts"])
    def test_without_a_field_is_read(self, missing: str) -> None:
        body = stored(LETTERS_OF_OLD[0])
        del body[missing]
        letter = read_letter(json.dumps(body), {}, {})
        assert (letter.path, letter.reason, letter.raw) == (body["path"], body["reason"], None)

    @pytest.mark.parametrize(
        ("field", "value"),
        [("attempts", "many"), ("md5", 3), ("message", "x"), ("first_time", None), ("text", []), ("worker", {})],
    )
    def test_with_a_field_that_cannot_be_read_shows_the_others_and_keeps_its_body(self, field: str, value: Any) -> None:
        body = json.dumps({**stored(LETTERS_OF_OLD[0]), field: value})
        letter = read_letter(body, {}, {})
        assert (letter.reason, letter.raw) == ("ARCHIVE_REFUSED", body)
        assert letter.path.startswith("/data/coj/")
        assert f"this release cannot read all of the letter: {field}" in letter.text
        assert can_be_replayed(letter) == (field != "message")

    @pytest.mark.parametrize(
        "body", ["{}", '{"id": 1}', '{"path": "/data/a.fits"}', "[]", "[1, 2, 3]", "", "no json", "3"]
    )
    def test_that_is_not_a_letter_is_listed_with_a_reason_and_an_id_and_keeps_its_body(self, body: str) -> None:
        letter = read_letter(body, {}, {})
        assert letter.reason == "MESSAGE_UNREADABLE"
        assert letter.id
        assert letter.raw == body
        assert not can_be_replayed(letter)
        assert json.loads(json.dumps(letter.to_message()))["raw"] == body

    def test_that_is_not_text_keeps_every_byte(self) -> None:
        assert read_letter(b"\xff\xfe a\\b", {}, {}).raw == "base64:" + b64encode(b"\xff\xfe a\\b").decode()

    def test_that_the_broker_made_of_a_task_we_cannot_read_names_its_file_and_keeps_the_task(self) -> None:
        task = {"frame": {"state": "split", "validated": {"path": "/data/x.fits"}}, "version": 9}
        letter = read_letter(json.dumps([[], task, {}]), {"x-death": [{"reason": "rejected", "queue": "ingest"}]}, {})
        assert (letter.reason, letter.path) == ("MESSAGE_UNREADABLE", "/data/x.fits")
        assert letter.message == task


class TestLaterRelease:
    def test_a_message_of_a_later_version_is_never_read_even_if_it_looks_like_ours(self) -> None:
        with pytest.raises(UnreadableMessageError, match="later release") as raised:
            FrameMessage.from_message({**FrameMessage(Named("/a.fits")).to_message(), "version": VERSION + 1})
        assert raised.value.is_newer

    def test_the_error_passes_between_the_processes_of_a_worker(self) -> None:
        error = pickle.loads(pickle.dumps(UnreadableMessageError("no frame", 7)))
        assert (str(error), error.version) == ("no frame", 7)

    @pytest.mark.parametrize(("message", "is_replayed"), [({}, False), ({"frame": 3}, False), ({"version": 9}, True)])
    def test_a_letter_is_replayed_if_somebody_can_read_its_message(
        self, message: dict[str, Any], is_replayed: bool
    ) -> None:
        assert can_be_replayed(DeadLetter(id="1", path="/a.fits", reason="X", message=message)) is is_replayed


def test_a_letter_for_a_name_that_is_not_utf_8_can_be_written() -> None:
    letter = letter_for(
        ValueError("\udcff"), path="/tmp/s\udcff.fits", md5=None, step="validate", reason="X", attempts=1,
        first_time=1.0, now=2.0, worker="w", message=None,
    )  # fmt: skip
    assert read_letter(json.dumps(letter.to_message()), {}, {}) == letter
