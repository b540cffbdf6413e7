"""Raw headers → headers as astropy reads them; astropy itself is asked only where it is needed (docs/headers.md)."""

import struct
import warnings

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from lco_ingester.exceptions import FitsStructureError
from lco_ingester.file.datafile import SizedReader
from lco_ingester.file.headers.frame_header import FrameHeader, cards
from lco_ingester.file.headers.plain_cards import split_header
from lco_ingester.file.headers.raw_header import BLOCK, RawHeader
from lco_ingester.file.headers.structural_cards import as_astropy_shows, as_text, as_written, holds_image

# What astropy raises for damaged headers.
_ASTROPY_ERRORS = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, RecursionError,
    struct.error, fits.VerifyError,
)  # fmt: skip


def as_astropy_reads(headers: list[RawHeader]) -> list[FrameHeader]:
    """The headers; for a tile-compressed image, the header of the image inside.

    Astropy is only asked about the cards that make the HDUs, and only if there is something to judge. The values of
    all other cards are those that the FITS standard gives. Raises FitsStructureError if astropy cannot make sense of
    the HDUs.
    """
    split = [split_header(header.cleaned.decode("ascii")) for header in headers]
    shapes = [as_astropy_shows(each.structural, number, len(split)) for number, each in enumerate(split)]
    if None in shapes:
        judged = _by_astropy([(as_text(s.structural), h.data_size()) for s, h in zip(split, headers, strict=True)])
        shapes = [
            dict(cards(header, ()))
            if number and holds_image(each.structural)
            else as_written(each.structural, number, len(split))
            for number, (header, each) in enumerate(zip(judged, split, strict=True))
        ]
    return [
        FrameHeader({**each.plain, **(structural or {})}, each.repeated, each.repaired, each.without_value)
        for each, structural in zip(split, shapes, strict=True)
    ]


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
