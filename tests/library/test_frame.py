"""Frames travel in messages and come out as they went in."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lco_ingester.frame import (
    Archived,
    Facts,
    Fingerprint,
    Frame,
    InArchive,
    Named,
    Uploaded,
    Validated,
    from_message,
    md5_of,
    path_of,
    to_message,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=5,
)
RECORDS = st.dictionaries(st.text(), JSON, max_size=5)
TEXTS = st.text(max_size=20)
FINGERPRINTS = st.builds(Fingerprint, st.integers(0), st.none() | st.integers(), st.none() | st.integers(0))
FACTS = st.builds(Facts, st.dictionaries(TEXTS, st.none() | TEXTS, max_size=3), TEXTS, TEXTS, TEXTS)
VALIDATED = st.builds(Validated, TEXTS, TEXTS, TEXTS, TEXTS, FINGERPRINTS, RECORDS, FACTS)
FRAMES = st.one_of(
    st.builds(Named, TEXTS),
    VALIDATED,
    st.builds(Uploaded, VALIDATED, TEXTS),
    st.builds(InArchive, VALIDATED, st.none() | TEXTS),
    st.builds(Archived, TEXTS, TEXTS, RECORDS),
)


@given(FRAMES)
def test_a_frame_survives_its_way_as_a_message(frame: Frame) -> None:
    assert from_message(json.loads(json.dumps(to_message(frame)))) == frame


@given(FRAMES)
def test_every_frame_knows_its_path_and_all_but_a_name_their_md5(frame: Frame) -> None:
    inside = frame.validated if isinstance(frame, (Uploaded, InArchive)) else frame
    assert path_of(frame) == inside.path
    assert md5_of(frame) == getattr(inside, "md5", None)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"path": "a.fits"},
        {"state": "named"},
        {"state": "named", "path": "a.fits", "more": 1},
        {"state": "sent", "path": "a.fits"},
        {"state": None, "path": "a.fits"},
        {"state": "validated", "path": "a.fits", "fingerprint": 7},
        {"state": "uploaded", "validated": {"path": "a.fits"}, "version_id": "x"},
        {"state": "uploaded", "validated": None, "version_id": "x"},
    ],
)
def test_a_message_of_another_shape_is_a_value_error(message: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no frame in state"):
        from_message(message)
