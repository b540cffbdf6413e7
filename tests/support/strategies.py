"""Hypothesis strategies: any frame in each of its states, and any object that JSON can hold."""

from hypothesis import strategies as st

from lco_ingester.frame import Archived, Fingerprint, InArchive, Named, StorageFacts, Uploaded, Validated

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=5)
TEXTS = st.text(max_size=20)
FINGERPRINTS = st.builds(Fingerprint, st.integers(0), st.none() | st.integers(), st.none() | st.integers(0))
FACTS = st.builds(StorageFacts, st.dictionaries(TEXTS, st.none() | TEXTS, max_size=3), TEXTS, TEXTS, TEXTS)
VALIDATED = st.builds(Validated, TEXTS, TEXTS, TEXTS, TEXTS, FINGERPRINTS, OBJECTS, FACTS)
FRAMES = st.one_of(
    st.builds(Named, TEXTS),
    VALIDATED,
    st.builds(Uploaded, VALIDATED, TEXTS),
    st.builds(InArchive, VALIDATED, st.none() | TEXTS),
    st.builds(Archived, TEXTS, TEXTS, OBJECTS),
)
