"""S3: verified puts, and what every error of boto3 becomes."""

import base64
import hashlib
import inspect
import io
import string
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import botocore
import pytest
from botocore import exceptions as boto

from lco_ingester.exceptions import (
    BackoffRetryError,
    BucketNotVersionedError,
    DoNotRetryError,
    FileChangedError,
    FileTooLargeError,
    IngesterError,
    StoreDeploymentError,
    StoreRefusedError,
    StoreUnavailableError,
)
from lco_ingester.file.datafile import ExactReader
from lco_ingester.record.stored_object import StoredObject
from lco_ingester.store import (
    EXPECT_FROM,
    MAX_OBJECT,
    Store,
    StoredVersion,
    open_store,
)
from tests.support.scripted import Answer, Scripted, closed_port, scripted
from tests.support.servers import S3Server, running_s3

CONTENT = b"the bytes of a frame" * 100
STORED = Answer(headers={"x-amz-version-id": "v1"})
MD5 = hashlib.md5(CONTENT).hexdigest()
TARGET = StoredObject(
    "coj/fa12/20200101/raw/a-e00.fits", "image/fits", "attachment; filename=a-e00.fits", "STANDARD_IA"
)


YOUNG = replace(TARGET, storage_class="STANDARD")


def refused(status: int, code: str, message: str = "so", **headers: str) -> Answer:
    """An error as S3 answers it."""
    return Answer(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>", headers)


def store_at(url: str, bucket: str = "frames", **options: Any) -> Store:
    credentials = {"access_key_id": "demo", "secret_access_key": "demo-secret", "region": "us-east-1"}
    return open_store(bucket, endpoint_url=url, **{**credentials, **options})


def put(store: Store, content: bytes = CONTENT, target: StoredObject = TARGET, **changes: Any) -> str:
    told: dict[str, Any] = {"size": len(content), "md5": hashlib.md5(content).hexdigest(), **changes}
    return store.put(ExactReader(io.BytesIO(content), told["size"]), target=target, **told)


def calls(store: Store) -> dict[str, Callable[[], object]]:
    """All that a store can be asked."""
    return {"put": lambda: put(store), "look": lambda: store.current_version("k"), "check": store.check}


@pytest.fixture(scope="module")
def opened(s3_server: S3Server) -> Store:
    return store_at(s3_server.url, s3_server.bucket)


@pytest.fixture
def store(opened: Store, s3: S3Server) -> Store:
    """The running S3 store, healthy again after the test."""
    return opened


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    """A server with answers that a test gives it."""
    with scripted(Answer()) as running:
        yield running


@pytest.fixture(scope="module")
def scripted_store(server: Scripted) -> Store:
    return store_at(server.url)


def test_the_store_does_not_import_astropy() -> None:
    """Commands that only ask S3 start half a second sooner."""
    program = "import lco_ingester.store, sys; print([name for name in sys.modules if name.startswith('astropy')])"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert imported == "[]\n"


# Puts


def test_an_object_is_stored_with_all_its_headers(store: Store, s3: S3Server) -> None:
    version_id = put(store)
    found = s3.client().get_object(Bucket=s3.bucket, Key=TARGET.key)
    assert found["Body"].read() == CONTENT
    assert {
        name: found[name] for name in ("VersionId", "ContentType", "ContentDisposition", "StorageClass", "Metadata")
    } == {
        "VersionId": version_id,
        "ContentType": "image/fits",
        "ContentDisposition": "attachment; filename=a-e00.fits",
        "StorageClass": "STANDARD_IA",
        "Metadata": {"md5": MD5},
    }


def test_no_content_type_is_sent_for_an_unknown_extension(server: Scripted, scripted_store: Store) -> None:
    server.tell(STORED)
    put(scripted_store, target=StoredObject("k", None, "attachment; filename=k", "STANDARD"))
    assert server.asked[0].headers.get("content-type", "") == ""


def test_bytes_go_under_their_md5_and_only_they(server: Scripted, scripted_store: Store) -> None:
    server.tell(STORED)
    assert put(scripted_store) == "v1"
    [asked] = server.asked
    assert base64.b64decode(asked.headers["content-md5"]).hex() == MD5
    assert asked.body == CONTENT


def test_an_empty_object_can_be_put(store: Store) -> None:
    assert put(store, b"")


@pytest.mark.parametrize("name", ["kä.fits", "a b+c%20.fits", "q'?x#y.fits"])
def test_names_with_odd_characters_are_stored_under_themselves(store: Store, name: str) -> None:
    target = StoredObject(f"coj/{name}", None, f"attachment; filename={name}", "STANDARD")
    version_id = put(store, target=target)
    assert store.current_version(target.key) == StoredVersion(version_id, MD5, len(CONTENT))


def test_other_bytes_than_those_that_were_read_are_refused(store: Store) -> None:
    with pytest.raises(FileChangedError, match="BadDigest"):
        put(store, md5=hashlib.md5(b"others").hexdigest())


def test_a_file_that_shrinks_during_the_put_is_noticed(store: Store) -> None:
    with pytest.raises(FileChangedError, match="its end after"):
        put(store, size=len(CONTENT) + 1)


def test_a_file_too_large_for_an_object_is_refused_before_it_is_sent() -> None:
    with pytest.raises(FileTooLargeError):
        put(store_at(f"http://127.0.0.1:{closed_port()}"), size=MAX_OBJECT + 1)


def test_a_bucket_without_versioning_is_refused_with_the_command_that_turns_it_on() -> None:
    with running_s3(versioned=False) as server, pytest.raises(BucketNotVersionedError) as raised:
        put(store_at(server.url))
    assert "put-bucket-versioning --bucket frames --versioning-configuration Status=Enabled" in str(raised.value)
    assert isinstance(raised.value, DoNotRetryError)


def test_the_version_null_of_a_suspended_bucket_is_not_a_version(server: Scripted, scripted_store: Store) -> None:
    server.tell(Answer(headers={"x-amz-version-id": "null"}))
    assert scripted_store.current_version("k") is None
    with pytest.raises(BucketNotVersionedError):
        put(scripted_store)


def test_a_missing_bucket_is_a_trouble_of_the_deployment(s3: S3Server) -> None:
    with pytest.raises(StoreDeploymentError, match="NoSuchBucket from bucket nowhere"):
        put(store_at(s3.url, "nowhere"))


def test_a_store_that_is_down_is_worth_a_later_try() -> None:
    with pytest.raises(StoreUnavailableError) as raised:
        put(store_at(f"http://127.0.0.1:{closed_port()}"))
    assert isinstance(raised.value, BackoffRetryError)


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://localhost:99999"])
def test_an_endpoint_that_is_not_a_url_is_a_deployment_error(url: str) -> None:
    with pytest.raises(StoreDeploymentError):
        put(store_at(url))


def test_a_bucket_that_cannot_be_one_is_a_trouble_of_the_deployment(s3: S3Server) -> None:
    with pytest.raises(StoreDeploymentError, match="Invalid bucket name"):
        put(store_at(s3.url, "no bucket/"))


def test_no_credentials_at_all_are_a_trouble_of_the_deployment(s3: S3Server) -> None:
    with pytest.raises(StoreDeploymentError, match="NoCredentialsError"):
        put(store_at(s3.url, access_key_id=None, secret_access_key=None))


def test_a_credential_that_cannot_be_sent_is_named_but_not_shown(s3: S3Server) -> None:
    with pytest.raises(StoreDeploymentError) as raised:
        put(store_at(s3.url, s3.bucket, session_token="hush\nhush"))
    assert "hush" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_a_file_name_that_cannot_be_sent_is_the_frames_own_trouble(store: Store) -> None:
    with pytest.raises(StoreRefusedError, match="file name"):
        put(store, target=StoredObject("coj/a\nb.fits", None, "attachment; filename=a\nb.fits", "STANDARD"))


@pytest.mark.parametrize(
    ("kind", "options"), [("error", {"status": 503}), ("error", {"status": 500}), ("down", {}), ("drop_answer", {})]
)
def test_a_put_that_fails_is_not_repeated_here(store: Store, s3: S3Server, kind: str, options: dict[str, Any]) -> None:
    s3.faults(kind=kind, method="PUT", **options)
    with pytest.raises(StoreUnavailableError):
        put(store)
    assert s3.fault_state()["requests"] == 1
    s3.clear_faults()
    assert put(store)


# Storage classes


def classes(server: Scripted) -> list[str | None]:
    """The storage class of each request."""
    return [asked.headers.get("x-amz-storage-class") for asked in server.asked]


@pytest.mark.parametrize(
    "refusal",
    [
        refused(400, "InvalidStorageClass"),
        Answer(400, "<Error><Code>InvalidArgument</Code><BucketName>frames</BucketName></Error>"),  # Ceph's radosgw
        refused(501, "NotImplemented"),
        refused(400, "NobodyKnows"),
    ],
)
def test_a_store_without_the_storage_class_gets_the_object_without_one(
    server: Scripted, caplog: pytest.LogCaptureFixture, refusal: Answer
) -> None:
    server.tell(refusal, STORED)
    store = store_at(server.url)
    assert [put(store), put(store)] == ["v1", "v1"]
    assert classes(server) == ["STANDARD_IA", None, None]
    assert [asked.body for asked in server.asked] == [CONTENT] * 3
    assert caplog.text.count("does not know storage class STANDARD_IA") == 1


def test_other_classes_are_still_sent_to_a_store_that_does_not_know_one(server: Scripted) -> None:
    server.tell(refused(400, "InvalidArgument"), STORED)
    store = store_at(server.url)
    put(store)
    put(store, target=YOUNG)
    assert classes(server) == ["STANDARD_IA", None, "STANDARD"]


@pytest.mark.parametrize(
    ("second", "error"),
    [
        (refused(400, "InvalidArgument"), StoreDeploymentError),
        (refused(503, "SlowDown"), StoreUnavailableError),
        (refused(400, "KeyTooLongError"), StoreRefusedError),
    ],
)
def test_a_refusal_of_something_else_is_the_error_and_is_not_remembered(
    server: Scripted, caplog: pytest.LogCaptureFixture, second: Answer, error: type[IngesterError]
) -> None:
    server.tell(refused(400, "InvalidArgument"), second, STORED)
    store = store_at(server.url)
    with pytest.raises(error):
        put(store)
    assert put(store) == "v1"
    assert classes(server) == ["STANDARD_IA", None, "STANDARD_IA"]
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        (YOUNG, refused(400, "InvalidArgument")),
        (TARGET, refused(403, "InvalidArgument")),
        (TARGET, refused(400, "BadDigest")),
        (TARGET, refused(400, "KeyTooLongError")),
        (TARGET, refused(400, "ExpiredToken")),
        (TARGET, refused(400, "RequestTimeout")),
        (TARGET, refused(400, "AuthorizationHeaderMalformed")),
        (TARGET, Answer(400, "<html><body>Bad Request</body></html>")),
        (TARGET, Answer(501)),
    ],
)
def test_an_answer_that_cannot_be_about_the_class_is_not_tried_again(
    server: Scripted, scripted_store: Store, target: StoredObject, answer: Answer
) -> None:
    server.tell(answer)
    with pytest.raises(IngesterError):
        put(scripted_store, target=target)
    assert len(server.asked) == 1


