"""Raw headers → headers as astropy reads them; astropy itself is asked only where it is needed (docs/headers.md)."""

import struct
import warnings

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from lco_ingester.exceptions import FitsStructureError
from lco_ingester.file.datafile import SizedReader
from lco_ingester.file.headers.frame_header import FrameHeader
from lco_ingester.file.headers.plain_cards import split_header
from lco_ingester.file.headers.raw_header import BLOCK, RawHeader
from lco_ingester.file.headers.structural_cards import as_astropy_shows

# What astropy raises for damaged headers.
_ASTROPY_ERRORS = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, RecursionError,
    struct.error, fits.VerifyError,
)  # fmt: skip


def as_astropy_reads(headers: list[RawHeader]) -> list[FrameHeader]:
    """The headers; for a tile-compressed image, the header of the image inside.

    Raises FitsStructureError if astropy is asked and cannot read them.
    """
    split = [split_header(header.cleaned.decode("ascii")) for header in headers]
    of_each = (
        None if each.needs_astropy else as_astropy_shows(each.structural, number, len(split))
        for number, each in enumerate(split)
    )
    structural = [cards for cards in of_each if cards is not None]
    if len(structural) == len(split):
        return [FrameHeader({**each.plain, **cards}) for each, cards in zip(split, structural, strict=True)]
    hdus = [(each.others, header.data_size()) for each, header in zip(split, headers, strict=True)]
    return [FrameHeader(each.plain, others) for each, others in zip(split, _by_astropy(hdus), strict=True)]


def _by_astropy(hdus: list[tuple[str, int]]) -> list[fits.Header]:
    """The headers that astropy reads, from the cards and the data size in bytes of each HDU."""
    with warnings.catch_warnings():
        # We report problems ourselves.
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            # With memmap and mode given, astropy does not look for them in the file object.
            found = [hdu.header for hdu in fits.open(_HeadersOnly(hdus), mode="readonly", memmap=False)]
        except _ASTROPY_ERRORS as error:
            raise FitsStructureError(expected="headers that astropy can read", found=str(error)) from error
    if len(found) != len(hdus):
        raise FitsStructureError(expected=f"{len(hdus)} HDUs", found=f"{len(found)} that astropy can read")
    return found


class _HeadersOnly(SizedReader):
    """A FITS file in memory with headers only, which is all that astropy reads.

    `hdus` are the header of each HDU and the size of its data in bytes.
    """

    def __init__(self, hdus: list[tuple[str, int]]) -> None:
        self._blocks: dict[int, bytes] = {}
        end = 0
        for header, data_size in hdus:
            raw = header.encode("ascii").ljust(-(-len(header) // BLOCK) * BLOCK)
            self._blocks |= {end + at: raw[at : at + BLOCK] for at in range(0, len(raw), BLOCK)}
            end += len(raw) + -(-data_size // BLOCK) * BLOCK
        super().__init__(end + BLOCK)

    def read(self, size: int = -1) -> bytes:
        """The block at this position, or nothing: astropy reads each header block by block."""
        block, within = divmod(self._position, BLOCK)
        found = self._blocks.get(block * BLOCK, b"")[within:]
        piece = found if size is None or size < 0 else found[:size]
        self._position += len(piece)
        return piece
