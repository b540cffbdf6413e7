"""The file of a frame: its name and extension, its fingerprint, and its bytes.

`PathFile` is a file on a disk, which may vanish or change at any time. `StreamFile` is a stream of the caller, which
stays open and keeps its position.
"""

import fcntl
import io
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePath
from typing import IO, BinaryIO

from lco_ingester.exceptions import (
    FileChangedError,
    FileMissingError,
    FileNameMissingError,
    FileNameUnusableError,
    FileOutsideDataRootsError,
    FileSystemUnavailableError,
    FileUnreadableError,
    IngesterError,
    SettingsError,
)
from lco_ingester.file.system_errors import (
    OF_THE_FILE,
    READ_ERRORS,
    SYSTEM_ERRORS,
    error_of,
    read_errors_translated,
    read_now,
)
from lco_ingester.frame import Fingerprint
from lco_ingester.printable import printable

LONGEST_BASENAME = 1000  # characters that the archive takes
_WITHOUT_WAITING = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # opening a named pipe would block for ever
_LOOK = getattr(os, "O_PATH", _WITHOUT_WAITING) | os.O_CLOEXEC  # Linux: without opening it, so a device does nothing


class PathFile:
    """A file on a disk, opened when it is read.

    It must be in one of the directories `data_roots`, after links are resolved. Empty: it may be anywhere. What a path
    leads to may change at any time, so the file is judged by its open descriptor, and read from the same one.
    """

    def __init__(self, path: str, data_roots: tuple[str, ...] = ()) -> None:
        self.path = path
        self._data_roots = data_roots

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file as a stream, at its first byte.

        Raises FileMissingError, FileOutsideDataRootsError, FileUnreadableError, FileSystemUnavailableError or
        OutOfResourcesError.
        """
        try:
            stream = open(self.path, "rb", opener=self._open_judged)
        except FileNotFoundError as error:
            self._refuse_path_outside_roots()
            raise FileMissingError(frame=self.path, expected="a file of this path", found="none") from error
        except SYSTEM_ERRORS as error:
            self.fingerprint()  # which knows a better reason, if it is not a regular file
            raise self._error_of(error) from error
        try:
            yield stream
        finally:
            _close(stream)

    def fingerprint(self) -> Fingerprint | None:
        """Size, mtime and inode as of now; None if the file does not exist.

        Raises what `opened` raises for other files. Nothing is opened for reading.
        """
        try:
            descriptor = os.open(self.path, _LOOK)
        except (FileNotFoundError, NotADirectoryError):
            self._refuse_path_outside_roots()
            return None
        except SYSTEM_ERRORS as error:
            raise self._error_of(error) from error
        try:
            return _fingerprint_of(self._judge(descriptor))
        finally:
            with suppress(OSError):
                os.close(descriptor)

    def fingerprint_of(self, stream: BinaryIO) -> Fingerprint:
        """The fingerprint of the file that was `opened`, whatever is at its path now."""
        return _fingerprint_of_stream(stream, self.path)

    def _open_judged(self, path: str, flags: int) -> int:
        descriptor = os.open(path, flags | _WITHOUT_WAITING)
        try:
            if self._judge(descriptor).st_size:  # else it may be one in /proc that has content, and waits for more
                os.set_blocking(descriptor, True)
        except BaseException:
            with suppress(OSError):
                os.close(descriptor)
            raise
        return descriptor

    def _judge(self, descriptor: int) -> os.stat_result:
        try:
            found = os.fstat(descriptor)
            real = path_of_descriptor(descriptor) if self._data_roots else ""
        except SYSTEM_ERRORS as error:
            raise self._error_of(error) from error
        self._refuse_outside_roots(real)
        if not stat.S_ISREG(found.st_mode):
            raise FileUnreadableError(frame=self.path, expected="a regular file", found=stat.filemode(found.st_mode))
        return found

    def _error_of(self, error: Exception) -> IngesterError:
        if isinstance(error, OSError) and error.errno in OF_THE_FILE:
            self._refuse_path_outside_roots()
        return error_of(error, self.path)

    def _refuse_path_outside_roots(self) -> None:
        """For a file that cannot be opened."""
        if self._data_roots:
            self._refuse_outside_roots(_real_path(self.path, strict=False))

    def _refuse_outside_roots(self, real: str) -> None:
        roots = self._data_roots
        if (
            roots
            and not _is_below(real, roots)
            and not _is_below(real, (_real_path(root, strict=True) for root in roots))
        ):
            expected = "a file below " + " or ".join(roots)
            raise FileOutsideDataRootsError(frame=self.path, expected=expected, found=printable(real))


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
        with read_errors_translated(self.path):
            before = self._stream.tell()
            self._stream.seek(0)
        try:
            yield self._stream  # type: ignore[misc]  # we use no method that IO[bytes] lacks
        finally:
            with read_errors_translated(self.path):
                self._stream.seek(before)

    def fingerprint(self) -> Fingerprint:
        """Size, and mtime and inode where the stream is a file on a disk."""
        with self.opened() as stream:  # seeking also flushes the caller's buffer
            return self.fingerprint_of(stream)

    def fingerprint_of(self, stream: BinaryIO) -> Fingerprint:
        """The fingerprint of the stream that was `opened`."""
        return _fingerprint_of_stream(stream, self.path)


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


def path_of_descriptor(descriptor: int) -> str:
    """Where an open file is, without links, as the kernel says. Raises SettingsError if the system cannot say it."""
    if hasattr(fcntl, "F_GETPATH"):  # macOS
        return os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError as error:
        raise SettingsError("DATA_ROOTS needs /proc, which says where an open file is") from error


def size_of(stream: BinaryIO) -> int:
    """The stream's size in bytes; leaves the stream at its end."""
    stream.seek(0, os.SEEK_END)  # not every stream returns its position from seek
    return stream.tell()


