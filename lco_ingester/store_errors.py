"""What an error of boto3 or an answer of S3 means: whose fault it is, and what to do (docs/errors.md)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import LocationParseError

from lco_ingester.exceptions import (
    FileChangedError,
    FileTooLargeError,
    IngesterError,
    StoreDeploymentError,
    StoreRefusedError,
    StoreUnavailableError,
)
from lco_ingester.redaction import Redactor

# The codes that speak of one object: it will be refused again, and others are stored (docs/errors.md). They count only
# with a status of 4xx. Every other code, also an unknown one, waits. Sources: S3 documentation, "Error responses"; the
# error lists of MinIO and Ceph.
FRAME_CODES = frozenset((
    "EntityTooLarge",
    "KeyTooLongError",
    "InvalidObjectName", "XMinioInvalidObjectName",
    "MetadataTooLarge",  # of the object's headers only the file name has a length that differs from frame to frame
))  # fmt: skip
CHECKSUM_CODES = frozenset(("BadDigest", "XAmzContentChecksumMismatch"))  # the last is MinIO's
# These pass by themselves, whatever their status.
SERVER_CODES = frozenset((
    "SlowDown", "Throttling", "RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted",
    "IncompleteBody", "NoSuchUpload", "InvalidPart",  # cut on the way; an upload in parts that somebody ended
))  # fmt: skip
SERVER_STATUSES = frozenset((408, 409, 421, 423, 425, 429))  # and all from 500 on
_REGION_CODES = frozenset((
    "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
))  # fmt: skip
# Over https we send no SHA-256 of the body, so this is a store that does not know checksums after the body. Over http
# the file may have changed, which the next try notices.
_SHA256_CODE = "XAmzContentSHA256Mismatch"
_TOKEN_CODES = frozenset(("ExpiredToken", "InvalidToken", "TokenRefreshRequired"))
MAX_QUOTE = 300  # characters of an answer in an error
NOT_S3 = "A proxy or load balancer may have answered in place of S3: check it, and AWS_ENDPOINT_URL_S3"
_ENDPOINT = "Check AWS_ENDPOINT_URL_S3 and its scheme"
_CHECKSUMS = "If the store does not support boto3's checksums: set AWS_REQUEST_CHECKSUM_CALCULATION=when_required"
# Failures of the connection. All other errors of botocore itself are about settings, credentials or the bucket's name.
_SERVER_ERRORS = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.ChecksumError,
    boto.FlexibleChecksumError,
    boto.MetadataRetrievalError,
)
# What botocore and we raise for an answer that has another form than S3's: broken or deep XML, a missing header.
_UNREADABLE = (ResponseParserError, LookupError, ValueError, TypeError, AttributeError, RecursionError)


@contextmanager
def translated(bucket: str, key: str, redact: Redactor) -> Iterator[None]:
    """The one place where boto3's errors become ours."""
    try:
        yield
    except StoreUnavailableError as error:
        error.detail = error.detail or at_key(key)
        raise
    except boto.ClientError as error:
        raise _of_answer(error, bucket, key, redact) from error
    except boto.BotoCoreError as error:
        inner = error.kwargs.get("error")
        if isinstance(inner, LocationParseError):
            found = f"an address that is not a URL, in a redirect of bucket {bucket} or of a proxy"
            raise StoreDeploymentError(detail=at_key(key), found=found, hint=_ENDPOINT) from None
        if isinstance(inner, ValueError):
            raise _of_header(key) from None  # its text quotes the header, and so the credentials
        raise _of_client(error, bucket, key, redact) from error
    except _UNREADABLE as error:
        raise _of_client(error, bucket, key, redact) from error


def _of_answer(error: boto.ClientError, bucket: str, key: str, redact: Redactor) -> IngesterError:
    code, status, at = code_of(error), status_of(error), at_key(key)
    message = _error(error).get("Message")
    answered = f"{status} {code or 'without a code of S3'} from bucket {bucket}"
    said = quoted(redact(f"{answered}: {message}" if message else answered))
    region = _region(error)
    if code in _REGION_CODES or (region and not code and status in (301, 307, 400)):
        hint = f"Set AWS_DEFAULT_REGION={region}" if region else "Check AWS_DEFAULT_REGION and AWS_ENDPOINT_URL_S3"
        if not code and status == 400:  # the answer to HEAD does not say why
            hint += "; if it is that already, check the credentials"
        return StoreDeploymentError(detail=at, expected="the bucket's region", found=said, hint=hint)
    if 300 <= status < 400:
        return _of_redirect(said, redact(str(headers_of(error.response).get("location", ""))), key)
    if code in SERVER_CODES or status in SERVER_STATUSES or (status >= 500 and (status != 501 or not code)):
        return StoreUnavailableError(detail=at, found=said, retry_after=_retry_after(error))
    if not code:
        return StoreDeploymentError(detail=at, found=said, hint=NOT_S3)
    if code in CHECKSUM_CODES and status < 500:
        return FileChangedError(detail=at, expected="the bytes whose md5 was taken", found=said)
    if code in FRAME_CODES and status < 500:
        kind = FileTooLargeError if code == "EntityTooLarge" else StoreRefusedError
        return kind(detail=at, found=said)
    return StoreDeploymentError(detail=at, found=said, hint=_CHECKSUMS if _may_refuse_checksums(error) else "")


