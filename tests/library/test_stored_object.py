"""The S3 object of a frame: its key and its headers."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lco_ingester.exceptions import HeaderValueError
from lco_ingester.file.types import file_type
from lco_ingester.frame import StorageFacts
from lco_ingester.record.build import facts_of
from lco_ingester.record.stored_object import StoredObject, describe_object
from tests.support.synthetic import CARDS, rules


def described(name: str = "a-e00.fits", extension: str = ".fits", age_days: int = 1, **changes: Any) -> StoredObject:
    facts = facts_of({**CARDS, **changes, "basename": name.partition(".")[0]}, rules().keys)
    return describe_object(facts, name, file_type(extension).content_type, timedelta(days=age_days))


@pytest.mark.parametrize(
    ("level", "folder"),
    [(0, "raw"), ("0", "raw"), ("00", "raw"), (91, "processed"), ("91", "processed"), ("", "processed")],
)
def test_the_key_names_site_instrument_day_level_and_file(level: Any, folder: str) -> None:
    assert described(RLEVEL=level).key == f"coj/fa12/20200101/{folder}/a-e00.fits"


@pytest.mark.parametrize(
    ("name", "cards"),
    [
        ("a.fits", {"OBSTYPE": "BPM"}),
        ("a.fits", {"EXTNAME": "BPM"}),
        ("bpm-a.fits", {}),
        ("bpm_a.fits.fz", {}),
        ("a-bpm.fits", {}),
        ("a_bpm.fits", {}),
        ("a-bpm-b.fits", {}),
        ("a_bpm-b.fits", {"RLEVEL": 91}),
    ],
)
def test_a_bad_pixel_mask_has_a_place_of_its_own(name: str, cards: dict[str, Any]) -> None:
    assert described(name, **cards).key == f"coj/fa12/bpm/{name}"


@pytest.mark.parametrize("name", ["abpm.fits", "a-bpmx.fits", "a.bpm-b.fits", "BPM-a.fits", "bpm.fits"])
def test_a_name_that_only_resembles_a_mask_is_not_a_mask(name: str) -> None:
    assert described(name).key == f"coj/fa12/20200101/raw/{name}"


@pytest.mark.parametrize("keyword", ["SITEID", "INSTRUME", "DAY-OBS"])
@pytest.mark.parametrize("value", ["", None])
def test_a_key_cannot_be_made_without_its_parts(keyword: str, value: Any) -> None:
    with pytest.raises(HeaderValueError) as raised:
        described(**{keyword: value})
    assert raised.value.check == keyword


@pytest.mark.parametrize(
    ("extension", "content_type"),
    [
        (".fits", "image/fits"),
        (".fits.fz", "image/fits"),
        (".tar.gz", "application/x-tar"),
        (".tar", "application/x-tar"),
        (".fits.gz", None),
        (".pdf", "application/pdf"),
        (".jpg", "image/jpeg"),
        (".jpeg", "image/jpeg"),
        ("", None),
    ],
)
def test_the_content_type_goes_by_the_extension(extension: str, content_type: str | None) -> None:
    assert described(f"a{extension}", extension).content_type == content_type


def test_the_disposition_names_the_file() -> None:
    assert described("a-e00.fits.fz").content_disposition == "attachment; filename=a-e00.fits.fz"


@pytest.mark.parametrize(
    ("days", "storage_class"), [(0, "STANDARD"), (60, "STANDARD"), (61, "STANDARD_IA"), (-3, "STANDARD")]
)
def test_the_storage_class_goes_by_the_age(days: int, storage_class: str) -> None:
    assert described(age_days=days).storage_class == storage_class


# Values that cannot be a part of the key


@pytest.mark.parametrize("keyword", ["SITEID", "INSTRUME", "DAY-OBS"])
@pytest.mark.parametrize(
    "value",
    [
        "a/b", "/", "../etc", "..", ".", " .. ", "a\\b", "\\", "a\nb", "a\x00", "\x7f", "\x9f", "\u2028", "\ud800", " ",
        True, [], ["a"], {"a": 1},
    ],
)  # fmt: skip
def test_a_value_that_would_make_another_key_is_refused(keyword: str, value: Any) -> None:
    with pytest.raises(HeaderValueError) as raised:
        described(**{keyword: value})
    assert raised.value.check == keyword
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    "value", ["fa 12", "fa#12", "...", "..a", ".a", "a..b", "='x", "%2F", "é", "NRES+1", "a:b?", "~", "７"]
)
def test_any_other_name_is_good(value: str) -> None:
    assert described(INSTRUME=value).key == f"coj/{value}/20200101/raw/a-e00.fits"


@pytest.mark.parametrize(("value", "segment"), [(7, "7"), (0, "0"), (1.5, "1.5")])
def test_a_number_is_a_name(value: Any, segment: str) -> None:
    assert described(INSTRUME=value).key == f"coj/{segment}/20200101/raw/a-e00.fits"


FORGED = StorageFacts({"SITEID": "coj", "INSTRUME": "fa12"}, "raw", "2020-01-02T00:00:00", "2020-01-02T00:00:00")


@pytest.mark.parametrize(
    "facts",
    [
        replace(FORGED, folder=".."),
        replace(FORGED, folder="raw/../../sor"),
        replace(FORGED, folder=""),
        replace(FORGED, key_prefix={"SITEID": "coj", "INSTRUME": ".."}),
        replace(FORGED, key_prefix={"SITEID": {"..": ".."}}),
    ],
)
def test_a_message_cannot_forge_the_key_of_another_place(facts: StorageFacts) -> None:
    with pytest.raises(HeaderValueError):
        describe_object(facts, "a-e00.fits", None, timedelta())


@pytest.mark.parametrize("name", ["../a.fits", "..", "a/b.fits", ""])
def test_a_file_name_is_one_part_of_the_key(name: str) -> None:
    with pytest.raises(HeaderValueError):
        describe_object(FORGED, name, None, timedelta())


@pytest.mark.parametrize("character", ["a", "é"])
def test_a_key_is_no_longer_than_s3_takes(character: str) -> None:
    longest = (1024 - len("coj//20200101/raw/a-e00.fits")) // len(character.encode())
    assert described(INSTRUME=character * longest).key
    with pytest.raises(HeaderValueError, match="at most 1024 bytes"):
        described(INSTRUME=character * (longest + 1))


@given(st.dictionaries(st.text(max_size=3), st.text() | st.integers() | st.none(), max_size=3), st.text(), st.text())
def test_a_key_has_as_many_parts_as_it_is_made_of(prefix: dict[str, Any], folder: str, name: str) -> None:
    try:
        key = describe_object(replace(FORGED, key_prefix=prefix, folder=folder), name, None, timedelta()).key
    except HeaderValueError:
        return
    parts = key.split("/")
    assert len(parts) == len(prefix) + 2
    assert not {"", ".", ".."} & set(parts)
    assert key.encode()