def test_an_object_without_a_class_is_put_without_one(server: Scripted, scripted_store: Store) -> None:
    server.tell(STORED)
    put(scripted_store, target=replace(TARGET, storage_class=""))
    assert classes(server) == [None]


# What a key holds


def test_the_current_version_is_the_last_put(store: Store) -> None:
    target = StoredObject("coj/twice.fits", None, "", "STANDARD")
    put(store, target=target)
    version_id = put(store, b"newer", target)
    assert store.current_version(target.key) == StoredVersion(version_id, hashlib.md5(b"newer").hexdigest(), 5)


def test_an_object_that_others_put_has_no_md5(store: Store, s3: S3Server) -> None:
    answer = s3.client().put_object(Bucket=s3.bucket, Key="coj/others.fits", Body=b"theirs")
    assert store.current_version("coj/others.fits") == StoredVersion(answer["VersionId"], None, 6)


def test_a_key_without_an_object_holds_nothing(store: Store) -> None:
    assert store.current_version("coj/none.fits") is None


@pytest.mark.parametrize("status", [403, 404])
def test_without_permission_to_ask_the_version_is_unknown(server: Scripted, scripted_store: Store, status: int) -> None:
    server.tell(Answer(status, headers={"x-amz-request-id": "1"}))
    assert scripted_store.current_version("k") is None


