"""An object in parts that are sent side by side: S3 takes no more than 5 GB in a single put.

The file is read once, in order, and no more than a few parts of it are in memory at a time.
"""

import base64
import hashlib
import io
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, BinaryIO, Protocol

from lco_ingester.exceptions import FileChangedError

# S3 documentation, "Amazon S3 multipart upload limits": at least 5 MiB a part but the last, at most 10,000 parts.
SMALLEST_PART = 8 * 1024**2  # bytes
MOST_PARTS = 10_000
SENDERS = 4


class PartsClient(Protocol):
    """The calls of boto3's client that are used here."""

    def create_multipart_upload(self, **parameters: Any) -> dict[str, Any]: ...

    def upload_part(self, **parameters: Any) -> dict[str, Any]: ...

    def complete_multipart_upload(self, **parameters: Any) -> dict[str, Any]: ...

    def abort_multipart_upload(self, **parameters: Any) -> dict[str, Any]: ...


def put_in_parts(
    client: PartsClient, stream: io.RawIOBase | BinaryIO, size: int, md5: str, parameters: dict[str, Any]
) -> dict[str, Any]:
    """Put `size` bytes as one object; the answer to its completion. `parameters` name bucket, key and what is kept.

    Each part goes under its own Content-MD5, and the object becomes one only if all that was read has this `md5`
    (hex): so the store holds the bytes whose md5 is given. Raises FileChangedError, and what the client raises; what
    was sent is then taken back.
    """
    which = {"Bucket": parameters["Bucket"], "Key": parameters["Key"]}
    which["UploadId"] = client.create_multipart_upload(**parameters)["UploadId"]
    try:
        parts, sent = _send(client, stream, part_size(size), which)
        if sent != md5:
            raise FileChangedError(expected=f"bytes of md5 {md5}", found=f"md5 {sent}")
        return client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **which)
    except BaseException:
        # Parts that stay behind cost money and no frame: docs/operating.md has the bucket's rule for them.
        with suppress(Exception):
            client.abort_multipart_upload(**which)
        raise


def part_size(size: int) -> int:
    """Bytes of each part but the last, for an object of `size` bytes."""
    return max(SMALLEST_PART, -(-size // MOST_PARTS))


def _send(
    client: PartsClient, stream: io.RawIOBase | BinaryIO, length: int, which: dict[str, Any]
) -> tuple[list[dict[str, Any]], str]:
    """The parts as the completion names them, and the md5 (hex) of all of them together."""
    whole = hashlib.md5(usedforsecurity=False)
    parts: list[dict[str, Any]] = []
    under_way: deque[Future[dict[str, Any]]] = deque()
    with ThreadPoolExecutor(SENDERS) as senders:
        for number, part in enumerate(_read_parts(stream, length), start=1):
            if len(under_way) == SENDERS:
                parts.append(under_way.popleft().result())
            under_way.append(senders.submit(_send_part, client, number, part, which))
            whole.update(part)
        parts += [future.result() for future in under_way]
    return parts, whole.hexdigest()


def _send_part(client: PartsClient, number: int, part: bytes, which: dict[str, Any]) -> dict[str, Any]:
    digest = base64.b64encode(hashlib.md5(part, usedforsecurity=False).digest()).decode()
    answer = client.upload_part(PartNumber=number, Body=part, ContentMD5=digest, **which)
    return {"PartNumber": number, "ETag": answer["ETag"]}


def _read_parts(stream: io.RawIOBase | BinaryIO, length: int) -> Iterator[bytes]:
    while part := _read(stream, length):
        yield part


def _read(stream: io.RawIOBase | BinaryIO, length: int) -> bytes:
    """Exactly so many bytes, or all that are left: a raw stream may give fewer at a time."""
    pieces: list[bytes] = []
    while length > 0 and (piece := stream.read(length)):
        pieces.append(piece)
        length -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
