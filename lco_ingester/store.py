"""S3, where the bytes of frames are kept. The only user of boto3."""

import base64
import io
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import boto3
import botocore.session
from botocore import exceptions as boto
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.config import Config
from urllib3.exceptions import HTTPError

from lco_ingester.exceptions import (
    BucketNotVersionedError,
    FileChangedError,
    FileTooLargeError,
    IngesterError,
    StoreDeploymentError,
    StoreRefusedError,
    StoreUnavailableError,
)
from lco_ingester.http_limits import MEBIBYTE, limited, limited_call
from lco_ingester.multipart import PartsClient, put_in_parts
from lco_ingester.record.stored_object import StoredObject
from lco_ingester.redaction import Redactor

# S3 documentation, "Amazon S3 multipart upload limits".
MAX_PUT = 5 * 1024**3  # bytes; larger files are uploaded in parts
MAX_OBJECT = 5 * 1024**4
MAX_ANSWER = MEBIBYTE  # bytes; the answers to our requests have some hundred
CONNECT_TIMEOUT = 10.0  # seconds, for each address of the host
TIMEOUT = 60.0  # seconds of a request, without those that its body takes
MINIMUM_RATE = 100_000.0  # bytes of a body a second
# S3 documentation, "CompleteMultipartUpload": it "can take several minutes".
_COMPLETION_TIMEOUTS = 10
EXPECT_FROM = 1024**2  # bytes; a smaller body is sent without "Expect: 100-continue"
_CREDENTIAL = re.compile(r"Credential=([^/]+)/")  # the access key id in a signed request
_MD5 = "md5"  # the key in the object's metadata by which we recognise our own put

# S3 documentation, "Error responses". For other codes the HTTP status decides.
_DEPLOYMENT_CODES = frozenset((
    "NoSuchBucket", "InvalidBucketName", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied",
    "AllAccessDisabled", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "AccountProblem",
    "RequestTimeTooSkewed", "PermanentRedirect", "AuthorizationHeaderMalformed", "QuotaExceeded",
))  # fmt: skip
_SERVER_CODES = frozenset((
    "SlowDown", "Throttling", "RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted",
))  # fmt: skip
_CHECKSUM_CODES = frozenset((
    "BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch",  # the last is MinIO's
))  # fmt: skip
# Failures of the connection. All other errors of botocore itself are about settings, credentials or the bucket's name.
_SERVER_ERRORS = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.ChecksumError,
    boto.FlexibleChecksumError,
    boto.MetadataRetrievalError,
)

logger = logging.getLogger(__name__)


class S3Client(PartsClient, Protocol):
    """The methods of boto3's client that we call."""

    def put_object(self, **parameters: Any) -> dict[str, Any]: ...

    def head_object(self, **parameters: Any) -> dict[str, Any]: ...

    def get_bucket_versioning(self, **parameters: Any) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """What a key holds now; `md5` (hex) is None if we did not put it."""

    version_id: str
    md5: str | None
    size: int


