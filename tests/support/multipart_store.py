"""A small S3 for multipart uploads that compares checksums (S3 documentation, "Checking object integrity")."""

import base64
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from werkzeug import Request, Response

from ingester_demo.http_server import running

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ALGORITHM = "x-amz-checksum-algorithm"
TYPE = "x-amz-checksum-type"
CRC32 = "x-amz-checksum-crc32"
CLASS = "x-amz-storage-class"


@dataclass
class PartsStore:
    """A WSGI application with one upload at a time.

    What it `compares` at the end: a checksum of the whole, as S3 does; of its parts alone, as stores that know the
    algorithm and pass over the type; or none. `refusal` is the status of its answer to a request that names a checksum,
    `class_refusal` the one for a storage class, `part_refusal` the one for each part, `damaged` what becomes of the
    bytes when they are put together. `begun` has the storage class of each begin, and whether it named a checksum.
    """

    compares: Literal["whole", "parts", "nothing"] = "whole"
    refusal: int | None = None
    class_refusal: int | None = None
    part_refusal: int | None = None
    damaged: Callable[[bytes], bytes] = lambda content: content
    url: str = ""
    begun: list[tuple[str | None, bool]] = field(default_factory=list)
    parts: dict[int, bytes] = field(default_factory=dict)
    stored: bytes | None = None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = Request(environ)
        answer = self._answer(request, request.get_data())
        return answer(environ, start_response)

    def _answer(self, request: Request, body: bytes) -> Response:
        match request.method:
            case "PUT":
                return self._take(int(request.args["partNumber"]), body, request.headers.get(CRC32))
            case "POST" if "uploads" in request.args:
                return self._begin(request)
            case "POST":
                return self._complete(request, body)
        self.parts.clear()
        return Response(status=204)

    def _begin(self, request: Request) -> Response:
        self.begun.append((request.headers.get(CLASS), ALGORITHM in request.headers))
        if self.class_refusal and CLASS in request.headers:
            return Response("<Error><Code>InvalidArgument</Code></Error>", self.class_refusal)  # as Ceph's radosgw
        if self.refusal and ALGORITHM in request.headers:
            return _refused("NotImplemented", self.refusal)
        known = {"whole": (ALGORITHM, TYPE), "parts": (ALGORITHM,), "nothing": ()}[self.compares]
        echoed = {name: value for name, value in request.headers.items() if name.lower() in known}
        return Response(_xml("InitiateMultipartUploadResult", "<UploadId>u</UploadId>"), headers=echoed)

    def _take(self, number: int, part: bytes, checksum: str | None) -> Response:
        if self.part_refusal:
            return _refused("InvalidArgument", self.part_refusal)
        if self.compares != "nothing" and checksum != crc32(part):
            return _refused("BadDigest")
        self.parts[number] = part
        return Response(headers={"ETag": f'"{number}"'})

    def _complete(self, request: Request, body: bytes) -> Response:
        parts = [part for _, part in sorted(self.parts.items())]
        named = re.findall(r"<ChecksumCRC32>(.*?)</ChecksumCRC32>", body.decode())
        if self.compares == "parts" and named != [crc32(part) for part in parts]:
            return _refused("InvalidPart")
        whole = self.damaged(b"".join(parts))
        right = crc32(whole) if self.compares == "whole" else None
        if request.headers.get(CRC32, right) != right:
            return _refused("BadDigest")
        self.stored = whole
        return Response(_xml("CompleteMultipartUploadResult", ""), headers={"x-amz-version-id": "v1"})


@contextmanager
def parts_store() -> Iterator[PartsStore]:
    """A running store."""
    app = PartsStore()
    with running(app) as url:
        app.url = url
        yield app


def crc32(content: bytes) -> str:
    """As S3 writes it in headers."""
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def _xml(name: str, content: str) -> str:
    return f'<{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{content}</{name}>'


def _refused(code: str, status: int = 400) -> Response:
    return Response(f"<Error><Code>{code}</Code><Message>so</Message></Error>", status)
