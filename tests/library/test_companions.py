"""Files without a header, which an archive of nested records accepts with metadata: summaries and thumbnails."""

import io
from typing import Any

import pytest
import requests

from lco_ingester.exceptions import (
    ArchiveRefusedError,
    CompanionError,
    DoNotRetryError,
    HeaderMissingError,
    HeaderValueError,
    NonFatalDoNotRetryError,
    TruncatedFrameError,
)
from lco_ingester.ingester import (
    ingest_thumbnail,
    upload_file_and_ingest_to_archive,
    upload_file_to_s3,
    validate_fits_and_create_archive_record,
)
from tests.support.servers import ArchiveServer, S3Server
from tests.support.synthetic import CARDS, image, new_basename

METADATA = {**CARDS, "OBSTYPE": "TARGET", "RLEVEL": 92, "PROPID": "calib"}
PICTURE = b"\xff\xd8\xff\xe0 a picture of "


@pytest.fixture(autouse=True)
def _neighbours(ocs_external_services: dict[str, str]) -> None:
    """Every function finds an archive of nested records."""


def summary() -> io.BytesIO:
    """A .pdf unlike all others."""
    return io.BytesIO(b"%PDF-1.7\n" + new_basename().encode())


def thumbnails(archive: ArchiveServer, basename: str) -> list[dict[str, Any]]:
    found = requests.get(f"{archive.url}thumbnails/", timeout=10).json()["results"]
    return [each for each in found if each["basename"] == basename]


def test_a_pdf_is_archived_with_its_metadata_in_place_of_a_header(ocs_archive: ArchiveServer, s3: S3Server) -> None:
    name = f"{new_basename('e92')}-summary.pdf"
    record = upload_file_and_ingest_to_archive(summary(), name, metadata=METADATA)
    assert record["headers"].items() >= METADATA.items()
    assert (record["reduction_level"], record["public_date"]) == (92, CARDS["DATE-OBS"])
    [frame] = [frame for frame in ocs_archive.frames() if frame["id"] == record["frameid"]]
    assert (frame["filename"], frame["version_set"][0]["extension"]) == (name, ".pdf")
    stored = s3.client().head_object(Bucket=s3.bucket, Key=f"coj/fa12/20200101/processed/{name}")
    assert stored["ContentType"] == "application/pdf"
    assert stored["VersionId"].replace("-", "") == record["version_set"][0]["key"]


def test_a_pdf_is_archived_once() -> None:
    pdf = summary()
    upload_file_and_ingest_to_archive(pdf, "a-summary.pdf", metadata=METADATA)
    with pytest.raises(NonFatalDoNotRetryError):
        upload_file_and_ingest_to_archive(pdf, "a-summary.pdf", metadata=METADATA)


def test_the_steps_take_metadata_too() -> None:
    pdf = summary()
    record = validate_fits_and_create_archive_record(pdf, "a-summary.pdf", metadata=METADATA)
    assert record["configuration_type"] == "TARGET"
    assert upload_file_to_s3(pdf, "a-summary.pdf", metadata=METADATA)["extension"] == ".pdf"


def test_metadata_are_cleaned_up_as_a_header_is() -> None:
    metadata = {**METADATA, "HISTORY": "x", "OBJECT": "N/A", "BLKUID": "UNKNOWN", "SEEING": float("nan"), "": 1}
    record = validate_fits_and_create_archive_record(summary(), "a.pdf", metadata=metadata)
    assert (record["target_name"], record["observation_id"], record["headers"]["SEEING"]) == ("", None, None)
    assert not {"HISTORY", ""} & set(record["headers"])


def test_metadata_must_hold_what_a_header_must() -> None:
    lacking = {name: value for name, value in METADATA.items() if name != "BLKUID"}
    with pytest.raises(HeaderMissingError, match="BLKUID"):
        validate_fits_and_create_archive_record(summary(), "a.pdf", metadata=lacking)


@pytest.mark.parametrize("value", [["a"], {"a": 1}, ("a",)])
def test_metadata_hold_plain_values(value: Any) -> None:
    with pytest.raises(HeaderValueError) as raised:
        validate_fits_and_create_archive_record(summary(), "a.pdf", metadata={**METADATA, "LIST": value})
    assert raised.value.check == "LIST"


