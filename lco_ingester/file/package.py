"""Spectrograph packages: the frame that describes a `.tar.gz` or `.tar` (docs/record.md, "Which header").

A package is read once, as a stream, member by member. Nothing is extracted, so names, links and devices are harmless.
What could do harm is refused: endless headers, too many members, and sparse members, which claim more bytes than they
have.
"""

import re
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

from lco_ingester.exceptions import (
    EmptyFileError,
    ExpandsTooFarError,
    IngesterError,
    PackageError,
    PackageMemberDamagedError,
    PackageMemberMissingError,
    RetryError,
    TrailingBytesError,
    TruncatedFrameError,
)
from lco_ingester.file.checks import CheckPolicy
from lco_ingester.file.headers.frame_header import FrameHeader
from lco_ingester.file.stream import (
    CHUNK,
    GZIP_MAGIC,
    Contents,
    CountingReader,
    drain,
    gzip_errors_translated,
    unpacked,
)
from lco_ingester.file.system_errors import Readable
from lco_ingester.file.validation import read_headers

EXTENSIONS = (".tar.gz", ".tar")
FRAME_MARKS = ("e00.fits", "e90.fits", "e91.fits")
FITS_EXTENSIONS = (".fits", ".fits.fz", ".fits.gz")
_FRAME_ENDS = tuple(mark + packed for mark in FRAME_MARKS for packed in ("", ".fz", ".gz"))
# Describes another file and has its name: AppleDouble files of macOS and netatalk, side folders of a Synology, extended
# headers that an old tar wrote out as files. A backslash may be another system's slash.
_OF_ANOTHER = re.compile(
    r"(?:.*[/\\])?(?:\._[^/\\]|__MACOSX[/\\]|PaxHeaders?(?:\.\d+)?[/\\]|\.AppleDouble[/\\]|@eaDir[/\\])", re.DOTALL
)
_BLOCK = tarfile.BLOCKSIZE
_MAX_EXTENDED = 64 * 1024  # bytes of a header that only extends the next one, for example by a long name
_EXTENDED_PER_MEMBER = 4 * 1024  # the same, on average of the members that a package may have
_MAX_NAME = 4096  # characters: the longest path of Linux
_MAX_DIGITS = 20  # of a size
_LONG_NAME = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_EXTENDS_NEXT = _LONG_NAME + _EXTENDED


def is_fits_member(name: str) -> bool:
    """Whether a member of this name is a FITS file: its extension decides, and not a folder."""
    return name.endswith(FITS_EXTENSIONS) and not _OF_ANOTHER.match(name)


def is_frame(name: str) -> bool:
    """Whether a member of this name can describe its package: the end of its own name decides, and not a folder."""
    return name.endswith(_FRAME_ENDS) and not _OF_ANOTHER.match(name)


def read_package(contents: Contents, checks: CheckPolicy) -> list[FrameHeader]:
    """The headers of the first regular member that `is_frame`.

    `contents` is the unpacked tar. It is read to its end, so that a package that is still being written is not
    taken for complete. All its FITS members are checked. Raises TruncatedFrameError, EmptyFileError, PackageError,
    PackageMemberMissingError, PackageMemberDamagedError, or ExpandsTooFarError if the package and its members
    together unpack to too many bytes.
    """
    headers = None
    for name, member in _members(contents, checks):
        inside = checks.at(f"{checks.where}:{name}")
        if headers is None and is_frame(name):
            headers = _headers_of(member, name, inside, contents)
        elif is_fits_member(name) and checks.is_enabled("members"):
            inside.ran("members")
            try:
                _headers_of(member, name, inside, contents)
            except IngesterError as error:
                if _is_of_the_package(error, member):
                    raise
                checks.fail("members", error)
    if headers is None:
        expected = "a member named *" + ", *".join(FRAME_MARKS)
        raise PackageMemberMissingError(expected=expected, found="none in the package")
    return headers


class _Extended(NamedTuple):
    """What headers before a member say of it; '' if nothing."""

    name: str = ""
    size: str = ""
    is_sparse: bool = False


class _Member:
    """The `size` bytes of a member, which come next in the package.

    Reading raises TruncatedFrameError or GzipDamagedError if the package itself is damaged, and keeps it as `fault`.
    """

    def __init__(self, contents: Readable, size: int) -> None:
        self._contents = contents
        self._left = size
        self.fault: IngesterError | None = None
        self.ends_in_zero = False  # the last byte that was read

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        try:
            piece = _read_exactly(self._contents, wanted)
        except IngesterError as error:
            self.fault = error
            raise
        self._left -= wanted
        if piece:
            self.ends_in_zero = piece.endswith(b"\0")
        return piece

    def skip(self) -> None:
        """Read the rest of it."""
        while self.read(CHUNK):
            pass


def _headers_of(member: _Member, name: str, checks: CheckPolicy, package: Contents) -> list[FrameHeader]:
    """The headers of a member, which may be gzipped itself; `checks` are those of the member."""
    try:
        with unpacked(CountingReader(member), checks, package.budget) as contents:
            return read_headers(contents, checks)
    except IngesterError as error:
        if _is_of_the_package(error, member):
            raise
        error.frame = checks.where
        member.skip()
        if isinstance(error, RetryError) and member.ends_in_zero and not package.gzipped:
            found = f"zeros at its end, reserved space that is not written yet? {error}"
            raise TruncatedFrameError(expected=f"the whole member {name}", found=found) from error
        raise PackageMemberDamagedError(check=f"member {name}", found=str(error)) from error


