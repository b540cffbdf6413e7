"""Files that are too large for a single put are uploaded in parts: as one object, or not at all."""

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lco_ingester.exceptions import (
    FileChangedError,
    IngesterError,
    StoreDeploymentError,
    StoreUnavailableError,
)
from lco_ingester.file.datafile import ExactReader
from lco_ingester.multipart import MAX_PARTS, MIN_PART, part_size
from lco_ingester.record.stored_object import StoredObject
from lco_ingester.store import MAX_OBJECT, MAX_PUT, Store, StoredVersion, open_store
from tests.support.multipart_store import PartsStore, crc32, parts_store
from tests.support.servers import S3Server

CONTENT = bytes(range(256)) * (2 * MIN_PART // 256) + b"the last and short part"
MD5 = hashlib.md5(CONTENT).hexdigest()
TARGET = StoredObject("coj/large.fits", "image/fits", "attachment; filename=large.fits", "STANDARD_IA")


class Untold:
    """boto3's client for a store that does not tell the version of what came in parts; then `after` happens."""

    def __init__(self, client: Any, after: Any = lambda: None) -> None:
        self._client = client
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def complete_multipart_upload(self, **parameters: Any) -> dict[str, Any]:
        answer = self._client.complete_multipart_upload(**parameters)
        self._after()
        return {key: value for key, value in answer.items() if key != "VersionId"}


def put(store: Store, content: bytes = CONTENT, md5: str = MD5, target: StoredObject = TARGET) -> str:
    return store.put(ExactReader(io.BytesIO(content), len(content)), len(content), md5, target)


def left_behind(s3: S3Server) -> list[Any]:
    return list(s3.client().list_multipart_uploads(Bucket=s3.bucket).get("Uploads", []))


def store_at(url: str, bucket: str) -> Store:
    credentials: dict[str, Any] = {"access_key_id": "demo", "secret_access_key": "demo-secret", "region": "us-east-1"}
    return open_store(bucket, endpoint_url=url, max_put=MIN_PART, **credentials)


@pytest.fixture
def store(s3: S3Server) -> Store:
    return store_at(s3.url, s3.bucket)


@pytest.fixture
def comparing() -> Iterator[PartsStore]:
    """A store that compares a checksum of the whole object, unless changed."""
    with parts_store() as running:
        yield running


def test_a_large_object_is_stored_whole_with_all_its_headers(store: Store, s3: S3Server) -> None:
    version_id = put(store)
    found = s3.client().get_object(Bucket=s3.bucket, Key=TARGET.key)
    assert found["Body"].read() == CONTENT
    assert (found["VersionId"], found["ContentType"], found["StorageClass"]) == (
        version_id,
        "image/fits",
        "STANDARD_IA",
    )
    assert found["ETag"].strip('"').endswith("-3")
    assert store.current_version(TARGET.key) == StoredVersion(version_id, MD5, len(CONTENT))
    assert left_behind(s3) == []


def test_what_fits_a_single_put_goes_in_one(store: Store, s3: S3Server) -> None:
    content = CONTENT[:MIN_PART]
    put(store, content, hashlib.md5(content).hexdigest())
    assert "-" not in s3.client().head_object(Bucket=s3.bucket, Key=TARGET.key)["ETag"]


def test_other_bytes_than_those_that_were_read_never_become_an_object(store: Store, s3: S3Server) -> None:
    target = StoredObject("coj/changed.fits", None, "", "STANDARD")
    with pytest.raises(FileChangedError) as raised:
        put(store, md5=hashlib.md5(b"others").hexdigest(), target=target)
    assert MD5 in raised.value.found
    assert store.current_version(target.key) is None
    assert left_behind(s3) == []


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["error", "drop_answer"])
def test_a_part_that_fails_is_a_later_try_and_leaves_nothing_behind(
    store: Store, s3: S3Server, kind: str, number: int
) -> None:
    target = StoredObject(f"coj/failed-{kind}-{number}.fits", None, "", "STANDARD")
    s3.faults(kind=kind, method="PUT" if number < 4 else "POST", every=number if number < 4 else 2, times=1)
    with pytest.raises(StoreUnavailableError):
        put(store, target=target)
    s3.clear_faults()
    assert left_behind(s3) == []
    assert put(store, target=target)


def test_a_store_that_does_not_tell_the_version_is_asked(s3: S3Server) -> None:
    store = Store(lambda: Untold(s3.client()), s3.bucket, max_put=MIN_PART)
    version_id = put(store)
    assert s3.client().head_object(Bucket=s3.bucket, Key=TARGET.key)["VersionId"] == version_id