@pytest.mark.parametrize("headers", [{}, {"x-amz-cf-id": "CloudFront's"}])
@pytest.mark.parametrize("status", [403, 404])
def test_a_look_that_a_proxy_answers_says_nothing_about_the_key(
    server: Scripted, scripted_store: Store, status: int, headers: dict[str, str]
) -> None:
    server.tell(Answer(status, headers=headers))
    with pytest.raises(StoreDeploymentError, match="proxy"):
        scripted_store.current_version("k")


def test_a_success_without_the_headers_of_s3_is_not_the_answer_of_s3(server: Scripted, scripted_store: Store) -> None:
    server.tell(Answer(200, "<html>please log in</html>"))
    for call in (lambda: scripted_store.current_version("k"), lambda: put(scripted_store)):
        with pytest.raises(StoreDeploymentError, match="without the headers of S3"):
            call()


@pytest.mark.parametrize(
    ("status", "error"), [(500, StoreUnavailableError), (503, StoreUnavailableError), (401, StoreDeploymentError)]
)
def test_a_look_that_fails_is_an_error(
    server: Scripted, scripted_store: Store, status: int, error: type[IngesterError]
) -> None:
    server.tell(Answer(status))
    with pytest.raises(error):
        scripted_store.current_version("k")


# Is the bucket fit for use?