@pytest.mark.parametrize(
    ("name", "content", "metadata", "says"),
    [
        ("a.pdf", b"%PDF-1.7", None, "--metadata"),
        ("a.jpg", PICTURE, None, "--metadata"),
        ("a.jpeg", PICTURE, None, "--metadata"),
        ("a.pdf", b"<html>", METADATA, "%PDF-"),
        ("a.jpg", b"%PDF-1.7", METADATA, "at its beginning"),
        ("a.fits", image(), METADATA, "because the file has a header"),
    ],
)
def test_a_wrong_companion_or_one_without_metadata_is_an_error(
    name: str, content: bytes, metadata: dict[str, Any] | None, says: str
) -> None:
    with pytest.raises(CompanionError, match=says) as raised:
        validate_fits_and_create_archive_record(io.BytesIO(content), name, metadata=metadata)
    assert isinstance(raised.value, DoNotRetryError)


def test_an_empty_companion_may_still_be_being_written() -> None:
    with pytest.raises(TruncatedFrameError):
        validate_fits_and_create_archive_record(io.BytesIO(), "a.pdf", metadata=METADATA)


def test_an_archive_of_flat_records_takes_no_companions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHIVE_RECORD_FORMAT", "lco")
    with pytest.raises(CompanionError, match="ARCHIVE_RECORD_FORMAT=lco"):
        upload_file_and_ingest_to_archive(summary(), "a.pdf", metadata=METADATA)
    with pytest.raises(CompanionError, match="ARCHIVE_RECORD_FORMAT=lco"):
        ingest_thumbnail(io.BytesIO(PICTURE), "small", METADATA, "a-small.jpg")


# Thumbnails


def test_a_thumbnail_goes_to_its_frame(ocs_archive: ArchiveServer, s3: S3Server) -> None:
    with_frame = io.BytesIO(image({"OBJECT": new_basename()}))
    frame = upload_file_and_ingest_to_archive(with_frame, f"{new_basename()}.fits")
    name = f"{frame['basename']}-small"
    record = ingest_thumbnail(io.BytesIO(PICTURE + name.encode()), "small", METADATA, f"{name}.jpg")
    assert (record["frame_basename"], record["size"], record["filename"]) == (frame["basename"], "small", f"{name}.jpg")
    [shown] = thumbnails(ocs_archive, name)
    assert (shown["frame"], shown["size"], shown["extension"]) == (frame["frameid"], "small", ".jpg")
    stored = s3.client().head_object(Bucket=s3.bucket, Key=f"coj/fa12/20200101/thumbnails/{name}.jpg")
    assert stored["ContentType"] == "image/jpeg"
    assert f"coj/fa12/20200101/thumbnails/{name}.jpg" in record["url"]


def test_a_repeated_thumbnail_replaces_the_first(ocs_archive: ArchiveServer) -> None:
    name = f"{new_basename()}-large"
    for content in (b"one", b"two", b"two"):
        last = ingest_thumbnail(io.BytesIO(PICTURE + content), "large", METADATA, f"{name}.jpg")
    [shown] = thumbnails(ocs_archive, name)
    assert shown["key"] == last["version_set"][0]["key"]


@pytest.mark.parametrize(
    ("name", "metadata", "given", "frame"),
    [
        ("a-e91-medium.jpeg", {}, None, "a-e91"),
        ("picture.jpg", {"frame_filename": "b-e91.fits.fz"}, None, "b-e91"),
        ("a-e91-medium.jpg", {"frame_filename": "b-e91.fits.fz"}, None, "b-e91"),
        ("a-e91-medium.jpg", {"frame_filename": "b-e91.fits.fz"}, "c-e91", "c-e91"),
    ],
)
def test_the_frame_of_a_thumbnail_comes_from_the_caller_its_metadata_or_its_name(
    name: str, metadata: dict[str, str], given: str | None, frame: str
) -> None:
    picture = io.BytesIO(PICTURE + new_basename().encode())
    record = ingest_thumbnail(picture, "medium", {**METADATA, **metadata}, name, given)
    assert record["frame_basename"] == frame


@pytest.mark.parametrize(
    ("name", "size", "says"),
    [
        ("a-small.jpg", "tiny", "small or medium or large"),
        ("a.jpg", "small", "name ending in -small"),
        ("a-small.pdf", "small", "a .jpg or .jpeg"),
        ("a-small.fits", "small", "a .jpg or .jpeg"),
    ],
)
def test_a_thumbnail_of_no_size_frame_or_kind_is_refused(name: str, size: str, says: str) -> None:
    with pytest.raises(CompanionError, match=says):
        ingest_thumbnail(io.BytesIO(PICTURE), size, METADATA, name)


def test_a_thumbnail_that_the_archive_refuses_says_why() -> None:
    with pytest.raises(ArchiveRefusedError, match="configuration_type"):
        ingest_thumbnail(io.BytesIO(PICTURE), "small", {**METADATA, "OBSTYPE": "SELFIE"}, "a-small.jpg")
