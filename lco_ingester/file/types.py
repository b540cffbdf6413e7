"""The types of file that are archived: how their headers are read, and their content type in S3.

A site adds its own type by an entry point of the group `lco_ingester.records`. The entry point has the extension as its
name and a `FileType` as its object (docs/sites.md).
"""

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, BinaryIO

from astropy.io import fits

from lco_ingester.exceptions import CompanionError, EmptyFileError, HookDeploymentError, HookError, IngesterError
from lco_ingester.file.checks import CheckPolicy
from lco_ingester.file.datafile import NonClosing
from lco_ingester.file.headers.frame_header import FrameHeader, Header
from lco_ingester.file.package import read_package
from lco_ingester.file.stream import Contents, CountingReader, unpacked
from lco_ingester.file.system_errors import error_of, has_system_code
from lco_ingester.file.validation import read_headers as read_fits

GROUP = "lco_ingester.records"


@dataclass(frozen=True, slots=True)
class FileType:
    """A site's own type of file.

    `read_headers(stream, path)` gets the open, seekable file at its first byte, and its path for errors. It returns
    mappings or astropy headers; the first one with all required keywords becomes the record. It raises
    TruncatedFrameError for a file that may still be being written, and may raise anything for a bad one. None: the file
    has no header, and is archived with metadata. `begins` are the first bytes of such a file.
    """

    content_type: str | None
    read_headers: Callable[[BinaryIO, str], Iterable[Header]] | None
    begins: bytes = b""


@dataclass(frozen=True, slots=True)
class OurType:
    """A type that we know: its headers are read in the same pass as the md5."""

    content_type: str | None
    read_headers: Callable[[Contents, CheckPolicy], list[FrameHeader]] | None
    begins: bytes = b""


_FITS = OurType("image/fits", read_fits)
_PACKAGE = OurType("application/x-tar", read_package)
_JPEG = OurType("image/jpeg", None, b"\xff\xd8\xff")  # ISO/IEC 10918-1: start of image, and a marker
OURS = {
    ".fits": _FITS,
    ".fits.fz": _FITS,
    ".tar.gz": _PACKAGE,
    ".tar": _PACKAGE,
    ".pdf": OurType("application/pdf", None, b"%PDF-"),  # ISO 32000-1, section 7.5.2
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
}
_OTHER = OurType(None, read_fits)


def file_type(extension: str) -> FileType | OurType:
    """The site's file type for this extension, else ours. Files of unknown type are read as FITS.

    Raises HookDeploymentError if the site's cannot be loaded.
    """
    hooks = _hooks().get(extension, ())
    return _loaded(hooks) if hooks else OURS.get(extension, _OTHER)


def headers_of(
    packed: CountingReader, extension: str, checks: CheckPolicy, metadata: Mapping[str, Any] | None = None
) -> list[Header] | None:
    """The headers of a file of our types, or the metadata that replace them; None for a site's type.

    `headers_by_hook` reads a site's type. Raises the errors of `validation`, `package` and `stream`; CompanionError if
    the file needs metadata and has none, or has a header and metadata; HookDeploymentError.
    """
    kind = file_type(extension)
    if kind.read_headers is None:
        return [_metadata_of(packed, kind.begins, metadata)]
    if metadata is not None:
        raise CompanionError(expected="no metadata, because the file has a header", found="metadata")
    if isinstance(kind, FileType):
        return None
    with unpacked(packed, checks) as contents:
        return list(kind.read_headers(contents, checks))


def headers_by_hook(stream: BinaryIO, extension: str, path: str) -> list[Header]:
    """The headers of a file of a site's own type.

    Raises IngesterErrors of its reader as they are, HookDeploymentError if it cannot work, HookError for all others.
    """
    kind = file_type(extension)
    named = _named(_hooks().get(extension, ()))
    if not isinstance(kind, FileType) or kind.read_headers is None:
        raise HookDeploymentError(check=named, expected="a reader of headers", found="none")
    view = NonClosing(stream)
    try:
        headers = list(kind.read_headers(io.BufferedReader(view), path))
    except IngesterError:
        raise
    except Exception as error:  # a site's own code, which may raise anything
        raise view.fault or _error_of_hook(error, named) from error
    if wrong := [each for each in headers if not isinstance(each, (Mapping, fits.Header))]:
        raise HookDeploymentError(check=named, expected="headers", found=type(wrong[0]).__name__)
    return [each if isinstance(each, fits.Header) else dict(each) for each in headers]


@cache
def _hooks() -> dict[str, tuple[EntryPoint, ...]]:
    """The site's entry points by extension, looked up once in each process, when the first file is read."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for hook in entry_points(group=GROUP):
        found[hook.name] = (*found.get(hook.name, ()), hook)
    return found


def _error_of_hook(error: Exception, named: str) -> IngesterError:
    """A reader may raise anything for a bad file, but not what says that it was not able to work."""
    found = f"{type(error).__name__}: {error}"
    if isinstance(error, ImportError):  # of a module that it imports when it runs
        return HookDeploymentError(check=named, found=found)
    return error_of(error) if has_system_code(error) else HookError(check=named, found=found)


def _loaded(hooks: tuple[EntryPoint, ...]) -> FileType:
    named = _named(hooks)
    if len(hooks) > 1:
        raise HookDeploymentError(check=named, expected="one file type of this extension", found=f"{len(hooks)}")
    try:
        kind = hooks[0].load()
    except Exception as error:  # importing a site's module may raise anything
        raise HookDeploymentError(check=named, found=f"{type(error).__name__}: {error}") from error
    if not isinstance(kind, FileType):
        raise HookDeploymentError(check=named, expected="a lco_ingester.file.types.FileType", found=repr(kind))
    return kind


def _named(hooks: tuple[EntryPoint, ...]) -> str:
    return f"{GROUP} " + ", ".join(f"{hook.name} = {hook.value}" for hook in hooks)


def _metadata_of(packed: CountingReader, begins: bytes, metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    start = packed.read(len(begins) or 1)
    if not start:
        raise EmptyFileError(expected="a file with content", found="an empty file")
    if begins and start != begins:
        raise CompanionError(
            expected=f"{begins!r} at its beginning",
            found=repr(start),
            hint="Write the file again from its source",
        )
    if metadata is None:
        raise CompanionError(
            expected="metadata, because such a file has no header",
            found="none",
            hint="Archive it with lco_ingest_frame --metadata FILE.json, or with the library",
        )
    return dict(metadata)
