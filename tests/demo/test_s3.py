"""The demo's S3 store, over HTTP, with boto3 and without it."""

import base64
import hashlib
import http.client
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from botocore.exceptions import ClientError

from tests.support.servers import S3Server, running_s3

BODY = b"some bytes of a frame " * 5000


@pytest.fixture(scope="module")
def store() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


@pytest.fixture(scope="module")
def s3(store: S3Server) -> Any:
    return store.client(retries={"total_max_attempts": 1})


def md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def connect(store: S3Server) -> http.client.HTTPConnection:
    address = urlsplit(store.url)
    return http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)


def error_code(answer: http.client.HTTPResponse) -> tuple[int, str]:
    text = answer.read().decode()
    return answer.status, text.partition("<Code>")[2].partition("</Code>")[0]


def is_stored(s3: Any, key: str) -> bool:
    return "Contents" in s3.list_objects_v2(Bucket="frames", Prefix=key)


def test_a_put_with_the_right_md5_is_stored_as_sent_and_gives_a_uuid_as_version_id(s3: Any) -> None:
    answer = s3.put_object(
        Bucket="frames",
        Key="coj/fa12/a.fits",
        Body=BODY,
        ContentMD5=md5(BODY),
        StorageClass="STANDARD_IA",
        ContentType="image/fits",
        ContentDisposition="attachment; filename=a.fits",
        Metadata={"md5": "some", "with_underscore": "kept"},
    )
    assert str(uuid.UUID(answer["VersionId"])) == answer["VersionId"]
    found = s3.get_object(Bucket="frames", Key="coj/fa12/a.fits", VersionId=answer["VersionId"])
    assert found["Body"].read() == BODY
    assert found["Metadata"] == {"md5": "some", "with_underscore": "kept"}
    assert (found["StorageClass"], found["ContentType"]) == ("STANDARD_IA", "image/fits")
    assert found["ETag"].strip('"') == hashlib.md5(BODY, usedforsecurity=False).hexdigest()


def test_putting_a_key_again_makes_a_second_version_and_keeps_the_first(s3: Any) -> None:
    versions = [s3.put_object(Bucket="frames", Key="twice", Body=body)["VersionId"] for body in (b"1", b"2")]
    assert s3.head_object(Bucket="frames", Key="twice")["VersionId"] == versions[1]
    assert s3.get_object(Bucket="frames", Key="twice", VersionId=versions[0])["Body"].read() == b"1"


def test_a_bucket_without_versioning_gives_no_version_id() -> None:
    with running_s3("plain", versioned=False) as server:
        answer = server.client().put_object(Bucket="plain", Key="k", Body=b"1")
        assert answer.get("VersionId") in {None, "null"}


@pytest.mark.parametrize(
    ("header", "code"),
    [(md5(b"other bytes"), "BadDigest"), ("not base64!", "InvalidDigest"), ("c2hvcnQ=", "InvalidDigest")],
)
def test_a_put_whose_body_has_another_md5_is_refused_and_not_stored(s3: Any, header: str, code: str) -> None:
    with pytest.raises(ClientError) as refusal:
        s3.put_object(Bucket="frames", Key=f"refused/{code}", Body=BODY, ContentMD5=header)
    assert refusal.value.response["Error"]["Code"] == code
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert not is_stored(s3, f"refused/{code}")


def test_the_connection_can_be_used_again_after_a_refused_put(store: S3Server) -> None:
    connection = connect(store)
    for _ in range(3):
        connection.request("PUT", "/frames/again", BODY, {"Content-MD5": "not base64!"})
        assert error_code(connection.getresponse()) == (400, "InvalidDigest")
        kept = connection.sock
        connection.request("PUT", "/frames/again", BODY, {"Content-MD5": md5(BODY), "Authorization": "AWS demo:x"})
        assert error_code(connection.getresponse()) == (200, "")
        assert connection.sock is kept is not None
    connection.close()


def test_a_put_whose_client_dies_during_the_transfer_is_not_stored(store: S3Server, s3: Any) -> None:
    address = urlsplit(store.url)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=10) as client:
        head = ("PUT /frames/half HTTP/1.1", "Host: s3", "Authorization: AWS demo:x", "Content-Length: 1000")
        client.sendall("\r\n".join([*head, "", "x" * 500]).encode())
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(1000)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert not is_stored(s3, "half")


def test_a_chunked_body_is_checked_and_stored_without_its_chunks(store: S3Server, s3: Any) -> None:
    def send(header: str) -> tuple[int, str]:
        connection = connect(store)
        headers = {"Content-MD5": header, "Authorization": "AWS demo:x"}
        connection.request("PUT", "/frames/chunked", iter([BODY, BODY]), headers, encode_chunked=True)
        return error_code(connection.getresponse())

    assert send(md5(BODY)) == (400, "BadDigest")
    assert send(md5(BODY + BODY)) == (200, "")
    assert s3.get_object(Bucket="frames", Key="chunked")["Body"].read() == BODY + BODY


def test_the_md5_of_an_aws_chunked_body_is_that_of_the_object(store: S3Server, s3: Any) -> None:
    wrapped = b"".join(b"%x;chunk-signature=0\r\n%s\r\n" % (len(each), each) for each in (BODY, BODY, b""))
    headers = {
        "Authorization": "AWS demo:x",
        "Content-Encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "x-amz-decoded-content-length": str(2 * len(BODY)),
    }
    for header, expected in ((md5(wrapped), (400, "BadDigest")), (md5(BODY + BODY), (200, ""))):
        connection = connect(store)
        connection.request("PUT", "/frames/wrapped", wrapped, headers | {"Content-MD5": header})
        assert error_code(connection.getresponse()) == expected
    assert s3.get_object(Bucket="frames", Key="wrapped")["Body"].read() == BODY + BODY


def test_a_multipart_upload_works(s3: Any) -> None:
    body = bytes(6 * 2**20)
    upload = s3.create_multipart_upload(Bucket="frames", Key="parts")["UploadId"]
    where = {"Bucket": "frames", "Key": "parts", "UploadId": upload}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**where, PartNumber=number, Body=body)["ETag"]}
        for number in (1, 2)
    ]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert s3.head_object(Bucket="frames", Key="parts")["ContentLength"] == 2 * len(body)


def test_many_clients_at_once_each_get_their_own_version(store: S3Server) -> None:
    def put(number: int) -> str:
        answer = store.client().put_object(Bucket="frames", Key=f"many/{number % 4}", Body=BODY, ContentMD5=md5(BODY))
        return str(answer["VersionId"])

    store.client()  # boto3 loads its data once, and not safely from many threads
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(put, range(32)))) == 32


def test_a_presigned_link_can_be_followed(store: S3Server, s3: Any) -> None:
    s3.put_object(Bucket="frames", Key="linked", Body=BODY)
    link = s3.generate_presigned_url("get_object", Params={"Bucket": "frames", "Key": "linked"})
    assert requests.get(link, timeout=10).content == BODY


def test_a_request_on_an_open_connection_takes_less_than_forty_milliseconds(s3: Any) -> None:
    s3.put_object(Bucket="frames", Key="timed", Body=b"1")
    took = []
    for _ in range(11):
        began = time.perf_counter()
        s3.head_object(Bucket="frames", Key="timed")
        took.append(time.perf_counter() - began)
    assert sorted(took)[5] < 0.03
