"""An S3 store in memory for demos and tests: moto's S3, plus the checks of the body that moto does not make.

Objects exist as long as the process. All credentials are accepted. The bucket is part of the path, not of the host
name.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app

from ingester_demo.http_server import KeepAliveHandler

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PIECE = 2**20
"""A body with more bytes than this goes to moto through a temporary file."""

MESSAGES = {
    "BadDigest": "The Content-MD5 you specified did not match what we received.",
    "InvalidDigest": "The Content-MD5 you specified is not valid.",
    "IncompleteBody": "You did not provide the number of bytes specified by the Content-Length HTTP header.",
}


class S3RequestHandler(KeepAliveHandler, MotoRequestHandler):
    """Keep-alive, and metadata whose names have an underscore (which WSGI servers otherwise drop)."""


def create_app() -> "WSGIApplication":
    """The S3 store as a WSGI application; serve it with `S3RequestHandler`."""
    return NamedAnswers(CheckedBodies(create_backend_app("s3")))


class NamedAnswers:
    """Give each answer of `app` the header by which a client knows that S3 answered, and not a proxy."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, ("x-amz-request-id", uuid4().hex)], *error)

        return self._app(environ, start)


class CheckedBodies:
    """Refuse a wrong or incomplete body before `app` sees it, as every real store does.

    Wrong Content-MD5: 400 BadDigest. Malformed Content-MD5: 400 InvalidDigest. Fewer bytes than Content-Length (the
    client died during the transfer): 400 IncompleteBody.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in {"PUT", "POST"}:
            return self._app(environ, start_response)
        expected = _expected_md5(environ)
        if expected == b"":
            return _refuse("InvalidDigest", start_response)
        with SpooledTemporaryFile(max_size=PIECE) as body:
            size = _copy(environ["wsgi.input"], body)
            if size < int(environ.get("CONTENT_LENGTH") or 0):
                return _refuse("IncompleteBody", start_response)
            if expected is not None and expected != _md5(body, environ):
                return _refuse("BadDigest", start_response)
            body.seek(0)
            environ |= {"wsgi.input": body, "CONTENT_LENGTH": str(size)}
            environ.pop("HTTP_TRANSFER_ENCODING", None)
            # moto has read the body when this returns, so the file can be closed.
            return self._app(environ, start_response)


def make_bucket(endpoint: str, name: str, versioned: bool = True) -> None:
    """Create the bucket `name` in the store at `endpoint` (a URL), with versioning by default.

    Raises botocore's ClientError if the store refuses, EndpointConnectionError if no store answers.
    """
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="demo",
        aws_secret_access_key="demo",
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=name)
    if versioned:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def _expected_md5(environ: "WSGIEnvironment") -> bytes | None:
    """The md5 in the header Content-MD5: None without the header, empty if it is malformed."""
    header = environ.get("HTTP_CONTENT_MD5")
    if header is None:
        return None
    try:
        digest = base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return digest if len(digest) == 16 else b""


def _copy(source: IO[bytes], target: IO[bytes]) -> int:
    size = 0
    while piece := source.read(PIECE):
        size += target.write(piece)
    return size


def _md5(body: IO[bytes], environ: "WSGIEnvironment") -> bytes:
    """The md5 of the object in `body`, which may have aws-chunked encoding."""
    body.seek(0)
    chunked = "aws-chunked" in environ.get("HTTP_CONTENT_ENCODING", "") or environ.get(
        "HTTP_X_AMZ_CONTENT_SHA256", ""
    ).startswith("STREAMING-")
    digest = hashlib.md5(usedforsecurity=False)
    for piece in _unwrapped(body) if chunked else iter(lambda: body.read(PIECE), b""):
        digest.update(piece)
    return digest.digest()


def _unwrapped(body: IO[bytes]) -> Iterator[bytes]:
    """The chunks of an aws-chunked body: each after a line `SIZE-IN-HEX[;signature]`, the last one empty."""
    while size := int(body.readline().split(b";")[0] or b"0", 16):
        yield body.read(size)
        body.readline()


def _refuse(code: str, start_response: "StartResponse") -> Iterable[bytes]:
    text = f"<Error><Code>{code}</Code><Message>{MESSAGES[code]}</Message></Error>"
    body = b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode()
    start_response("400 Bad Request", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]
