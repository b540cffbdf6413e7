"""Uploads in parts, several at the same time, because a single put to S3 takes at most 5 GB.

The file is read once, in order, and only a few parts are in memory at a time.
"""

import base64
import hashlib
import io
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from lco_ingester.exceptions import FileChangedError

# S3 documentation, "Amazon S3 multipart upload limits": at least 5 MiB a part but the last, at most 10,000 parts.
MIN_PART = 8 * 1024**2  # bytes
MAX_PARTS = 10_000
SENDERS = 4
# S3 documentation, "Checking object integrity": the store compares this after it has put the parts together.
_CHECKSUM_OF_THE_WHOLE = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}


class PartsClient(Protocol):
    """The methods of boto3's client that we call."""

    @property
    def exceptions(self) -> Any: ...

    def create_multipart_upload(self, **parameters: Any) -> dict[str, Any]: ...

    def upload_part(self, **parameters: Any) -> dict[str, Any]: ...

    def complete_multipart_upload(self, **parameters: Any) -> dict[str, Any]: ...

    def abort_multipart_upload(self, **parameters: Any) -> dict[str, Any]: ...


def begin_parts(client: PartsClient, parameters: dict[str, Any]) -> dict[str, Any]:
    """Begin the upload of one object in parts; return the answer. `parameters` are the bucket, the key and the headers.

    A store that does not support the checksums ignores them, or refuses and is asked without.
    """
    try:
        return client.create_multipart_upload(**_CHECKSUM_OF_THE_WHOLE, **parameters)
    except client.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (400, 501):
            raise
        return client.create_multipart_upload(**parameters)


def put_parts(
    client: PartsClient,
    stream: io.RawIOBase | BinaryIO,
    size: int,
    md5: str,
    which: dict[str, str],
    begun: dict[str, Any],
) -> dict[str, Any]:
    """Put `size` bytes as the upload that the answer `begun` began; return the answer to the completion.

    `which` are the bucket, the key and the UploadId. Each part has its own Content-MD5, and the upload is completed
    only if the bytes that were read have this `md5` (hex). A store that supports it also compares the CRC-32 of the
    whole object. Raises FileChangedError, and the errors of the client; the parts are then deleted.
    """
    # Of each part; of the whole object only if the answer names FULL_OBJECT.
    checked = begun.get("ChecksumAlgorithm") == "CRC32"
    try:
        sent = _send(client, stream, part_size(size), which, checked)
        if sent.md5 != md5:
            raise FileChangedError(expected=f"bytes of md5 {md5}", found=f"md5 {sent.md5}")
        whole = {}
        if checked and begun.get("ChecksumType") == "FULL_OBJECT":
            whole = {"ChecksumType": "FULL_OBJECT", **_checksum(sent.crc32)}
        return client.complete_multipart_upload(MultipartUpload={"Parts": sent.parts}, **whole, **which)
    except BaseException:
        # Parts that are left cost money but no frame; docs/operating.md has a bucket rule that deletes them.
        with suppress(Exception):
            client.abort_multipart_upload(**which)
        raise


def part_size(size: int) -> int:
    """Bytes of each part but the last, for an object of `size` bytes."""
    return max(MIN_PART, -(-size // MAX_PARTS))


@dataclass(frozen=True, slots=True)
class _Sent:
    """The parts for the completion, and md5 (hex) and CRC-32 of all bytes."""

    parts: list[dict[str, Any]]
    md5: str
    crc32: int


def _send(
    client: PartsClient, stream: io.RawIOBase | BinaryIO, length: int, which: dict[str, str], checked: bool
) -> _Sent:
    md5, crc32 = hashlib.md5(usedforsecurity=False), 0
    parts: list[dict[str, Any]] = []
    pending: deque[Future[dict[str, Any]]] = deque()
    with ThreadPoolExecutor(SENDERS) as senders:
        for number, part in enumerate(_read_parts(stream, length), start=1):
            if len(pending) == SENDERS:
                parts.append(pending.popleft().result())
            pending.append(senders.submit(_send_part, client, number, part, which, checked))
            md5.update(part)
            crc32 = zlib.crc32(part, crc32)
        parts += [future.result() for future in pending]
    return _Sent(parts, md5.hexdigest(), crc32)


def _send_part(client: PartsClient, number: int, part: bytes, which: dict[str, str], checked: bool) -> dict[str, Any]:
    digest = _base64(hashlib.md5(part, usedforsecurity=False).digest())
    checksum = _checksum(zlib.crc32(part)) if checked else {}
    answer = client.upload_part(PartNumber=number, Body=part, ContentMD5=digest, **checksum, **which)
    return {"PartNumber": number, "ETag": answer["ETag"], **checksum}


def _checksum(crc32: int) -> dict[str, str]:
    return {"ChecksumCRC32": _base64(crc32.to_bytes(4, "big"))}


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _read_parts(stream: io.RawIOBase | BinaryIO, length: int) -> Iterator[bytes]:
    while part := _read(stream, length):
        yield part


def _read(stream: io.RawIOBase | BinaryIO, length: int) -> bytes:
    """Exactly `length` bytes, or all that are left; a raw stream may return fewer at a time."""
    pieces: list[bytes] = []
    while length > 0 and (piece := stream.read(length)):
        pieces.append(piece)
        length -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
