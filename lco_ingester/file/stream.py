"""Reading a file once, from first to last byte: its md5 is taken and gzip is unpacked on the way."""

import hashlib
import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from lco_ingester.exceptions import (
    DoNotRetryError,
    ExpandsTooFarError,
    FileChangedError,
    GzipDamagedError,
    TruncatedFrameError,
)
from lco_ingester.file.checks import CheckPolicy
from lco_ingester.file.system_errors import (
    READ_ERRORS,
    Readable,
    error_of,
    read_errors_translated,
    read_now,
    would_block,
)

CHUNK = 512 * 1024  # bytes read at a time: memory stays flat, and a chunk is still in the CPU cache after the md5
_BUFFER = 32 * 1024  # bytes; less than a chunk, so that a chunk bypasses the buffer
GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 16 + zlib.MAX_WBITS  # zlib reads the header and checks the sums of gzip
_READ_INTO = (io.FileIO, io.BufferedReader, io.BufferedRandom, io.BytesIO)  # not subclasses with a `read` of their own
_RATIO_COUNTS_FROM = 256 * 1024 * 1024  # bytes; below this size any ratio is harmless


class CountingReader(io.RawIOBase):
    """A stream from its current position to its end; `size` counts the bytes that were read."""

    def __init__(self, stream: Readable) -> None:
        super().__init__()
        self._stream = stream
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # all that io.BufferedReader passes
        if type(self._stream) in _READ_INTO:
            size: int | None = self._stream.readinto(buffer)  # type: ignore[attr-defined]
            if size is None:
                raise would_block()
            self._count(buffer[:size])
        else:
            chunk = read_now(self._stream, len(buffer))
            size = len(chunk)
            self._count(chunk)
            buffer[:size] = chunk
        return size

    def _count(self, piece: bytes | memoryview) -> None:
        self.size += len(piece)


class HashingReader(CountingReader):
    """The same with the md5 of the bytes, at most the `expected` ones: some files, such as those in /proc, have no end.

    Reading raises the errors of `system_errors` if the disk fails, or if the stream returns text.
    """

    def __init__(self, stream: Readable, expected: float = math.inf) -> None:
        super().__init__(stream)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._expected = expected

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        left = self._expected - self.size
        if left < len(buffer):
            buffer = memoryview(buffer)[: int(left)]  # `read` passes a bytearray, whose slice is a copy
        try:
            return super().readinto(buffer) if buffer else 0
        except READ_ERRORS as error:
            raise error_of(error) from error

    def finish(self) -> tuple[str, int]:
        """Read the rest; return md5 (hex) and size in bytes of the whole stream.

        Raises FileChangedError if it has more than it should have.
        """
        buffer = memoryview(bytearray(CHUNK))
        while self.readinto(buffer):
            pass
        with read_errors_translated():
            if self.size == self._expected and read_now(self._stream, 1):
                raise FileChangedError(expected=f"{self._expected} bytes", found="more")
        return self._md5.hexdigest(), self.size

    def _count(self, piece: bytes | memoryview) -> None:
        super()._count(piece)
        self._md5.update(piece)


def md5_of_stream(stream: Readable) -> tuple[str, int]:
    """Md5 (hex) and size in bytes of a stream, read once to its end.

    Raises the errors of `system_errors` if it cannot be read, or returns text.
    """
    return HashingReader(stream).finish()


class Budget:
    """How many bytes a file may unpack to, together with the gzip files inside it, by the limits of `checks`.

    `packed` is the file; its `size` is what was read of it so far.
    """

    def __init__(self, packed: CountingReader, checks: CheckPolicy) -> None:
        self._packed = packed
        self._checks = checks
        self._spent = 0

    def spend(self, size: int) -> None:
        """Count unpacked bytes. Raises ExpandsTooFarError."""
        self._spent += size
        most = min(
            self._checks.expanded_max_bytes,
            max(_RATIO_COUNTS_FROM, int(self._checks.expanded_max_ratio * self._packed.size)),
        )
        if self._spent > most:
            raise ExpandsTooFarError(expected=f"at most {most} bytes unpacked", found="more")


class Expanding(io.RawIOBase):
    """A gzip file (RFC 1952), unpacked. Reading raises ExpandsTooFarError when the budget is spent.

    Python's GzipFile reads the name in a gzip header, and zeros after the end, byte by byte: some minutes of CPU for a
    file made for it. zlib reads both as fast as all else.
    """

    def __init__(self, packed: Readable, budget: Budget) -> None:
        super().__init__()
        self._packed = packed
        self._budget = budget
        self._member = zlib.decompressobj(_GZIP)
        self._start = b""  # packed bytes of the member that were read with the one before

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = b""
        while not piece and not (self._member.eof and self._is_last()):
            packed = self._start or self._member.unconsumed_tail or self._packed.read(_BUFFER)
            self._start = b""
            piece = self._member.decompress(packed, len(buffer))
            if not (piece or packed or self._member.eof):
                raise EOFError("Compressed file ended before the end-of-stream marker was reached")
        buffer[: len(piece)] = piece
        self._budget.spend(len(piece))
        return len(piece)

    def _is_last(self) -> bool:
        """After a member: go to the next one, which may follow after zeros. True if there is none."""
        packed = self._member.unused_data
        while not (start := packed.lstrip(b"\0")):
            packed = self._packed.read(_BUFFER)
            if not packed:
                return True
        self._member, self._start = zlib.decompressobj(_GZIP), start
        return False


class Contents(io.BufferedReader):
    """The bytes of a file, unpacked if it was `gzipped`. Files inside it share its budget."""

    def __init__(self, raw: io.RawIOBase, budget: Budget, gzipped: bool) -> None:
        super().__init__(raw, _BUFFER)
        self.budget = budget
        self.gzipped = gzipped


@contextmanager
def unpacked(packed: CountingReader, checks: CheckPolicy, budget: Budget | None = None) -> Iterator[Contents]:
    """The stream, unpacked if it is gzip. `budget` is that of the package, if the stream is a member.

    Raises TruncatedFrameError for a gzip stream that ends too early, GzipDamagedError for a damaged one.
    """
    budget = budget or Budget(packed, checks)
    stream = Contents(packed, budget, gzipped=False)
    if stream.peek(len(GZIP_MAGIC))[: len(GZIP_MAGIC)] != GZIP_MAGIC:
        yield stream
        return
    contents = Contents(Expanding(stream, budget), budget, gzipped=True)
    with gzip_errors_translated():
        try:
            yield contents
        except DoNotRetryError:
            drain(contents)  # damaged gzip data may be the cause, and gzip's checksum comes last
            raise


@contextmanager
def gzip_errors_translated() -> Iterator[None]:
    """The one place where errors of unpacking become ours."""
    try:
        yield
    except EOFError as error:
        raise TruncatedFrameError(expected="a whole gzip file", found=str(error)) from error
    except zlib.error as error:
        raise GzipDamagedError(expected="sound gzip data", found=str(error)) from error


def drain(stream: Readable) -> int:
    """Read a stream to its end; return how many of these bytes are not zero."""
    count = 0
    while chunk := stream.read(CHUNK):
        count += len(chunk) - chunk.count(0)
    return count