def test_a_bucket_with_versioning_is_fit_for_use(store: Store) -> None:
    store.check()


def test_a_bucket_without_versioning_is_not_fit(server: Scripted, scripted_store: Store) -> None:
    for status in ("", "<Status>Suspended</Status>"):
        body = f"<VersioningConfiguration>{status}</VersioningConfiguration>"
        server.tell(Answer(200, body, {"x-amz-request-id": "1"}))
        with pytest.raises(BucketNotVersionedError, match="put-bucket-versioning --bucket frames"):
            scripted_store.check()


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 299])
@pytest.mark.parametrize("page", ["", "<html><body>please log in</body></html>", "<VersioningConfiguration/>"])
def test_a_success_of_a_proxy_does_not_say_that_versioning_is_off(
    server: Scripted, scripted_store: Store, status: int, page: str
) -> None:
    server.tell(Answer(status, page))
    with pytest.raises(StoreDeploymentError, match=r"without the headers of S3.*proxy or load balancer"):
        scripted_store.check()


def test_a_refusal_without_a_message_is_a_whole_sentence(server: Scripted, scripted_store: Store) -> None:
    server.tell(Answer(403, "<Error><Code>AccessDenied</Code></Error>"))
    with pytest.raises(StoreDeploymentError, match=r"found 403 AccessDenied from bucket frames\. Check BUCKET"):
        put(scripted_store)


def test_a_bucket_that_is_not_there_is_not_fit(s3: S3Server) -> None:
    with pytest.raises(StoreDeploymentError, match="NoSuchBucket"):
        store_at(s3.url, "nowhere").check()


@pytest.mark.parametrize(("application", "named"), [("", ""), ("night-watch", " app/night-watch")])
def test_the_user_agent_names_the_ingester(
    server: Scripted, monkeypatch: pytest.MonkeyPatch, application: str, named: str
) -> None:
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", application)
    server.tell(STORED)
    put(store_at(server.url))
    assert (
        server.asked[0].headers["user-agent"]
        == f"archive-ingester boto3/{boto3.__version__}{named} Botocore/{botocore.__version__}"
    )


@pytest.mark.parametrize(("size", "announced"), [(EXPECT_FROM - 1, None), (EXPECT_FROM, "100-continue")])
def test_only_a_large_body_waits_for_the_word_of_the_store(server: Scripted, size: int, announced: str | None) -> None:
    server.tell(STORED)
    put(store_at(server.url), bytes(size))
    [asked] = server.asked
    assert (len(asked.body), asked.headers.get("expect")) == (size, announced)


