"""A null S3: accepts every object, checks its md5, forgets its bytes. `python -m benchmarks.s3_sink` prints its port.

It accepts single puts and parts, plain and aws-chunked. It always computes the md5, because the predecessors compare
it with the ETag; a Content-MD5 is checked.
"""

import base64
import hashlib
import threading
import uuid

from benchmarks.http_server import PIECE, Request, Response, listen, serve

_KEPT = ("content-type", "content-disposition", "x-amz-storage-class")


class S3Sink:
    """What is remembered of each key: its headers; of a multipart upload: the md5 of each part."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, dict[str, str]] = {}
        self._uploads: dict[str, dict[int, tuple[bytes, int]]] = {}
        self._started: dict[str, dict[str, str]] = {}

    def answer(self, request: Request) -> Response:
        """The answer to one request of S3's."""
        match request.method:
            case "PUT" if "uploadId" in request.query:
                return self._put_part(request)
            case "PUT":
                return self._put(request)
            case "POST" if "uploads" in request.query:
                return self._begin(request)
            case "POST" if "uploadId" in request.query:
                return self._complete(request)
            case "DELETE":
                return Response(204)
            case "HEAD":
                return self._head(request.path)
            case "GET" if "versioning" in request.query:
                return Response(body=b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
        return Response(404)

    def _put(self, request: Request) -> Response:
        digest, size = _digest(request)
        if not _as_promised(request, digest):
            return _bad_digest()
        return Response(headers=self._keep(request.path, request.headers, digest.hex(), size))

    def _put_part(self, request: Request) -> Response:
        digest, size = _digest(request)
        if not _as_promised(request, digest):
            return _bad_digest()
        with self._lock:
            self._uploads[request.query["uploadId"]][int(request.query["partNumber"])] = digest, size
        return Response(headers={"ETag": f'"{digest.hex()}"'})

    def _begin(self, request: Request) -> Response:
        upload = uuid.uuid4().hex
        with self._lock:
            self._uploads[upload] = {}
            self._started[upload] = request.headers
        return _xml("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>")

    def _complete(self, request: Request) -> Response:
        with self._lock:
            parts = self._uploads.pop(request.query["uploadId"])
            begun = self._started.pop(request.query["uploadId"])
        joined = b"".join(digest for _, (digest, _) in sorted(parts.items()))
        etag = f"{hashlib.md5(joined).hexdigest()}-{len(parts)}"
        headers = self._keep(request.path, begun, etag, sum(size for _, size in parts.values()))
        answer = _xml("CompleteMultipartUploadResult", f"<ETag>&quot;{etag}&quot;</ETag>")
        answer.headers |= headers
        return answer

    def _keep(self, path: str, headers: dict[str, str], etag: str, size: int) -> dict[str, str]:
        version = uuid.uuid4().hex  # 32 characters: all that the archive takes
        kept = {name: value for name, value in headers.items() if name in _KEPT or name.startswith("x-amz-meta-")}
        kept |= {"ETag": f'"{etag}"', "x-amz-version-id": version, "Content-Length": str(size)}
        with self._lock:
            self._objects[path] = kept
        return {"ETag": f'"{etag}"', "x-amz-version-id": version}

    def _head(self, path: str) -> Response:
        with self._lock:
            kept = self._objects.get(path)
        if kept is None:
            return Response(404)
        return Response(headers=dict(kept), size=int(kept["Content-Length"]))


def _digest(request: Request) -> tuple[bytes, int]:
    digest = hashlib.md5()
    buffer = memoryview(bytearray(PIECE))
    size = 0
    while got := request.body.readinto(buffer):
        digest.update(buffer[:got])
        size += got
    return digest.digest(), size


def _as_promised(request: Request, digest: bytes) -> bool:
    promised = request.headers.get("content-md5")
    return promised is None or base64.b64decode(promised) == digest


def _bad_digest() -> Response:
    return Response(400, b"<Error><Code>BadDigest</Code><Message>md5 differs</Message></Error>")


def _xml(name: str, content: str) -> Response:
    space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    return Response(body=f"<{name} {space}>{content}</{name}>".encode(), headers={"Content-Type": "application/xml"})


if __name__ == "__main__":
    socket_ = listen()
    print(socket_.getsockname()[1], flush=True)
    serve(socket_, S3Sink().answer)