def _of_redirect(said: str, location: str, key: str) -> StoreDeploymentError:
    """No redirect is followed: the wrong endpoint would cost each frame a second request."""
    found = f"{said}; the endpoint redirects to {_without_secrets(location) or 'no readable address'}"
    return StoreDeploymentError(detail=at_key(key), found=found, hint=_ENDPOINT)


def _of_client(error: Exception, bucket: str, key: str, redact: Redactor) -> IngesterError:
    found = quoted(redact(f"{type(error).__name__} for bucket {bucket}: {error}"))
    if not isinstance(error, boto.BotoCoreError):
        return StoreUnavailableError(
            detail=at_key(key), expected="an answer in the form of S3's", found=found, hint=NOT_S3
        )
    inner = error.kwargs.get("error")
    if isinstance(inner, IngesterError):  # raised by the stream that was being sent
        return inner
    if isinstance(error, _SERVER_ERRORS):
        return StoreUnavailableError(detail=at_key(key), found=found)
    return StoreDeploymentError(detail=at_key(key), found=found)


def _of_header(key: str) -> IngesterError:
    """A character that an HTTP header cannot hold, such as a line break: in the file's name, else in a credential."""
    if "\n" in key or "\r" in key:
        return StoreRefusedError(detail=at_key(key), found="a file name with characters that HTTP does not allow")
    return StoreDeploymentError(detail=at_key(key), found="a credential with characters that HTTP does not allow")


def may_refuse_class(error: boto.ClientError, storage_class: str) -> bool:
    """Whether the store may have refused the storage class: it said so, or its code says nothing else that we know."""
    code = code_of(error)
    if code == "InvalidStorageClass":
        return True
    known = FRAME_CODES | CHECKSUM_CODES | SERVER_CODES | _REGION_CODES | _TOKEN_CODES | {_SHA256_CODE}
    return storage_class != "STANDARD" and status_of(error) in (400, 501) and code not in known | {""}


def _may_refuse_checksums(error: boto.ClientError) -> bool:
    said = f"{code_of(error)} {_error(error).get('Message', '')}".lower()
    return any(word in said for word in ("checksum", "notimplemented", "missingcontentlength", "trailer", "sha256"))


def at_key(key: str) -> str:
    """The store knows the key only; its caller adds the name of the file."""
    return f"S3 key {key}" if key else ""


def _error(error: boto.ClientError) -> dict[str, Any]:
    return dict(error.response.get("Error", {}))


def code_of(error: boto.ClientError) -> str:
    """The code that S3 gave; empty if there was none, where botocore puts the status."""
    code = str(_error(error).get("Code") or "")
    return "" if code.isdecimal() else code


def status_of(error: boto.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def headers_of(answer: Mapping[str, Any]) -> Mapping[str, str]:
    """Those of an answer of boto3, by name in lower case."""
    return dict(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}))


def _retry_after(error: boto.ClientError) -> float | None:
    seconds = str(headers_of(error.response).get("retry-after", ""))
    return float(seconds) if seconds.isdecimal() else None


def _region(error: boto.ClientError) -> str:
    """The region of the bucket, if the answer names it."""
    return quoted(str(headers_of(error.response).get("x-amz-bucket-region") or _error(error).get("Region") or ""))


def _without_secrets(location: str) -> str:
    """The address of a redirect without user, password and query; empty if it is not a URL."""
    try:
        url = urlsplit(location)
    except ValueError:
        return ""
    return quoted(url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl())


def quoted(text: str) -> str:
    """A text that others wrote, as an error shows it."""
    start = "".join(character if character.isprintable() else " " for character in text[:MAX_QUOTE])
    return start if len(text) <= MAX_QUOTE else f"{start}…"
