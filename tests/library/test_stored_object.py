"""The S3 object of a frame: its key and its headers."""

import io
import re
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from urllib.request import urlopen

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from lco_ingester.exceptions import HeaderValueError
from lco_ingester.file.datafile import StreamFile
from lco_ingester.file.types import file_type
from lco_ingester.frame import StorageFacts
from lco_ingester.metrics import Metrics
from lco_ingester.record.build import facts_of
from lco_ingester.record.stored_object import StoredObject, describe_object
from lco_ingester.steps import read_frame
from tests.support.servers import S3Server
from tests.support.synthetic import CARDS, checks, image, rules


def described(name: str = "a-e00.fits", extension: str = ".fits", age_days: int = 1, **changes: Any) -> StoredObject:
    facts = facts_of({**CARDS, **changes, "basename": name.partition(".")[0]}, rules().keys)
    return describe_object(facts, name, file_type(extension).content_type, timedelta(days=age_days))


def disposition(name: str) -> str:
    return describe_object(StorageFacts({}, "raw", "", ""), name, None, timedelta()).content_disposition


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


@pytest.mark.parametrize("name", ["a-e00.fits.fz", "a_b~c.tar.gz", "a!#$&+^`|.fits"])
def test_the_disposition_names_the_file(name: str) -> None:
    assert described(name).content_disposition == f"attachment; filename={name}"


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("field 1.fits", "filename=\"field 1.fits\"; filename*=UTF-8''field%201.fits"),
        ("a;b.fits", "filename=\"a;b.fits\"; filename*=UTF-8''a%3Bb.fits"),
        ('a"b\\c.fits', "filename=\"a_b_c.fits\"; filename*=UTF-8''a%22b%5Cc.fits"),
        ("it's.fits", "filename=\"it's.fits\"; filename*=UTF-8''it%27s.fits"),
        ("caf\u00e9-e00.fits", "filename=\"caf_-e00.fits\"; filename*=UTF-8''caf%C3%A9-e00.fits"),
        ("50% (1).fits", "filename=\"50_ (1).fits\"; filename*=UTF-8''50%25%20%281%29.fits"),
    ],
)
def test_a_name_that_is_not_a_token_is_there_encoded_and_in_ascii(name: str, parameters: str) -> None:
    assert described(name).content_disposition == f"attachment; {parameters}"


@settings(max_examples=500, deadline=None, derandomize=True)
@given(name=st.one_of(st.text("ab .;,=\"'\\%*()/\u00e9\u0142\u2603\U0001f52d", min_size=1), st.text(min_size=1)))
def test_readers_of_a_disposition_find_any_name_again(name: str) -> None:
    assume(name.isprintable() and "/" not in name)  # not the name of a file, or refused (FILE_NAME_UNUSABLE)
    assume(name.strip() not in ("", ".", "..") and len(name.encode()) < 900)
    value = disposition(name)
    assert value.isascii()
    assert value.isprintable()
    kind, found = parse_options_header(value)
    assert (kind, found["filename"]) == ("attachment", name)
    message = EmailMessage()
    # Of the two forms Python's email takes the first; RFC 6266 prefers the encoded one, wherever it stands.
    message["Content-Disposition"] = re.sub(' filename="[^"]*";', "", value)
    header = message["Content-Disposition"]
    assert (header.content_disposition, header.params["filename"]) == ("attachment", name)


@pytest.mark.parametrize("name", ["a-e00.fits", "field 1;2.fits", 'a"b.fits', "caf\u00e9 \u2603-e00.fits"])
def test_a_store_takes_and_returns_any_disposition(s3: S3Server, name: str) -> None:
    client = s3.client()
    client.put_object(Bucket=s3.bucket, Key="disposition/x", Body=b"1", ContentDisposition=disposition(name))
    answer = client.head_object(Bucket=s3.bucket, Key="disposition/x")
    assert parse_options_header(answer["ContentDisposition"])[1]["filename"] == name
    url = client.generate_presigned_url("get_object", Params={"Bucket": s3.bucket, "Key": "disposition/x"})
    with urlopen(url) as download:
        assert parse_options_header(download.headers["Content-Disposition"])[1]["filename"] == name


@pytest.mark.parametrize(
    ("days", "storage_class"), [(0, "STANDARD"), (60, "STANDARD"), (61, "STANDARD_IA"), (-3, "STANDARD")]
)
def test_the_storage_class_goes_by_the_age(days: int, storage_class: str) -> None:
    assert described(age_days=days).storage_class == storage_class


@pytest.mark.parametrize("class_of_old", ["STANDARD", "GLACIER_IR", ""])
def test_the_class_of_old_frames_can_be_set(class_of_old: str) -> None:
    facts = StorageFacts({}, "raw", "", "")
    classes = [
        describe_object(facts, "a.fits", None, timedelta(days=days), class_of_old).storage_class for days in (60, 61)
    ]
    assert classes == ["STANDARD", class_of_old]


# Values that cannot be a part of the key


@pytest.mark.parametrize("keyword", ["SITEID", "INSTRUME", "DAY-OBS"])
@pytest.mark.parametrize(
    "value",
    [
        "a/b", "/", "../etc", "..", ".", " .. ", "a\\b", "\\", "a\nb", "a\x00", "\x7f", "\x9f", "\u2028", "\ud800", " ",
        "a\u202eb", "\u200b", "\ufeff", "a\tb", "\x1b[2J", "..\u200b", "coj/../../x", "../..",
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
    assert key.isprintable()
    assert len(key.encode()) <= 1024


@pytest.mark.parametrize("folder", ["night_cat", "x-bpm", "bpm-1", "a-t00", "a-e91.fits_files"])
def test_a_folder_never_gives_a_frame_its_role(folder: str) -> None:
    def read(path: str) -> Any:
        validated = read_frame(StreamFile(io.BytesIO(image()), path), rules(), checks(), Metrics.off())
        return validated.record, validated.facts

    assert read(f"/{folder}/a-e00.fits") == read("a-e00.fits")