class Store:
    """One bucket. Puts are never repeated here: the caller decides about retries.

    Files larger than `max_put` bytes are uploaded in parts.
    """

    def __init__(self, client: S3Client, bucket: str, max_put: int = MAX_PUT, redact: Redactor | None = None) -> None:
        self._redact = redact or Redactor()
        self._client = client
        self.bucket = bucket
        self._max_put = max_put
        self._omits_storage_class = False

    def put(self, stream: io.RawIOBase | BinaryIO, size: int, md5: str, target: StoredObject) -> str:
        """Put `size` bytes and return their VersionId.

        Content-MD5 makes the store refuse bytes that do not have this `md5` (hex) (S3 documentation, "Checking object
        integrity").

        Raises FileChangedError if it refuses, FileTooLargeError, BucketNotVersionedError, StoreRefusedError,
        StoreDeploymentError or StoreUnavailableError.
        """
        if size > MAX_OBJECT:
            raise FileTooLargeError(detail=_at(target.key), expected=f"at most {MAX_OBJECT} bytes", found=f"{size}")
        with self._redact.scrubbed(), _translated(self.bucket, target.key):
            try:
                version_id = self._put(stream, size, md5, self._parameters(md5, target))
            except boto.ClientError as error:
                if _code(error) != "InvalidStorageClass" or self._omits_storage_class:
                    raise
                self._omit_storage_class_from_now_on(target.storage_class)
                stream.seek(0)
                version_id = self._put(stream, size, md5, self._parameters(md5, target))
        if version_id in (None, "null"):  # "null" is what a bucket with suspended versioning answers
            expected = f"a VersionId from bucket {self.bucket}"
            raise self._not_versioned(target.key, expected, repr(version_id))
        return str(version_id)

    def current_version(self, key: str) -> StoredVersion | None:
        """What the key holds now; None if it holds nothing, or if we have no permission to ask.

        Raises StoreDeploymentError or StoreUnavailableError.
        """
        try:
            with self._redact.scrubbed(), _translated(self.bucket, key):
                answer = self._client.head_object(Bucket=self.bucket, Key=key)
        except (StoreRefusedError, StoreDeploymentError) as error:
            if _status(error.__cause__) in (403, 404):
                return None
            raise
        version_id = answer.get("VersionId")
        if version_id in (None, "null"):
            return None
        return StoredVersion(str(version_id), answer.get("Metadata", {}).get(_MD5), int(answer["ContentLength"]))

    def check(self) -> None:
        """Check that we may use the bucket, and that its versioning is on.

        Raises BucketNotVersionedError, StoreDeploymentError, StoreRefusedError or StoreUnavailableError.
        """
        with self._redact.scrubbed(), _translated(self.bucket, ""):
            status = self._client.get_bucket_versioning(Bucket=self.bucket).get("Status")
        if status != "Enabled":
            raise self._not_versioned("", f"versioning of bucket {self.bucket} to be enabled", str(status))

    def _put(self, stream: io.RawIOBase | BinaryIO, size: int, md5: str, parameters: dict[str, Any]) -> str | None:
        if size > self._max_put:
            answer = put_in_parts(self._client, stream, size, md5, parameters)
            return answer.get("VersionId") or self._version_just_put(parameters["Key"], md5)
        digest = base64.b64encode(bytes.fromhex(md5)).decode()
        answer = self._client.put_object(Body=stream, ContentLength=size, ContentMD5=digest, **parameters)
        return answer.get("VersionId")

    def _version_just_put(self, key: str, md5: str) -> str | None:
        """For a store that does not return the version of an upload in parts."""
        there = self.current_version(key)
        if there is None:
            return None
        if there.md5 != md5:
            raise StoreUnavailableError(
                detail=_at(key), expected="the version that was just put", found="a later version"
            )
        return there.version_id

    def _parameters(self, md5: str, target: StoredObject) -> dict[str, Any]:
        parameters = {
            "Bucket": self.bucket,
            "Key": target.key,
            "ContentDisposition": target.content_disposition,
            "Metadata": {_MD5: md5},
        }
        if target.content_type is not None:
            parameters["ContentType"] = target.content_type
        if not self._omits_storage_class:
            parameters["StorageClass"] = target.storage_class
        return parameters

    def _omit_storage_class_from_now_on(self, storage_class: str) -> None:
        self._omits_storage_class = True
        logger.warning(
            "bucket %s does not know storage class %s: objects are put without one from now on",
            self.bucket,
            storage_class,
        )

    def _not_versioned(self, key: str, expected: str, found: str) -> BucketNotVersionedError:
        return BucketNotVersionedError(
            detail=_at(key),
            expected=expected,
            found=found,
            hint="Turn versioning on: aws s3api put-bucket-versioning "
            f"--bucket {self.bucket} --versioning-configuration Status=Enabled",
        )


def open_store(
    bucket: str,
    *,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    region: str | None = None,
    endpoint_url: str | None = None,
    max_put: int = MAX_PUT,
    redact: Redactor | None = None,
    timeout: float = TIMEOUT,
    minimum_rate: float = MINIMUM_RATE,
) -> Store:
    """A store on a new boto3 client. boto3 looks up what is None here (environment, files, role).

    Each request ends within `timeout` seconds, and one more for each `minimum_rate` bytes of its body.
    Raises StoreDeploymentError if boto3 cannot use it.
    """
    redact = redact or Redactor((access_key_id, secret_access_key, session_token))
    with redact.scrubbed(), _translated(bucket, ""):
        core = botocore.session.Session()
        session = boto3.session.Session(access_key_id, secret_access_key, session_token, region, core)
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=timeout,
            max_pool_connections=16,
            user_agent=_user_agent(core.get_config_variable("user_agent_appid")),
        )
        try:
            client = session.client("s3", endpoint_url=endpoint_url, config=config)
        except ValueError as error:  # the endpoint is not a URL
            raise StoreDeploymentError(expected="a usable endpoint URL", found=str(error)) from error
        client.meta.events.register("request-created.s3.PutObject", _expect_for_large_bodies_only)
        client.meta.events.register("before-send.s3", _learner(session, redact))
        client.meta.events.register("before-send.s3", _Sender(client, timeout, minimum_rate))
        return Store(client, bucket, max_put, redact)


def _learner(session: boto3.session.Session, redact: Redactor) -> Callable[..., None]:
    """What botocore calls before each request: credentials that boto3 found itself, and may renew, are secrets too."""

    def learn(request: AWSPreparedRequest, **_: Any) -> None:
        signed = _CREDENTIAL.search(str(request.headers.get("Authorization", "")))
        if signed and not redact.knows(signed[1]):
            redact.learn(signed[1], *session.get_credentials().get_frozen_credentials())

    return learn