# Answers of the store


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        # one object
        (400, "BadDigest", FileChangedError),
        (400, "XAmzContentChecksumMismatch", FileChangedError),
        (400, "EntityTooLarge", FileTooLargeError),
        (413, "EntityTooLarge", FileTooLargeError),
        (400, "KeyTooLongError", StoreRefusedError),
        (400, "InvalidObjectName", StoreRefusedError),
        (400, "XMinioInvalidObjectName", StoreRefusedError),
        (400, "MetadataTooLarge", StoreRefusedError),
        # the store fails, whatever it says
        (500, "EntityTooLarge", StoreUnavailableError),
        (503, "BadDigest", StoreUnavailableError),
        (429, "KeyTooLongError", StoreUnavailableError),
        (503, "SlowDown", StoreUnavailableError),
        (400, "SlowDown", StoreUnavailableError),
        (429, "TooManyRequests", StoreUnavailableError),
        (400, "RequestTimeout", StoreUnavailableError),
        (400, "IncompleteBody", StoreUnavailableError),
        (409, "OperationAborted", StoreUnavailableError),
        (409, "ConditionalRequestConflict", StoreUnavailableError),
        (500, "InternalError", StoreUnavailableError),
        (507, "XMinioStorageFull", StoreUnavailableError),
        (502, "", StoreUnavailableError),
        # everything else waits too
        (403, "AccessDenied", StoreDeploymentError),
        (403, "InvalidAccessKeyId", StoreDeploymentError),
        (403, "SignatureDoesNotMatch", StoreDeploymentError),
        (403, "RequestTimeTooSkewed", StoreDeploymentError),
        (400, "ExpiredToken", StoreDeploymentError),
        (400, "InvalidToken", StoreDeploymentError),
        (404, "NoSuchBucket", StoreDeploymentError),
        (404, "NoSuchKey", StoreDeploymentError),
        (403, "QuotaExceeded", StoreDeploymentError),
        (400, "XMinioAdminBucketQuotaExceeded", StoreDeploymentError),
        (400, "KMS.DisabledException", StoreDeploymentError),
        (400, "KMS.NotFoundException", StoreDeploymentError),
        (403, "KMS.KMSInvalidStateException", StoreDeploymentError),
        (400, "AccessControlListNotSupported", StoreDeploymentError),
        (400, "InvalidArgument", StoreDeploymentError),
        (400, "InvalidRequest", StoreDeploymentError),
        (400, "InvalidURI", StoreDeploymentError),
        (411, "MissingContentLength", StoreDeploymentError),
        (405, "MethodNotAllowed", StoreDeploymentError),
        (412, "PreconditionFailed", StoreDeploymentError),
        (400, "NobodyKnowsThisCode", StoreDeploymentError),
        (418, "NobodyKnowsThisCode", StoreDeploymentError),
        (400, "XAmzContentSHA256Mismatch", StoreDeploymentError),
        (501, "EntityTooLarge", StoreDeploymentError),
        (501, "KeyTooLongError", StoreDeploymentError),
        (501, "BadDigest", StoreDeploymentError),
        (400, "entitytoolarge", StoreDeploymentError),
        (400, " EntityTooLarge", StoreDeploymentError),
    ],
)
def test_an_answer_of_the_store_becomes_the_error_it_means(
    server: Scripted, scripted_store: Store, status: int, code: str, error: type[IngesterError]
) -> None:
    server.tell(refused(status, code))
    with pytest.raises(error) as raised:
        put(scripted_store, target=YOUNG)
    assert type(raised.value) is error
    assert TARGET.key in raised.value.detail
    assert len(server.asked) == 1


PAGES = [
    "",
    "404 page not found",
    "<html><head><title>Bad Request</title></head><body>nginx</body></html>",
    "<html><body>not closed<br></body></html>",
    "<html><Error>EntityTooLarge</Error></html>",
    "<Error><Code>EntityTooLarge",
    "<Error></Error>",
    "<Error><Message>no code</Message></Error>",
    "<Error><Code><Code>EntityTooLarge</Code></Code></Error>",
    "<Error><Code>EntityTooLarge</Code><Code>KeyTooLongError</Code></Error>",
    '{"Error": {"Code": "EntityTooLarge"}}',
    "<a>" * 5000 + "</a>" * 5000,
]
STATUSES = [
    400, 401, 403, 404, 405, 406, 407, 408, 409, 411, 413, 414, 421, 423, 425, 426, 429, 431, 451, 499, 500, 501, 502,
    503, 504, 507, 520, 599,
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page[:30])
def test_an_answer_without_a_code_of_s3_is_never_the_frames_fault(
    server: Scripted, scripted_store: Store, page: str
) -> None:
    """It comes from something on the way: it waits, and no put is sent twice."""
    for status in STATUSES:
        server.tell(Answer(status, page))
        with pytest.raises((StoreDeploymentError, StoreUnavailableError)) as raised:
            put(scripted_store)
        passes = status in (408, 409, 421, 423, 425, 429) or status >= 500
        if passes:
            assert isinstance(raised.value, StoreUnavailableError), status
        assert len(str(raised.value)) < 800, status
        assert len(server.asked) == 1, status