class NonClosing(io.RawIOBase):
    """A view of a seekable stream; closing it does not close the stream.

    `fault` is the error of a reading that failed, whatever its reader makes of it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self.fault: IngesterError | None = None

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
        try:
            chunk = read_now(self._stream, len(buffer))
        except READ_ERRORS as error:
            self.fault = error_of(error)
            raise self.fault from error
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
        with read_errors_translated():
            self._stream.seek(super().seek(offset, whence))
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted == 0:
            return b""
        try:
            chunk = read_now(self._stream, wanted)
        except READ_ERRORS as error:  # the store must not take it for an error of the network
            raise error_of(error) from error
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


def _fingerprint_of_stream(stream: BinaryIO, path: str) -> Fingerprint:
    """Leaves the stream at its first byte."""
    raw = getattr(stream, "raw", stream)
    with read_errors_translated(path):
        if isinstance(raw, io.FileIO):
            return _fingerprint_of(os.fstat(raw.fileno()))
        size = size_of(stream)
        stream.seek(0)
        return Fingerprint(size=size)


def _close(stream: BinaryIO) -> None:
    """Close a file that was only read. What a file server says about that, as FUSE and NFS may, changes nothing."""
    with suppress(OSError):
        stream.close()


def _is_below(real: str, roots: Iterable[str]) -> bool:
    """Whether a path without links is in one of these directories. A root with a link in it contains no such path."""
    path = PurePath(real)
    return any(path.is_relative_to(root) for root in roots)


def _real_path(path: str, *, strict: bool) -> str:
    """The path without links. Raises FileSystemUnavailableError if it cannot be resolved now, or changes meanwhile."""
    try:
        return os.path.realpath(path, strict=strict)
    except (FileNotFoundError, NotADirectoryError):
        return os.path.realpath(path)  # a root may be a link to a place that is not mounted now
    except OSError as error:
        found = f"{path}: {error.strerror}"
        raise FileSystemUnavailableError(check="data roots", found=found) from error
