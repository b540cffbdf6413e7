"""What astropy makes of the headers of a file, without the file."""

import struct
import warnings

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from lco_ingester.exceptions import FitsStructureError
from lco_ingester.file.datafile import SizedReader
from lco_ingester.file.structure import BLOCK, RawHeader

# All that astropy was seen to raise over damaged headers.
_ASTROPY_ERRORS = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, RecursionError,
    struct.error, fits.VerifyError,
)  # fmt: skip


def as_astropy_reads(headers: list[RawHeader], path: str) -> list[fits.Header]:
    """The headers, a tile-compressed image's as that of the image it holds.

    Raises FitsStructureError if astropy cannot make sense of them.
    """
    with warnings.catch_warnings():
        # What astropy warns of is judged here, in our own words.
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            # memmap and mode said, for else astropy looks for them in the file object.
            found = [hdu.header for hdu in fits.open(_HeadersAlone(headers), mode="readonly", memmap=False)]
        except _ASTROPY_ERRORS as error:
            raise FitsStructureError(frame=path, expected="headers that astropy can read", found=str(error)) from error
    if len(found) != len(headers):
        raise FitsStructureError(
            frame=path, expected=f"{len(headers)} HDUs", found=f"{len(found)} that astropy can read"
        )
    return found


class _HeadersAlone(SizedReader):
    """A FITS file of which only the headers can be read: all that astropy needs, wherever the bytes may come from."""

    def __init__(self, headers: list[RawHeader]) -> None:
        super().__init__(headers[-1].end + headers[-1].data_size() + BLOCK)
        self._blocks = {
            header.offset + at: header.as_others_read_it[at : at + BLOCK]
            for header in headers
            for at in range(0, len(header.raw), BLOCK)
        }

    def read(self, size: int = -1) -> bytes:
        """The block at this place, or none of it: astropy reads header by header, block by block."""
        block, within = divmod(self._position, BLOCK)
        found = self._blocks.get(block * BLOCK, b"")[within:]
        piece = found if size is None or size < 0 else found[:size]
        self._position += len(piece)
        return piece