@pytest.mark.parametrize("status", [400, 403, 404, 405, 407, 413, 431])
@pytest.mark.parametrize("page", PAGES[:3])
def test_a_proxy_that_refuses_in_place_of_s3_is_named_as_a_possible_cause(
    server: Scripted, scripted_store: Store, status: int, page: str
) -> None:
    server.tell(Answer(status, page))
    with pytest.raises(StoreDeploymentError, match=f"found {status} without a code of S3.*proxy or load balancer"):
        put(scripted_store)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page[:30])
def test_a_success_that_is_not_of_s3_waits(server: Scripted, scripted_store: Store, page: str) -> None:
    for call in (lambda: put(scripted_store), lambda: scripted_store.check()):
        server.tell(Answer(200, page))
        with pytest.raises((StoreDeploymentError, StoreUnavailableError, BucketNotVersionedError)):
            call()
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Last-Modified": "yesterday", "ETag": '"1"', "x-amz-version-id": "v1"},
        {"x-amz-object-lock-retain-until-date": "never", "ETag": '"1"', "x-amz-version-id": "v1"},
        {"x-amz-missing-meta": "many", "ETag": '"1"', "x-amz-version-id": "v1"},
    ],
)
def test_headers_that_are_not_those_of_s3_wait(
    server: Scripted, scripted_store: Store, headers: dict[str, str]
) -> None:
    server.tell(Answer(200, headers=headers))
    with pytest.raises(StoreUnavailableError, match="in the form of S3"):
        scripted_store.current_version("k")


def test_what_a_server_writes_is_quoted_shortly_and_without_control_characters(
    server: Scripted, scripted_store: Store
) -> None:
    server.tell(refused(400, "Odd\u009b" + "x" * 5000, "\u202emessage"))
    with pytest.raises(StoreDeploymentError) as raised:
        put(scripted_store, target=YOUNG)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 800


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "InvalidRequest", "unsupported header x-amz-checksum-crc32"),
        (400, "InvalidRequest", "The value specified in the x-amz-trailer header is not supported"),
        (501, "NotImplemented", "A header you provided implies functionality that is not implemented"),
        (411, "MissingContentLength", ""),
        (
            400,
            "XAmzContentSHA256Mismatch",
            "x-amz-content-sha256 does not match what was computed",
        ),
        (400, "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, or a valid sha256 value."),
    ],
)
def test_a_store_that_may_not_know_our_checksums_names_the_variable(
    server: Scripted, scripted_store: Store, status: int, code: str, message: str
) -> None:
    server.tell(refused(status, code, message))
    with pytest.raises((StoreDeploymentError, StoreUnavailableError)) as raised:
        put(scripted_store, target=YOUNG)
    assert "AWS_REQUEST_CHECKSUM_CALCULATION=when_required" in str(raised.value)


# Redirects


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308])
@pytest.mark.parametrize("call", ["put", "look", "check"])
def test_a_redirect_is_not_followed_and_names_the_variable(
    server: Scripted, scripted_store: Store, status: int, call: str
) -> None:
    server.tell(Answer(status, headers={"Location": "https://user:secret@s3.example.org/frames?token=secret#secret"}))
    with pytest.raises(StoreDeploymentError) as raised:
        calls(scripted_store)[call]()
    assert len(server.asked) == 1
    assert "secret" not in str(raised.value)
    if status != 300 or call == "put":  # boto3 takes 300 for a success
        assert (
            "the endpoint redirects to https://s3.example.org/frames. Check AWS_ENDPOINT_URL_S3 and its scheme"
            in str(raised.value)
        )


