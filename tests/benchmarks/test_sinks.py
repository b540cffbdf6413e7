"""The null services of the benchmarks behave like S3 and an Archive API, as far as ingesters notice."""

import base64
import hashlib
import io
import threading
from collections.abc import Iterator

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks.archive_sink import ArchiveSink
from benchmarks.http_server import Handler, listen, read_request, serve, skip
from benchmarks.s3_sink import S3Sink
from lco_ingester.record.stored_object import StoredObject
from lco_ingester.store import Store

BYTES = b"SIMPLE  =                    T" * 50_000


def served(handler: Handler) -> Iterator[str]:
    with listen() as listening:
        threading.Thread(target=serve, args=(listening, handler), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def archive() -> Iterator[str]:
    yield from served(ArchiveSink().answer)


@pytest.fixture
def s3_url() -> Iterator[str]:
    yield from served(S3Sink().answer)


@pytest.fixture
def s3(s3_url: str) -> object:
    return client(s3_url)


def client(url: str, **config: object) -> object:
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=url, config=Config(retries={"total_max_attempts": 1}, **config), **keys)


def test_a_put_is_answered_with_its_md5_and_a_version_that_the_archive_can_hold(s3) -> None:
    answers = [s3.put_object(Bucket="b", Key="k", Body=io.BytesIO(BYTES)) for _ in range(2)]
    assert [answer["ETag"] for answer in answers] == [f'"{hashlib.md5(BYTES).hexdigest()}"'] * 2
    versions = {answer["VersionId"] for answer in answers}
    assert len(versions) == 2
    assert all(len(version) <= 32 for version in versions)


def test_bytes_other_than_their_content_md5_says_are_refused(s3) -> None:
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    with pytest.raises(ClientError, match="BadDigest"):
        s3.put_object(Bucket="b", Key="k", Body=BYTES, ContentMD5=wrong)
    assert "VersionId" in s3.put_object(Bucket="b", Key="k", Body=BYTES)


def test_a_head_describes_what_was_put(s3) -> None:
    version = s3.put_object(Bucket="b", Key="k", Body=BYTES, Metadata={"md5": "abc"})["VersionId"]
    there = s3.head_object(Bucket="b", Key="k")
    assert (there["VersionId"], there["ContentLength"], there["Metadata"]) == (version, len(BYTES), {"md5": "abc"})
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket="b", Key="another")


def test_our_store_puts_in_parts(s3) -> None:
    body = BYTES * 12  # 18 MB: three parts
    target = StoredObject("k", "image/fits", "attachment; filename=k", "STANDARD")
    md5 = hashlib.md5(body).hexdigest()
    version = Store(lambda: s3, "b", max_put=1).put(io.BytesIO(body), len(body), md5, target)
    there = s3.head_object(Bucket="b", Key="k")
    assert (there["VersionId"], there["ContentLength"], there["Metadata"]["md5"]) == (version, len(body), md5)
    assert there["ETag"].endswith('-3"')


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_aws_chunked_body_is_taken_out_of_its_chunks(s3_url: str, framing: str) -> None:
    pieces = [BYTES[:70_000], BYTES[70_000:]]
    wrapped = b"".join(b"%x;chunk-signature=f00\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    wrapped += b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    with requests.Session() as session:
        for _ in range(20):  # the connection stays good
            data = (
                wrapped if framing == "length" else iter([wrapped[:1000], wrapped[1000:]])
            )  # an iterator goes chunked
            answer = session.put(f"{s3_url}/b/k", data=data, headers={"Content-Encoding": "aws-chunked"})
            assert answer.headers["ETag"] == f'"{hashlib.md5(BYTES).hexdigest()}"'


def test_the_next_request_begins_where_a_body_in_two_framings_ends() -> None:
    inner = b"3\r\nabc\r\n0\r\n\r\n"
    head = b"PUT /b/k HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Encoding: aws-chunked\r\n\r\n"
    sent = head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner) + b"GET /next HTTP/1.1\r\n\r\n"
    stream = io.BufferedReader(io.BytesIO(sent), 16)
    first = read_request(stream)
    assert first is not None
    assert first.body.read() == b"abc"
    skip(first)
    second = read_request(stream)
    assert second is not None
    assert (second.method, second.path) == ("GET", "/next")


def test_the_archive_finds_no_md5_and_accepts_every_record(archive: str) -> None:
    with requests.Session() as session:
        found = session.get(f"{archive}/versions/", params={"md5": "abc"}).json()
        assert (found["count"], found["results"]) == (0, [])
        record = {"basename": "frame-e91", "version_set": [{"key": "k", "md5": "m", "extension": ".fits.fz"}]}
        answers = [session.post(f"{archive}/frames/", json=record) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    first, second = (answer.json() for answer in answers)
    assert first["id"] != second["id"]
    assert (first["filename"], first["url"].startswith("http")) == ("frame-e91.fits.fz", True)
