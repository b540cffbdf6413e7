"""What astropy makes of the headers of a file, without the file; and without astropy, where nothing is to be judged."""

import struct
import warnings

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from lco_ingester.exceptions import FitsStructureError
from lco_ingester.file.datafile import SizedReader
from lco_ingester.file.headers.frame_header import FrameHeader, cards
from lco_ingester.file.headers.plain_cards import split_header
from lco_ingester.file.headers.raw_header import BLOCK, RawHeader
from lco_ingester.file.headers.structural_cards import as_text, as_written, holds_image, shown

# All that astropy was seen to raise over damaged headers.
_ASTROPY_ERRORS = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, RecursionError,
    struct.error, fits.VerifyError,
)  # fmt: skip


def as_astropy_reads(headers: list[RawHeader]) -> list[FrameHeader]:
    """The headers, a tile-compressed image's as that of the image it holds.

    Astropy is only asked about the cards that make the HDUs, and only if there is something to judge. The values of
    all other cards are those that the FITS standard gives. Raises FitsStructureError if astropy cannot make sense of
    the HDUs.
    """
    split = [split_header(header.as_others_read_it.decode("ascii")) for header in headers]
    shapes = [shown(each.shape, number, len(split)) for number, each in enumerate(split)]
    if None in shapes:
        judged = _by_astropy([(as_text(s.shape), h.data_size()) for s, h in zip(split, headers, strict=True)])
        shapes = [
            dict(cards(header, ()))
            if number and holds_image(each.shape)
            else as_written(each.shape, number, len(split))
            for number, (header, each) in enumerate(zip(judged, split, strict=True))
        ]
    return [
        FrameHeader({**each.plain, **(shape or {})}, each.repeated, each.repaired, each.without_value)
        for each, shape in zip(split, shapes, strict=True)
    ]


def _by_astropy(hdus: list[tuple[str, int]]) -> list[fits.Header]:
    """What astropy makes of the cards and the size in bytes of each HDU."""
    with warnings.catch_warnings():
        # What astropy warns of is judged here, in our own words.
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            # memmap and mode said, for else astropy looks for them in the file object.
            found = [hdu.header for hdu in fits.open(_HeadersAlone(hdus), mode="readonly", memmap=False)]
        except _ASTROPY_ERRORS as error:
            raise FitsStructureError(expected="headers that astropy can read", found=str(error)) from error
    if len(found) != len(hdus):
        raise FitsStructureError(expected=f"{len(hdus)} HDUs", found=f"{len(found)} that astropy can read")
    return found


class _HeadersAlone(SizedReader):
    """A FITS file of which only the headers can be read: all that astropy needs, wherever the bytes may come from.

    It is made of each HDU's header and the size of the data behind it, in bytes.
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
        """The block at this place, or none of it: astropy reads header by header, block by block."""
        block, within = divmod(self._position, BLOCK)
        found = self._blocks.get(block * BLOCK, b"")[within:]
        piece = found if size is None or size < 0 else found[:size]
        self._position += len(piece)
        return piece