def _is_of_the_package(error: IngesterError, member: _Member) -> bool:
    """Whether the package itself causes the error, not the member."""
    return error is member.fault or isinstance(error, ExpandsTooFarError)


def _members(contents: Contents, checks: CheckPolicy) -> Iterator[tuple[str, _Member]]:
    """Name and bytes of each regular member; then the package is read to its end.

    Bytes of a member that were not read are skipped.
    """
    count, left = 0, checks.package_max_members * _EXTENDED_PER_MEMBER
    extended = _Extended()
    while (info := _next_header(contents, first=count == 0)) is not None:
        count += 1
        if count > checks.package_max_members:
            raise PackageError(expected=f"at most {checks.package_max_members} members", found="more")
        size = _size_of(info, extended)
        member = _Member(contents, size)
        if info.type in _EXTENDS_NEXT:
            left -= size
            if size > _MAX_EXTENDED or left < 0:
                expected = f"pax headers of at most {_MAX_EXTENDED} bytes, on average {_EXTENDED_PER_MEMBER}"
                raise PackageError(expected=expected, found="more")
            extended = _extended_by(info, member.read(size), extended)
        else:
            if info.isreg():
                yield extended.name or info.name, member
            extended = _Extended()
        member.skip()
        _read_exactly(contents, -size % _BLOCK)
    if drain(contents):
        error = TrailingBytesError(expected="zeros after the end of the package", found="other bytes")
        checks.fail("trailing", error)


def _next_header(contents: Contents, first: bool) -> tarfile.TarInfo | None:
    """The next header; None at the block of zeros that ends a package."""
    block = _first_block(contents) if first else _read_exactly(contents, _BLOCK)
    if not block.strip(b"\0"):
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "backslashreplace")
    except (tarfile.HeaderError, ValueError) as error:
        found = str(error) if first else f"{error} in the header after a member"
        raise PackageError(expected="a tar package", found=found) from error


def _first_block(contents: Contents) -> bytes:
    """The first block: of a package, or of a file that is empty, not written yet, or something else."""
    with gzip_errors_translated():
        block = contents.read(_BLOCK)
    if not block:
        raise EmptyFileError(expected="a tar package", found="an empty file")
    if not contents.gzipped and not block.strip(b"\0"):
        found = "zeros: space reserved and not written yet"
        raise TruncatedFrameError(expected="a tar package", found=found)
    if len(block) == _BLOCK:
        return block
    # A header has zeros after the name of at most 100 bytes: a short text without zeros is not a header that was cut.
    if b"\0" not in block and not GZIP_MAGIC.startswith(block):
        raise PackageError(expected="a tar package, gzipped or not", found=repr(block[:40]))
    raise _cut()


def _size_of(info: tarfile.TarInfo, extended: _Extended) -> int:
    """How many bytes of the package are the member's."""
    if info.type == tarfile.GNUTYPE_SPARSE or extended.is_sparse:
        raise PackageError(expected="no sparse members", found=info.name)
    if info.type in tarfile.SUPPORTED_TYPES and not info.isreg() and info.type not in _EXTENDS_NEXT:
        return 0  # links, directories and devices have no bytes, even if they have a size
    text = str(info.size) if info.type in _EXTENDS_NEXT else extended.size or str(info.size)
    if not text.isdecimal() or len(text) > _MAX_DIGITS:
        raise PackageError(expected="a valid size of each member", found=text[:40])
    return int(text)


def _extended_by(info: tarfile.TarInfo, content: bytes, before: _Extended) -> _Extended:
    """What the next member has from this header: GNU's long name, or the keywords of a pax header (POSIX.1-2001)."""
    values: dict[bytes, bytes] = {}
    if info.type == tarfile.GNUTYPE_LONGNAME:
        values = {b"path": content.split(b"\0", 1)[0]}
    elif info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
        values = dict(_pax_records(content))
    name, size = (values.get(key, b"").decode("utf-8", "backslashreplace") for key in (b"path", b"size"))
    if len(name) > _MAX_NAME:
        raise PackageError(expected=f"names of at most {_MAX_NAME} characters", found=f"{len(name)}")
    is_sparse = any(keyword.startswith(b"GNU.sparse") for keyword in values)
    return _Extended(name or before.name, size or before.size, is_sparse or before.is_sparse)


def _pax_records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keyword and value of each record `length keyword=value\\n`, whose length counts itself.

    The content is not cut after each record, because its rest would be copied as often as there are records.
    """
    start, end = 0, len(content.rstrip(b"\0"))
    while start < end:
        space = content.find(b" ", start, start + _MAX_DIGITS)
        length = content[start : max(start, space)]
        following = start + int(length) if length.isdigit() else start
        if not start < space < following <= len(content):
            raise PackageError(expected="pax headers", found=repr(content[start : start + 20]))
        keyword, _, value = content[space + 1 : following - 1].partition(b"=")
        yield keyword, value
        start = following


def _read_exactly(contents: Readable, size: int) -> bytes:
    with gzip_errors_translated():
        piece = contents.read(size)
    if len(piece) < size:
        raise _cut()
    return piece


def _cut() -> TruncatedFrameError:
    return TruncatedFrameError(expected="a whole package", found="the file's end in or after a member")