@pytest.mark.parametrize("location", ["", "http://[", "/x" * 5000])
def test_a_redirect_to_nowhere_is_one_too(server: Scripted, scripted_store: Store, location: str) -> None:
    server.tell(Answer(301, "<html>moved</html>", {"Location": location}))
    with pytest.raises(StoreDeploymentError, match=r"redirect.* Check AWS_ENDPOINT_URL_S3") as raised:
        put(scripted_store)
    assert len(server.asked) == 1
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize(
    "answer",
    [
        refused(301, "PermanentRedirect", **{"x-amz-bucket-region": "eu-west-1"}),
        refused(307, "TemporaryRedirect", **{"x-amz-bucket-region": "eu-west-1"}),
        refused(
            400, "AuthorizationHeaderMalformed", "expecting 'eu-west-1'</Message><Region>eu-west-1</Region><Message>"
        ),
        refused(400, "IllegalLocationConstraintException", **{"x-amz-bucket-region": "eu-west-1"}),
        Answer(301, headers={"x-amz-bucket-region": "eu-west-1"}),
        Answer(400, headers={"x-amz-bucket-region": "eu-west-1"}),
    ],
)
@pytest.mark.parametrize("call", ["put", "look", "check"])
def test_a_bucket_of_another_region_is_named_with_its_region(
    server: Scripted, scripted_store: Store, answer: Answer, call: str
) -> None:
    if call == "look" and "x-amz-bucket-region" not in answer.headers:
        return  # an answer to HEAD has no body
    server.tell(answer)
    with pytest.raises(StoreDeploymentError, match=r"Set AWS_DEFAULT_REGION=eu-west-1($|; if it is that already)"):
        calls(scripted_store)[call]()
    assert len(server.asked) == 1


def test_a_header_with_the_region_does_not_hide_a_code(server: Scripted, scripted_store: Store) -> None:
    """S3 sends the header with other answers too."""
    server.tell(refused(400, "KeyTooLongError", **{"x-amz-bucket-region": "us-east-1"}))
    with pytest.raises(StoreRefusedError):
        put(scripted_store)


def test_a_region_that_is_not_named_is_still_a_region() -> None:
    answer: Any = {"Error": {"Code": "PermanentRedirect"}, "ResponseMetadata": {"HTTPStatusCode": 301}}
    with pytest.raises(StoreDeploymentError, match="Check AWS_DEFAULT_REGION"):
        put(Store(lambda: Failing(boto.ClientError(answer, "PutObject")), "frames"))


def test_the_store_may_say_how_long_to_wait(server: Scripted, scripted_store: Store) -> None:
    server.tell(Answer(503, "<Error><Code>SlowDown</Code></Error>", {"Retry-After": "120"}))
    with pytest.raises(StoreUnavailableError) as raised:
        put(scripted_store)
    assert raised.value.retry_after == 120


# Errors of boto3 itself

