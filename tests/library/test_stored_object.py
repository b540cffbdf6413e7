"""The S3 object of a frame: its key and its headers."""

from datetime import timedelta
from typing import Any

import pytest

from lco_ingester.exceptions import HeaderValueError
from lco_ingester.file.types import file_type
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
