"""What the operating system says about a file → our errors. The one place where it is decided (docs/errors.md).

Only a short list of codes blames the file. All others wait, because a file system that is away for a while answers with
many codes, and nobody knows them all.
"""

import errno
import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from lco_ingester.exceptions import (
    FileSystemUnavailableError,
    FileUnreadableError,
    GzipDamagedError,
    IngesterError,
    OutOfResourcesError,
    TruncatedFrameError,
)

# Permissions, a directory, links in a circle, a name that no file can have, a pipe. It stays so until somebody acts.
OF_THE_FILE = frozenset((
    errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ESPIPE,
))  # fmt: skip
# Limits of our process or machine: too many open files, no memory.
OF_THIS_PROCESS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS))

# What opening a file on a disk may raise. ValueError: a name that no file can have.
SYSTEM_ERRORS = (OSError, ValueError, MemoryError)
# What reading any stream may raise. Not every Exception: Celery's soft time limit is one, and comes at any time.
READ_ERRORS = (*SYSTEM_ERRORS, TypeError, AttributeError, EOFError, zlib.error)


class Readable(Protocol):
    """A stream of bytes; `read` returns as many as requested, or all that are left."""

    def read(self, size: int = -1, /) -> bytes: ...


def read_now(stream: Readable, size: int) -> bytes:
    """`stream.read(size)`, or the error that `would_block`."""
    piece = stream.read(size)
    if piece is None:
        raise would_block()
    return piece


def would_block() -> BlockingIOError:
    """The error of a stream that does not block and has no bytes yet; such streams return None."""
    return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def error_of(error: BaseException, frame: str = "") -> IngesterError:
    """Our error for one of the `READ_ERRORS`, raised while a file was opened or read.

    A stream of the library's caller may raise more than a file on a disk does: it may be closed, return text, or unpack
    gzip itself.
    """
    ours = _error_of(error, _text_of(error))
    ours.frame = frame
    return ours


def _error_of(error: BaseException, found: str) -> IngesterError:
    if is_of_this_process(error):
        return OutOfResourcesError(found=found)
    if isinstance(error, (gzip.BadGzipFile, zlib.error)):
        return GzipDamagedError(expected="sound gzip data", found=found)
    if isinstance(error, EOFError):
        return TruncatedFrameError(expected="a whole file", found=found)
    if isinstance(error, (TypeError, UnicodeDecodeError)):
        return FileUnreadableError(expected="a stream opened in binary mode", found="text")
    if isinstance(error, (ValueError, AttributeError)) or getattr(error, "errno", None) in OF_THE_FILE:
        return FileUnreadableError(expected="a file or a seekable stream that can be read", found=found)
    return FileSystemUnavailableError(found=found)


def is_of_this_process(error: BaseException | None) -> bool:
    """Whether our process or machine has reached a limit, whatever it was doing."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in OF_THIS_PROCESS)


def has_system_code(error: BaseException) -> bool:
    """Whether the operating system raised this error. An OSError without a number is of a library: "not FITS"."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)


@contextmanager
def read_errors_translated(frame: str = "") -> Iterator[None]:
    """Errors of opening and reading become ours."""
    try:
        yield
    except READ_ERRORS as error:
        raise error_of(error, frame) from error


def _text_of(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return f"{os.strerror(error.errno)} ({errno.errorcode.get(error.errno, error.errno)})"
    return str(error) or type(error).__name__
