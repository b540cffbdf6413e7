"""A frame's bytes, read once from first to last: hashed as they come, and unpacked within limits."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from lco_ingester.exceptions import (
    DoNotRetryError,
    ExpandsTooFarError,
    FileUnreadableError,
    GzipDamagedError,
    TruncatedFrameError,
)
from lco_ingester.file.checks import CheckPolicy

CHUNK = 512 * 1024  # bytes read at a time: memory stays flat, and the sums find in the cache what the md5 has read
_BUFFER = 32 * 1024  # bytes: less than a chunk, which is then read past the buffer
GZIP_MAGIC = b"\x1f\x8b"
_INTO_MEMORY = (io.FileIO, io.BufferedReader, io.BufferedRandom, io.BytesIO)  # and not what overrides their `read`
_RATIO_COUNTS_FROM = 256 * 1024 * 1024  # bytes: what unpacks to less does no harm, however small it was packed


class Readable(Protocol):
    """What gives bytes from first to last; a read gives all that it is asked for, or all that is left."""

    def read(self, size: int = -1, /) -> bytes: ...


class CountingReader(io.RawIOBase):
    """A stream from where it stands to its end, with the number of the bytes that were read of it."""

    def __init__(self, stream: Readable) -> None:
        super().__init__()
        self._stream = stream
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # all that io.BufferedReader passes
        if type(self._stream) in _INTO_MEMORY:
            size: int = self._stream.readinto(buffer)  # type: ignore[attr-defined]
            self._count(buffer[:size])
        else:
            chunk = self._stream.read(len(buffer))
            size = len(chunk)
            self._count(chunk)
            buffer[:size] = chunk
        return size

    def _count(self, piece: bytes | memoryview) -> None:
        self.size += len(piece)


class HashingReader(CountingReader):
    """The same with the md5 of the bytes, and with the errors of a file.

    Reading raises FileUnreadableError if the disk fails, or if the stream gives text.
    """

    def __init__(self, stream: Readable) -> None:
        super().__init__(stream)
        self._md5 = hashlib.md5(usedforsecurity=False)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise FileUnreadableError(found=error.strerror or str(error)) from error
        except (TypeError, UnicodeDecodeError) as error:
            raise FileUnreadableError(expected="a stream opened in binary mode", found="text") from error

    def finish(self) -> tuple[str, int]:
        """Read what is left; the md5 (hex) and the size of all that the stream gave."""
        buffer = memoryview(bytearray(CHUNK))
        while self.readinto(buffer):
            pass
        return self._md5.hexdigest(), self.size

    def _count(self, piece: bytes | memoryview) -> None:
        super()._count(piece)
        self._md5.update(piece)


def md5_of_stream(stream: Readable) -> tuple[str, int]:
    """The md5 (hex) and the number of bytes of a stream, read once to its end in chunks.

    Raises FileUnreadableError if it cannot be read, or gives text.
    """
    return HashingReader(stream).finish()


class Budget:
    """How much a file may unpack to, with the gzipped files in it: the limits of `checks`.

    `packed` is the file: its `size` says how much was read of it.
    """

    def __init__(self, packed: CountingReader, checks: CheckPolicy) -> None:
        self._packed = packed
        self._checks = checks
        self._spent = 0

    def spend(self, size: int) -> None:
        """Told of each piece that was unpacked. Raises ExpandsTooFarError."""
        self._spent += size
        most = min(
            self._checks.expanded_max_bytes,
            max(_RATIO_COUNTS_FROM, int(self._checks.expanded_max_ratio * self._packed.size)),
        )
        if self._spent > most:
            raise ExpandsTooFarError(expected=f"at most {most} bytes unpacked", found="more")


class Expanding(io.RawIOBase):
    """What a gzip stream unpacks to, as far as the budget reaches. Reading raises ExpandsTooFarError."""

    def __init__(self, contents: Readable, budget: Budget) -> None:
        super().__init__()
        self._contents = contents
        self._budget = budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._contents.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self._budget.spend(len(chunk))
        return len(chunk)


class Contents(io.BufferedReader):
    """A file's bytes, unpacked if it was `gzipped`, to be read from first to last; files in it share its budget."""

    def __init__(self, raw: io.RawIOBase, budget: Budget, gzipped: bool) -> None:
        super().__init__(raw, _BUFFER)
        self.budget = budget
        self.gzipped = gzipped


@contextmanager
def unpacked(packed: CountingReader, checks: CheckPolicy, budget: Budget | None = None) -> Iterator[Contents]:
    """The stream, or what gzip packed into it; `budget` is that of the package that it is in, if it is in one.

    Raises TruncatedFrameError for a gzip stream that ends too soon, GzipDamagedError for a damaged one.
    """
    budget = budget or Budget(packed, checks)
    stream = Contents(packed, budget, gzipped=False)
    if stream.peek(len(GZIP_MAGIC))[: len(GZIP_MAGIC)] != GZIP_MAGIC:
        yield stream
        return
    contents = Contents(Expanding(gzip.GzipFile(fileobj=stream), budget), budget, gzipped=True)
    with gzip_errors_translated():
        try:
            yield contents
        except DoNotRetryError:
            drain(contents)  # what is wrong inside may be gzip's fault, whose own checksum comes last
            raise


@contextmanager
def gzip_errors_translated() -> Iterator[None]:
    """The one place where gzip's errors become ours."""
    try:
        yield
    except EOFError as error:
        raise TruncatedFrameError(expected="a whole gzip file", found=str(error)) from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise GzipDamagedError(expected="sound gzip data", found=str(error)) from error


def drain(stream: Readable) -> int:
    """Read a stream to its end; the number of bytes that were left of it that are not zero."""
    count = 0
    while chunk := stream.read(CHUNK):
        count += len(chunk) - chunk.count(0)
    return count
