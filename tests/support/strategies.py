"""Hypothesis strategies: any frame in each of its states, and any object that JSON can hold."""

from hypothesis import strategies as st

from lco_ingester.file.datafile import split_name
from lco_ingester.frame import Archived, Fingerprint, InArchive, Named, StorageFacts, Uploaded, Validated

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=5)
TEXTS = st.text(max_size=20)
FINGERPRINTS = st.builds(Fingerprint, st.integers(0), st.none() | st.integers(), st.none() | st.integers(0))
TIMES = st.datetimes().map(lambda time: time.isoformat())
MD5S = st.binary(min_size=16, max_size=16).map(bytes.hex)
PATHS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).map(
    lambda name: f"/data/{name}x"
)
FACTS = st.builds(StorageFacts, st.dictionaries(TEXTS, st.none() | TEXTS, max_size=3), TEXTS, TIMES, TIMES)
VALIDATED = PATHS.flatmap(
    lambda path: st.builds(
        Validated, st.just(path), *map(st.just, split_name(path)), MD5S, FINGERPRINTS, OBJECTS, FACTS
    )
)
ARCHIVED = st.builds(lambda record, number: {**record, "frameid": number}, OBJECTS, st.integers(1))
FRAMES = st.one_of(
    st.builds(Named, PATHS),
    VALIDATED,
    st.builds(Uploaded, VALIDATED, TEXTS),
    st.builds(InArchive, VALIDATED, st.none() | TEXTS),
    st.builds(Archived, PATHS, MD5S, ARCHIVED),
)
