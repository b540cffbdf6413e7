"""The path and the md5 of every state of a frame."""

from hypothesis import given
from hypothesis import strategies as st

from lco_ingester.frame import (
    Archived,
    Fingerprint,
    Frame,
    InArchive,
    Named,
    StorageFacts,
    Uploaded,
    Validated,
    md5_of,
    path_of,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=5,
)
RECORDS = st.dictionaries(st.text(), JSON, max_size=5)
TEXTS = st.text(max_size=20)
FINGERPRINTS = st.builds(Fingerprint, st.integers(0), st.none() | st.integers(), st.none() | st.integers(0))
FACTS = st.builds(StorageFacts, st.dictionaries(TEXTS, st.none() | TEXTS, max_size=3), TEXTS, TEXTS, TEXTS)
VALIDATED = st.builds(Validated, TEXTS, TEXTS, TEXTS, TEXTS, FINGERPRINTS, RECORDS, FACTS)
FRAMES = st.one_of(
    st.builds(Named, TEXTS),
    VALIDATED,
    st.builds(Uploaded, VALIDATED, TEXTS),
    st.builds(InArchive, VALIDATED, st.none() | TEXTS),
    st.builds(Archived, TEXTS, TEXTS, RECORDS),
)


@given(FRAMES)
def test_every_frame_knows_its_path_and_all_but_a_name_their_md5(frame: Frame) -> None:
    inside = frame.validated if isinstance(frame, (Uploaded, InArchive)) else frame
    assert path_of(frame) == inside.path
    assert md5_of(frame) == getattr(inside, "md5", None)
