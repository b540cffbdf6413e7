"""Is the FITS file whole? Its headers, or an error that says what is wrong."""

import gzip
import logging
import warnings
import zlib
from typing import Any, BinaryIO, cast

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from lco_ingester.datafile import ExactReader, size_of
from lco_ingester.exceptions import NotFitsError, TruncatedFrameError

BLOCK = 2880  # bytes (FITS standard 4.0, section 3.1)
_GZIP_MAGIC = b"\x1f\x8b"
_FIRST_CARD = b"SIMPLE  ="
# All that astropy was seen to raise over damaged headers.
_ASTROPY_ERRORS = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, fits.VerifyError)

logger = logging.getLogger(__name__)


def read_headers(stream: BinaryIO, path: str) -> list[fits.Header]:
    """The header of every HDU, in order; a tile-compressed image as the image it holds.

    No pixel is read. Raises TruncatedFrameError if the file ends before its last HDU does, or NotFitsError.
    """
    contents = _decompressed(stream)
    try:
        size = _size_of(contents)
        _refuse_what_is_no_fits(contents, size, path)
        return _whole_headers(contents, size, path)
    except EOFError as error:
        raise TruncatedFrameError(frame=path, expected="a whole gzip file", found=str(error)) from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise NotFitsError(frame=path, expected="a sound gzip file", found=str(error)) from error


def _decompressed(stream: BinaryIO) -> BinaryIO:
    magic = stream.read(len(_GZIP_MAGIC))
    stream.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if magic == _GZIP_MAGIC else stream


def _size_of(contents: BinaryIO) -> int:
    if not isinstance(contents, gzip.GzipFile):
        return size_of(contents)
    size = 0
    while chunk := contents.read(1024 * 1024):  # the only way to know, and it checks gzip's own checksum
        size += len(chunk)
    return size


def _refuse_what_is_no_fits(contents: BinaryIO, size: int, path: str) -> None:
    contents.seek(0)
    start = contents.read(len(_FIRST_CARD))
    contents.seek(0)
    if size == 0:
        raise TruncatedFrameError(frame=path, expected="a FITS file", found="an empty file")
    if start != _FIRST_CARD[: len(start)]:
        raise NotFitsError(frame=path, expected=f"{_FIRST_CARD.decode()!r} at its beginning", found=repr(start))
    if size < BLOCK:
        raise TruncatedFrameError(frame=path, expected=f"at least {BLOCK} bytes", found=f"{size}")


def _whole_headers(contents: BinaryIO, size: int, path: str) -> list[fits.Header]:
    headers: list[fits.Header] = []
    end = 0
    with warnings.catch_warnings():
        # What astropy warns of is judged here by the sizes, in our own words.
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            # astropy refuses a file that was opened for writing too; the reader has no mode that it could see.
            for hdu in fits.open(ExactReader(contents, size, path), mode="readonly", memmap=False):
                headers.append(hdu.header)
                end = _end_of(hdu, len(headers), path)
        except _ASTROPY_ERRORS as error:
            raise _unreadable(error, path) from error
    _refuse_short(contents, size, end, len(headers), path)
    return headers


def _end_of(hdu: Any, number: int, path: str) -> int:
    """Where an HDU ends in the file.

    Looked at before astropy reads the next one: sizes that lead backwards make it read the same HDUs for ever.
    """
    where = hdu.fileinfo() if hasattr(hdu, "fileinfo") else None  # None: astropy cannot make sense of it
    if where is None or where["datSpan"] < 0:
        raise NotFitsError(frame=path, expected="standard HDUs", found=f"a damaged header in HDU {number - 1}")
    return int(where["datLoc"] + where["datSpan"])


def _unreadable(error: Exception, path: str) -> TruncatedFrameError | NotFitsError:
    # The file does begin with a FITS card, so a header without an end is one that is not there yet.
    if isinstance(error, OSError) and "SIMPLE" not in str(error):
        return TruncatedFrameError(frame=path, expected="a header with its END card", found=str(error))
    return NotFitsError(frame=path, expected="headers that astropy can read", found=str(error))


def _refuse_short(contents: BinaryIO, size: int, end: int, hdus: int, path: str) -> None:
    if size < end:
        raise TruncatedFrameError(frame=path, expected=f"{end} bytes by its {hdus} HDUs", found=f"{size}")
    contents.seek(end)
    rest = contents.read(8)
    if rest == b"XTENSION":
        raise TruncatedFrameError(frame=path, expected=f"a whole HDU {hdus}", found="the file's end in its header")
    if rest:
        logger.warning("%s: %d bytes follow its last HDU", path, size - end)