SERVER = {
    "HTTPClientError", "ConnectionError", "EndpointConnectionError", "SSLError", "ConnectionClosedError",
    "ReadTimeoutError", "ConnectTimeoutError", "ProxyConnectionError", "ResponseStreamingError", "IncompleteReadError",
    "ChecksumError", "FlexibleChecksumError", "MetadataRetrievalError",
}  # fmt: skip
DEPLOYMENT = {
    # credentials
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "UnknownCredentialError",
    "NoAuthTokenError", "TokenRetrievalError", "UnknownTokenProviderError", "SSOError", "SSOTokenLoadError",
    "UnauthorizedSSOTokenError", "LoginError", "LoginRefreshRequired", "LoginInsufficientPermissions",
    "LoginTokenLoadError", "LoginAuthorizationCodeError", "RefreshWithMFAUnsupportedError",
    "InvalidIMDSEndpointError", "InvalidIMDSEndpointModeError", "InfiniteLoopConfigError",
    # AWS variables and files
    "ProfileNotFound", "ConfigNotFound", "ConfigParseError", "InvalidConfigError", "InvalidProxiesConfigError",
    "InvalidDefaultsMode", "InvalidChecksumConfigError", "InvalidRetryConfigurationError",
    "InvalidMaxRetryAttemptsError", "InvalidRetryModeError", "InvalidS3UsEast1RegionalEndpointConfigError",
    "InvalidSTSRegionalEndpointsConfigError", "InvalidEndpointDiscoveryConfigurationError",
    "InvalidEndpointConfigurationError", "InvalidS3AddressingStyleError", "UnsupportedS3ConfigurationError",
    "UnsupportedSignatureVersionError", "UnknownSignatureVersionError",
    # region, endpoint, bucket
    "NoRegionError", "InvalidRegionError", "UnknownRegionError", "ServiceNotInRegionError", "UnknownEndpointError",
    "UnknownFIPSEndpointError", "EndpointVariantError", "BaseEndpointResolverError", "EndpointProviderError",
    "EndpointResolutionError", "UnknownEndpointResolutionBuiltInName", "InvalidHostLabelError", "InvalidDNSNameError",
    "ParamValidationError", "UnsupportedS3ArnError", "UnsupportedS3AccesspointConfigurationError",
    "UnsupportedOutpostResourceError",
    # how botocore was installed
    "MissingDependencyException", "MD5UnavailableError", "DataNotFoundError", "UnknownServiceError",
    "ApiVersionNotFoundError", "UnsupportedServiceProtocolsError", "UnknownServiceStyle",
}  # fmt: skip
REASONS = {
    "BotoCoreError": "the base",
    "ClientError": "an answer of the store: sorted by its code and status, above",
    "EventStreamError": "a ClientError of calls that answer with a stream of events; we make none",
    "UnsupportedTLSVersionWarning": "a warning",
    "ImminentRemovalWarning": "a warning",
    "ValidationError": "base of wrong parameters: its leaves are ParamValidationError or of other callers",
    "MissingParametersError": "raised by botocore's own helpers for calls that we do not make",
    "UnknownKeyError": "wrong parameters in botocore's own configuration",
    "RangeError": "wrong parameters in botocore's own configuration",
    "UnknownParameterError": "raised by the command-line client",
    "AliasConflictParameterError": "raised for aliased parameters, which these calls do not have",
    "PaginationError": "we do not page",
    "OperationNotPageableError": "we do not page",
    "WaiterError": "we do not wait",
    "WaiterConfigError": "we do not wait",
    "InvalidExpressionError": "raised for JMESPath in paginators and waiters",
    "UnknownClientMethodError": "raised for presigned URLs",
    "UnseekableStreamError": "our stream can seek",
    "AwsChunkedWrapperError": "our stream can seek and gives bytes",
    "UnsupportedS3ControlArnError": "S3 Control is another service",
    "UnsupportedS3ControlConfigurationError": "S3 Control is another service",
    "CapacityNotAvailableError": "raised inside botocore's retry quota; retries are off",
    "UndefinedModelAttributeError": "a fault in botocore's own model of S3",
    "MissingServiceIdError": "a fault in botocore's own model of S3",
    "StubResponseError": "botocore's stubber, a test's tool",
    "StubAssertionError": "botocore's stubber, a test's tool",
    "UnStubbedResponseError": "botocore's stubber, a test's tool",
}


class Failing:
    """In place of boto3's client: raises."""

    exceptions = None

    def __init__(self, error: Exception) -> None:
        self._error = error

    def put_object(self, **_: Any) -> dict[str, Any]:
        raise self._error

    head_object = get_bucket_versioning = put_object
    create_multipart_upload = upload_part = complete_multipart_upload = abort_multipart_upload = put_object


def botocore_errors() -> Iterator[type[Exception]]:
    for each in vars(boto).values():
        if inspect.isclass(each) and issubclass(each, Exception) and each.__module__ == boto.__name__:
            yield each


def made(error: type[Exception]) -> Exception:
    """An instance with all the fields that its text wants."""
    fields = [name for _, name, _, _ in string.Formatter().parse(error.fmt) if name]  # type: ignore[attr-defined]
    return error(**dict.fromkeys(fields, "something"))


def test_every_error_of_botocore_is_accounted_for() -> None:
    names = {each.__name__ for each in botocore_errors()}
    assert names - SERVER - DEPLOYMENT - REASONS.keys() == set(), "new in this release of botocore?"
    assert len(SERVER) + len(DEPLOYMENT) + len(REASONS) == len(SERVER | DEPLOYMENT | REASONS.keys())


@pytest.mark.parametrize("error", [each for each in botocore_errors() if each.__name__ in SERVER | DEPLOYMENT])
def test_every_error_of_botocore_becomes_one_of_ours(error: type[Exception]) -> None:
    store = Store(lambda: Failing(made(error)), "frames")
    expected = StoreUnavailableError if error.__name__ in SERVER else StoreDeploymentError
    for call in (lambda: put(store), lambda: store.current_version("k")):
        with pytest.raises(expected) as raised:
            call()
        assert type(raised.value) is expected
        assert error.__name__ in raised.value.found


def test_an_error_of_the_stream_comes_out_as_it_is() -> None:
    changed = FileChangedError("it shrank")
    with pytest.raises(FileChangedError) as raised:
        put(Store(lambda: Failing(boto.HTTPClientError(error=changed)), "frames"))
    assert raised.value is changed