def test_a_later_version_is_not_taken_for_ours(s3: S3Server) -> None:
    client = s3.client()
    overtake = Untold(client, lambda: client.put_object(Bucket=s3.bucket, Key=TARGET.key, Body=b"newer"))
    with pytest.raises(StoreUnavailableError, match="a later version"):
        put(Store(lambda: overtake, s3.bucket, max_put=MIN_PART))


# Checksums of the whole


def test_the_store_compares_what_it_put_together_with_what_was_read(comparing: PartsStore) -> None:
    assert put(store_at(comparing.url, "frames")) == "v1"
    assert comparing.stored == CONTENT


@pytest.mark.parametrize("damaged", [lambda whole: whole[:-1], lambda whole: whole[MIN_PART:]])
def test_parts_that_the_store_puts_together_wrongly_never_become_an_object(comparing: PartsStore, damaged: Any) -> None:
    comparing.damaged = damaged
    with pytest.raises(FileChangedError, match="BadDigest"):
        put(store_at(comparing.url, "frames"))
    assert comparing.stored is None
    assert comparing.parts == {}


@pytest.mark.parametrize("compares", ["parts", "nothing"])
def test_a_store_that_knows_no_checksum_of_the_whole_gets_none(comparing: PartsStore, compares: Any) -> None:
    comparing.compares = compares
    put(store_at(comparing.url, "frames"))
    assert comparing.stored == CONTENT


@pytest.mark.parametrize("status", [400, 501])
def test_a_store_that_refuses_to_hear_of_checksums_gets_none(comparing: PartsStore, status: int) -> None:
    comparing.compares, comparing.refusal = "nothing", status
    put(store_at(comparing.url, "frames"))
    assert comparing.stored == CONTENT


@pytest.mark.parametrize(
    ("status", "error"), [(403, StoreDeploymentError), (413, StoreDeploymentError), (503, StoreUnavailableError)]
)
def test_any_other_refusal_is_not_asked_for_twice(
    comparing: PartsStore, status: int, error: type[IngesterError]
) -> None:
    comparing.refusal = status
    with pytest.raises(error):
        put(store_at(comparing.url, "frames"))
    assert len(comparing.begun) == 1


# Storage classes

OLD = "STANDARD_IA"


@pytest.mark.parametrize("status", [400, 501])
@pytest.mark.parametrize(
    ("refusal", "first", "later"),
    [
        (None, [(OLD, True), (OLD, False), (None, True)], [(None, True)]),
        (400, [(OLD, True), (OLD, False), (None, True), (None, False)], [(None, True), (None, False)]),
        (501, [(OLD, True), (OLD, False), (None, True), (None, False)], [(None, True), (None, False)]),
    ],
)
def test_a_store_without_the_storage_class_gets_the_parts_without_one(
    comparing: PartsStore, status: int, refusal: int | None, first: list[Any], later: list[Any]
) -> None:
    """With and without the checksums; the begin is repeated, never the parts, and the class is not sent again."""
    comparing.class_refusal, comparing.refusal = status, refusal
    comparing.compares = "nothing" if refusal else "whole"
    store = store_at(comparing.url, "frames")
    assert put(store) == "v1"
    assert comparing.begun == first
    comparing.begun.clear()
    assert put(store) == "v1"
    assert comparing.begun == later
    assert comparing.stored == CONTENT


def test_a_class_that_was_not_the_reason_is_sent_again(comparing: PartsStore) -> None:
    comparing.class_refusal = 403
    store = store_at(comparing.url, "frames")
    with pytest.raises(StoreDeploymentError, match="403 InvalidArgument"):
        put(store)
    assert comparing.begun == [(OLD, True)]
    comparing.class_refusal = None
    put(store)
    assert comparing.begun[1:] == [(OLD, True)]


def test_a_class_is_not_the_reason_when_a_part_is_refused(comparing: PartsStore) -> None:
    store = store_at(comparing.url, "frames")
    comparing.part_refusal = 400
    with pytest.raises(StoreDeploymentError, match="400 InvalidArgument"):
        put(store)
    assert comparing.begun == [(OLD, True)]


def test_the_checksum_of_the_whole_stays_with_the_object(store: Store, s3: S3Server) -> None:
    put(store)
    found = s3.client().head_object(Bucket=s3.bucket, Key=TARGET.key, ChecksumMode="ENABLED")
    assert (found["ChecksumType"], found["ChecksumCRC32"]) == ("FULL_OBJECT", crc32(CONTENT))


# Sizes


@given(st.integers(MAX_PUT, MAX_OBJECT))
def test_every_object_that_a_store_takes_fits_its_number_of_parts(size: int) -> None:
    assert part_size(size) * MAX_PARTS >= size
    assert part_size(size) >= MIN_PART