class _Sender:
    """Sends a request by the client's own HTTP session, within the limits of one call.

    botocore calls it in the thread of the request, and takes its answer in place of one of its own.
    """

    def __init__(self, client: Any, timeout: float, minimum_rate: float) -> None:
        # botocore has no public way to its session and to the classes of its connections.
        self._session = client._endpoint.http_session
        pools = self._session._pool_classes_by_scheme
        pools.update(limited(pools))
        self._timeout = timeout
        self._minimum_rate = minimum_rate

    def __call__(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        with limited_call(self._seconds(request, event_name), MAX_ANSWER, StoreUnavailableError):
            try:
                return self._session.send(request)
            except boto.HTTPClientError as error:
                inner = error.kwargs.get("error")
                if isinstance(inner, (HTTPError, OSError, ValueError, type(None))):
                    raise
                # Not about HTTP: Celery's SoftTimeLimitExceeded, or what the stream that is sent has raised.
                raise inner from None

    def _seconds(self, request: AWSPreparedRequest, event_name: str) -> float:
        if event_name.endswith("CompleteMultipartUpload"):
            return _COMPLETION_TIMEOUTS * self._timeout
        return self._timeout + _body_size(request.headers) / self._minimum_rate


def _expect_for_large_bodies_only(request: AWSRequest, **_: Any) -> None:
    """Remove "Expect: 100-continue" for a small body: it costs a round trip, which is more than it can save."""
    if _body_size(request.headers) < EXPECT_FROM:
        del request.headers["Expect"]


def _body_size(headers: Any) -> int:
    """Over https, botocore sends a body with a checksum after it, and has another header for its size."""
    return int(headers.get("Content-Length") or headers.get("X-Amz-Decoded-Content-Length") or 0)


def _user_agent(application: str | None) -> str:
    """A fixed User-Agent, because botocore would build one for every call. It contains AWS_SDK_UA_APP_ID."""
    words = ["archive-ingester", f"boto3/{boto3.__version__}", *([f"app/{application}"] if application else [])]
    return " ".join(words)


@contextmanager
def _translated(bucket: str, key: str) -> Iterator[None]:
    """The one place where boto3's errors become ours."""
    try:
        yield
    except StoreUnavailableError as error:
        error.detail = error.detail or _at(key)
        raise
    except RecursionError as error:  # in botocore's reading of XML
        raise StoreUnavailableError(detail=_at(key), expected="an answer of S3", found="XML nested too deep") from error
    except boto.ClientError as error:
        raise _of_answer(error, bucket, key) from error
    except boto.BotoCoreError as error:
        if isinstance(error.kwargs.get("error"), ValueError):
            raise _of_header(key) from None  # its text quotes the header, and so the credentials
        raise _of_client(error, bucket, key) from error


def _of_answer(error: boto.ClientError, bucket: str, key: str) -> IngesterError:
    code, status = _code(error), _status(error)
    said = f"{status} {code} from bucket {bucket}: {error.response.get('Error', {}).get('Message', '')}"
    if code in _CHECKSUM_CODES:
        return FileChangedError(detail=_at(key), expected="the bytes whose md5 was taken", found=said)
    if code == "EntityTooLarge":
        return FileTooLargeError(detail=_at(key), found=said)
    if code in _SERVER_CODES or status == 429 or status >= 500:
        return StoreUnavailableError(detail=_at(key), found=said, retry_after=_retry_after(error))
    if code in _DEPLOYMENT_CODES or status in (301, 307, 401, 403):
        return StoreDeploymentError(detail=_at(key), found=said)
    return StoreRefusedError(detail=_at(key), found=said)


def _of_client(error: boto.BotoCoreError, bucket: str, key: str) -> IngesterError:
    inner = error.kwargs.get("error")
    if isinstance(inner, IngesterError):  # raised by the stream that was being sent
        return inner
    found = f"{type(error).__name__} for bucket {bucket}: {error}"
    if isinstance(error, _SERVER_ERRORS):
        return StoreUnavailableError(detail=_at(key), found=found)
    return StoreDeploymentError(detail=_at(key), found=found)


def _of_header(key: str) -> IngesterError:
    """A character that an HTTP header cannot hold, such as a line break: in the file's name, else in a credential."""
    if key.isprintable():
        return StoreDeploymentError(detail=_at(key), found="a credential with characters that HTTP does not allow")
    return StoreRefusedError(detail=_at(key), found="a file name with characters that HTTP does not allow")


def _at(key: str) -> str:
    """The store knows the key only; its caller adds the name of the file."""
    return f"S3 key {key}" if key else ""


def _code(error: boto.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: BaseException | None) -> int:
    if not isinstance(error, boto.ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _retry_after(error: boto.ClientError) -> float | None:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    seconds = str(headers.get("retry-after", ""))
    return float(seconds) if seconds.isdecimal() else None
