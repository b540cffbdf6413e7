"""S3, where the bytes of frames are kept. The only user of boto3."""

import base64
import io
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, cast

import boto3
import botocore
import botocore.session
from botocore import exceptions as boto
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.config import Config
from botocore.loaders import create_loader
from urllib3.exceptions import HTTPError

from lco_ingester.exceptions import (
    BucketNotVersionedError,
    FileTooLargeError,
    StoreDeploymentError,
    StoreUnavailableError,
)
from lco_ingester.http_limits import MEBIBYTE, limited, limited_call
from lco_ingester.multipart import PartsClient, begin_parts, put_parts
from lco_ingester.record.stored_object import StoredObject
from lco_ingester.redaction import Redactor
from lco_ingester.store_errors import NOT_S3, at_key, headers_of, may_refuse_class, quoted, status_of, translated

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
    """One bucket. A put that failed is not repeated here, except without a storage class that the store may not know.

    Files larger than `max_put` bytes are uploaded in parts. After an error of the deployment the next call uses a new
    client of `open_client`, because boto3 looks for credentials and AWS files only when it opens one.
    """

    def __init__(
        self,
        open_client: Callable[[], S3Client],
        bucket: str,
        max_put: int = MAX_PUT,
        redact: Redactor | None = None,
    ) -> None:
        self._redact = redact or Redactor()
        self._open_client = open_client
        self._client: S3Client | None = open_client()
        self.bucket = bucket
        self._max_put = max_put
        self._unknown_classes: set[str] = set()

    def put(self, stream: io.RawIOBase | BinaryIO, size: int, md5: str, target: StoredObject) -> str:
        """Put `size` bytes and return their VersionId.

        Content-MD5 makes the store refuse bytes that do not have this `md5` (hex) (S3 documentation, "Checking object
        integrity").

        Raises FileChangedError if it refuses, FileTooLargeError, BucketNotVersionedError, StoreRefusedError,
        StoreDeploymentError or StoreUnavailableError.
        """
        if size > MAX_OBJECT:
            raise FileTooLargeError(detail=at_key(target.key), expected=f"at most {MAX_OBJECT} bytes", found=f"{size}")
        with self._calling(target.key) as client:
            version_id = self._put(client, stream, size, md5, target)
        if version_id in (None, "null"):  # "null" is what a bucket with suspended versioning answers
            expected = f"a VersionId from bucket {self.bucket}"
            raise self._not_versioned(target.key, expected, repr(version_id))
        return str(version_id)

    def current_version(self, key: str) -> StoredVersion | None:
        """What the key holds now; None if it holds nothing, or if we have no permission to ask.

        Raises StoreDeploymentError or StoreUnavailableError.
        """
        with self._calling(key) as client:
            try:
                answer = client.head_object(Bucket=self.bucket, Key=key)
            except boto.ClientError as error:
                # An answer to HEAD has no code, so this header must show that it is not that of a proxy.
                if status_of(error) in (403, 404) and "x-amz-request-id" in headers_of(error.response):
                    return None
                raise
            version_id = answer.get("VersionId")
            if version_id is None:
                self._refuse_foreign(answer, key)
            if version_id in (None, "null"):
                return None
            return StoredVersion(str(version_id), answer.get("Metadata", {}).get(_MD5), int(answer["ContentLength"]))

    def check(self) -> None:
        """Check that we may use the bucket, and that its versioning is on.

        Raises BucketNotVersionedError, StoreDeploymentError, StoreRefusedError or StoreUnavailableError.
        """
        with self._calling("") as client:
            answer = client.get_bucket_versioning(Bucket=self.bucket)
            status = answer.get("Status")
            if status is None and "x-amz-request-id" not in headers_of(answer):
                raise self._foreign("")
        if status != "Enabled":
            raise self._not_versioned("", f"versioning of bucket {self.bucket} to be enabled", str(status))

    @contextmanager
    def _calling(self, key: str) -> Iterator[S3Client]:
        """The client, to call it for this key."""
        try:
            with self._redact.scrubbed(), translated(self.bucket, key, self._redact):
                client = self._client = self._client or self._open_client()
                yield client
        except StoreDeploymentError:
            self._client = None
            raise

    def _put(
        self, client: S3Client, stream: io.RawIOBase | BinaryIO, size: int, md5: str, target: StoredObject
    ) -> str | None:
        """The VersionId of the answer, if there is one."""
        headers = self._headers(md5, target)
        if size > self._max_put:
            begun = self._with_storage_class(target, lambda storage: begin_parts(client, {**headers, **storage}))
            answer = put_parts(client, stream, size, md5, {**self._at(target), "UploadId": begun["UploadId"]}, begun)
            return answer.get("VersionId") or self._version_just_put(target.key, md5)
        digest = base64.b64encode(bytes.fromhex(md5)).decode()

        def send(storage: Mapping[str, str]) -> dict[str, Any]:
            stream.seek(0)
            return client.put_object(Body=stream, ContentLength=size, ContentMD5=digest, **headers, **storage)

        answer = self._with_storage_class(target, send)
        version_id = answer.get("VersionId")
        if version_id is None:
            self._refuse_foreign(answer, target.key)
        return version_id

    def _with_storage_class(
        self, target: StoredObject, send: Callable[[Mapping[str, str]], dict[str, Any]]
    ) -> dict[str, Any]:
        """The answer to `send`, which gets the storage class as a parameter of boto3's; none if the target has none.

        A store that does not know the class may say so by any code (radosgw: InvalidArgument). So a refusal that may
        be about the class is tried once more without one. Only if that succeeds, the class is unknown to the store.
        """
        wanted = target.storage_class
        if not wanted or wanted in self._unknown_classes:
            return send({})
        try:
            return send({"StorageClass": wanted})
        except boto.ClientError as error:
            if not may_refuse_class(error, wanted):
                raise
        answer = send({})
        self._unknown_classes.add(wanted)
        logger.warning(
            "bucket %s does not know storage class %s: such objects are put without one from now on",
            self.bucket,
            wanted,
        )
        return answer

    def _version_just_put(self, key: str, md5: str) -> str | None:
        """For a store that does not return the version of an upload in parts."""
        there = self.current_version(key)
        if there is None:
            return None
        if there.md5 != md5:
            raise StoreUnavailableError(
                detail=at_key(key), expected="the version that was just put", found="a later version"
            )
        return there.version_id

    def _headers(self, md5: str, target: StoredObject) -> dict[str, Any]:
        headers = {
            **self._at(target),
            "ContentDisposition": target.content_disposition,
            "Metadata": {_MD5: md5},
        }
        if target.content_type is not None:
            headers["ContentType"] = target.content_type
        return headers

    def _at(self, target: StoredObject) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": target.key}

    def _refuse_foreign(self, answer: dict[str, Any], key: str) -> None:
        """Every store answers a put and a HEAD with an ETag; a login page of a proxy, for instance, has none."""
        if not answer.get("ETag"):
            raise self._foreign(key)

    def _foreign(self, key: str) -> StoreDeploymentError:
        found = f"a success from bucket {self.bucket} without the headers of S3"
        return StoreDeploymentError(detail=at_key(key), found=found, hint=NOT_S3)

    def _not_versioned(self, key: str, expected: str, found: str) -> BucketNotVersionedError:
        return BucketNotVersionedError(
            detail=at_key(key),
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
    loader = create_loader()  # it keeps botocore's model of S3: with it a further client takes 10 ms and not 70

    def open_client() -> S3Client:
        with redact.scrubbed(), translated(bucket, "", redact):
            core = botocore.session.Session()
            core.register_component("data_loader", loader)
            if access_key_id and secret_access_key:  # also for the redactor, which asks this session
                core.set_credentials(access_key_id, secret_access_key, session_token)
            config = Config(
                retries={"total_max_attempts": 1},
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=timeout,
                max_pool_connections=16,
                user_agent=_user_agent(core.get_config_variable("user_agent_appid")),
            )
            try:
                client = core.create_client(
                    "s3",
                    region,
                    endpoint_url=endpoint_url,
                    aws_access_key_id=access_key_id,
                    aws_secret_access_key=secret_access_key,
                    aws_session_token=session_token,
                    config=config,
                )
            except ValueError as error:  # the endpoint is not a URL
                raise StoreDeploymentError(
                    expected="a usable endpoint URL", found=quoted(redact(str(error)))
                ) from error
            client.meta.events.register("request-created.s3.PutObject", _expect_for_large_bodies_only)
            client.meta.events.register("before-call.s3", _follow_no_redirect)
            client.meta.events.register("before-send.s3", _make_headers_text)
            client.meta.events.register("before-send.s3", _learner(core, redact))
            client.meta.events.register("before-send.s3", _Sender(client, timeout, minimum_rate))
            return cast(S3Client, client)

    return Store(open_client, bucket, max_put, redact)


def _learner(session: botocore.session.Session, redact: Redactor) -> Callable[..., None]:
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


def _follow_no_redirect(context: dict[str, Any], **_: Any) -> None:
    """Tell botocore that it has followed a redirect already: it would repeat the request, and ask for a region."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _make_headers_text(request: AWSPreparedRequest, **_: Any) -> None:
    """botocore writes some headers as bytes, with which urllib3 fails when the answer is a 303."""
    for name, value in request.headers.items():
        if isinstance(value, bytes):
            request.headers[name] = value.decode("latin-1")


def _user_agent(application: str | None) -> str:
    """A fixed User-Agent, because botocore would build one for every call. It contains AWS_SDK_UA_APP_ID."""
    named = [f"app/{application}"] if application else []
    return " ".join(["archive-ingester", f"boto3/{boto3.__version__}", *named, f"Botocore/{botocore.__version__}"])
