"""Spectrograph packages: the frame that describes a `.tar.gz` or `.tar` (docs/record.md, "Which header")."""

import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from lco_ingester.exceptions import PackageError, PackageMemberMissingError, TruncatedFrameError

EXTENSIONS = (".tar.gz", ".tar")
FRAME_MARKS = ("e00.fits", "e90.fits", "e91.fits")
_DRAIN = 1024 * 1024


@contextmanager
def frame_inside(stream: BinaryIO, path: str) -> Iterator[BinaryIO]:
    """The first regular member whose whole name contains one of FRAME_MARKS, as a seekable stream.

    The package is read to its end first, so that one that is still being written is not taken for whole. Nothing is
    ever extracted to a disk. Raises TruncatedFrameError, PackageError or PackageMemberMissingError.
    """
    with _errors_named(path):
        package = tarfile.open(fileobj=stream, mode="r:*")
    with package:
        with _errors_named(path):
            member = _find_frame(package)
            _read_to_end(package)
        if member is None:
            raise PackageMemberMissingError(
                frame=path, expected="a member named *" + ", *".join(FRAME_MARKS), found="none in the package"
            )
        with _errors_named(path):
            yield cast(BinaryIO, package.extractfile(member))


def _find_frame(package: tarfile.TarFile) -> tarfile.TarInfo | None:
    found = None
    for member in package:
        if found is None and member.isreg() and any(mark in member.name for mark in FRAME_MARKS):
            found = member
    return found


def _read_to_end(package: tarfile.TarFile) -> None:
    """Past the last member lies gzip's own checksum of all that came before (RFC 1952, section 2.3.1)."""
    contents = cast(BinaryIO, package.fileobj)
    while contents.read(_DRAIN):
        pass


@contextmanager
def _errors_named(path: str) -> Iterator[None]:
    try:
        yield
    except EOFError as error:
        raise TruncatedFrameError(frame=path, expected="a whole package", found=str(error)) from error
    except tarfile.ReadError as error:
        if "unexpected end of data" in str(error) or "empty file" in str(error):
            raise TruncatedFrameError(frame=path, expected="a whole package", found=str(error)) from error
        raise PackageError(frame=path, expected="a tar package", found=str(error)) from error
    except (tarfile.TarError, zlib.error, OSError) as error:
        raise PackageError(frame=path, expected="a tar package", found=str(error)) from error
