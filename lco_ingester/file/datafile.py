"""The file of a frame: its name and extension, its fingerprint, and its bytes.

`PathFile` is a file on a disk, which may vanish or change at any time. `StreamFile` is a stream of the caller, which
stays open and keeps its position.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import IO, BinaryIO

from lco_ingester.exceptions import (
    FileChangedError,
    FileMissingError,
    FileNameMissingError,
    FileNameUnusableError,
    FileOutsideDataRootsError,
    FileUnreadableError,
)
from lco_ingester.frame import Fingerprint

LONGEST_BASENAME = 1000  # characters that the archive takes


class PathFile:
    """A file on a disk, opened when it is read.

    It must be in one of the directories `data_roots`, after links are resolved. Empty: it may be anywhere.
    """

    def __init__(self, path: str, data_roots: tuple[str, ...] = ()) -> None:
        self.path = path
        self._data_roots = data_roots

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file as a stream, at its first byte.

        Raises FileMissingError, FileOutsideDataRootsError or FileUnreadableError.
        """
        self._refuse_outside_roots()
        missing = FileMissingError(frame=self.path, expected="a file of this path", found="none")
        if self.fingerprint() is None:
            raise missing
        try:
            stream = open(self.path, "rb")
        except (FileNotFoundError, NotADirectoryError) as error:  # it existed a moment ago
            raise missing from error
        except OSError as error:
            raise _unreadable(self.path, error) from error
        with stream:
            yield stream

    def fingerprint(self) -> Fingerprint | None:
        """Size, mtime and inode as of now; None if the file does not exist.

        Raises FileUnreadableError if it is not a regular file: opening a named pipe would block for ever.
        """
        try:
            found = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise _unreadable(self.path, error) from error
        if not stat.S_ISREG(found.st_mode):
            raise FileUnreadableError(frame=self.path, expected="a regular file", found=stat.filemode(found.st_mode))
        return _fingerprint_of(found)

    def _refuse_outside_roots(self) -> None:
        if not self._data_roots:
            return
        try:
            real = PurePath(os.path.realpath(self.path))
        except (OSError, ValueError) as error:
            raise _unreadable(self.path, error) from error
        if not any(real.is_relative_to(os.path.realpath(root)) for root in self._data_roots):
            raise FileOutsideDataRootsError(
                frame=self.path, expected="a file below " + " or ".join(self._data_roots), found=str(real)
            )


class StreamFile:
    """A seekable binary stream that belongs to the caller."""

    def __init__(self, stream: IO[bytes], path: str | os.PathLike[str] | None = None) -> None:
        self.path = _name_of(stream, path)
        self._stream = stream

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The stream, at its first byte; afterwards it is back at its earlier position.

        Raises FileUnreadableError if it cannot seek.
        """
        try:
            before = self._stream.tell()
            self._stream.seek(0)
        except (OSError, ValueError, AttributeError) as error:
            raise FileUnreadableError(frame=self.path, expected="an open, seekable stream", found=str(error)) from error
        try:
            yield self._stream  # type: ignore[misc]  # we use no method that IO[bytes] lacks
        finally:
            self._stream.seek(before)

    def fingerprint(self) -> Fingerprint:
        """Size, and mtime and inode where the stream is a file on a disk."""
        with self.opened() as stream:  # seeking also flushes the caller's buffer
            raw = getattr(stream, "raw", stream)
            if isinstance(raw, io.FileIO):
                return _fingerprint_of(os.fstat(raw.fileno()))
            return Fingerprint(size=size_of(stream))


DataFile = PathFile | StreamFile


def split_name(path: str) -> tuple[str, str]:
    """Basename and extension: the name before and from its first dot (docs/record.md, "Names").

    A leading dot belongs to the basename.
    """
    name = PurePath(path).name
    dot = name.find(".", 1)
    return (name, "") if dot < 0 else (name[:dot], name[dot:])


def refuse_unusable_name(path: str) -> None:
    """Raises FileNameUnusableError for a name that S3 and the archive cannot hold."""
    name = PurePath(path).name
    basename = split_name(path)[0]
    if not basename.strip() or len(basename) > LONGEST_BASENAME:
        raise FileNameUnusableError(
            expected=f"1 to {LONGEST_BASENAME} characters before the extension", found=ascii(name[:80])
        )
    if not name.isprintable():  # a byte that is not UTF-8 becomes a lone surrogate, which is not printable
        raise FileNameUnusableError(expected="printable characters in UTF-8", found=ascii(name))


def printable(path: str) -> str:
    """The path as an error or a terminal can show it."""
    return path if path.isprintable() else ascii(path)[1:-1]


def size_of(stream: BinaryIO) -> int:
    """The stream's size in bytes; leaves the stream at its end."""
    stream.seek(0, os.SEEK_END)  # not every stream returns its position from seek
    return stream.tell()


class NonClosing(io.RawIOBase):
    """A view of a seekable stream; closing it does not close the stream."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._stream.seek(offset, whence)
        return self._stream.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # all that io.BufferedReader passes
        chunk = self._stream.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


class SizedReader(io.RawIOBase):
    """A seekable stream of `size` bytes; subclasses implement `read`, and move `_position`."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position


class ExactReader(SizedReader):
    """A view of a stream with exactly `size` bytes.

    A file that grew must not send more than its announced length. A file that shrank must not keep the store waiting
    for the rest: reading raises FileChangedError.
    """

    def __init__(self, stream: BinaryIO, size: int) -> None:
        super().__init__(size)
        self._stream = stream

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._stream.seek(super().seek(offset, whence))
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted == 0:
            return b""
        chunk = self._stream.read(wanted)
        if not chunk:
            raise FileChangedError(expected=f"{self._size} bytes", found=f"its end after {self._position}")
        self._position += len(chunk)
        return chunk


def _name_of(stream: IO[bytes], path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        name: object = os.fspath(path)
    else:
        name = getattr(stream, "name", None)  # a number, if the file was opened by its descriptor
    if not isinstance(name, str) or not PurePath(name).name:
        raise FileNameMissingError(expected="a file object with a name, or a path", found=f"name {name!r}")
    return name


def _fingerprint_of(found: os.stat_result) -> Fingerprint:
    return Fingerprint(size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino)


def _unreadable(path: str, error: Exception) -> FileUnreadableError:
    return FileUnreadableError(frame=path, found=getattr(error, "strerror", None) or str(error))
