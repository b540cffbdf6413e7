"""A header as long as a real one: 834 cards, of which 302 are keywords and the rest HISTORY, and a WCS."""

from datetime import date

from astropy.io import fits

from ingester_demo import sample_headers
from ingester_demo.sample_headers import COJ, Exposure

CARDS, KEYWORDS = 834, 302  # counted in a reduced frame of the observatory's, of 2015


def exposure(number: int) -> Exposure:
    """A reduced exposure of one night."""
    return Exposure(COJ, date(2026, 11, 20), number, "EXPOSE", level=91)


def full_header(number: int, pixels: int, reserved: int = 0) -> fits.Header:
    """A header of 834 cards, of which 302 are keywords; `reserved` of those are left for the caller to add."""
    header = sample_headers.header(exposure(number))
    del header["HISTORY"]
    del header["COMMENT"]
    sample_headers.add_sky(header, exposure(number), pixels, distorted=True)
    structural = 5  # SIMPLE, BITPIX, NAXIS, NAXIS1, NAXIS2: astropy adds them
    for index in range(KEYWORDS - structural - reserved - len(header)):
        header.append(_filler(index), end=True)
    for index in range(CARDS - KEYWORDS):
        header.add_history(f"step {index:03d}: overscan, bias, dark, flat; rms 4.{index:03d}")
    return header


def _filler(index: int) -> tuple[str, object, str]:
    """One of the many keywords of a real frame: texts, integers, floats and flags, most with a comment."""
    values: tuple[object, ...] = (
        f"STATE-{index}",
        index * 17,
        3.25 + index / 64,
        index % 2 == 0,
        "N/A",
        -1.5e-3 * index,
    )
    return f"TEL{index:05d}", values[index % len(values)], "[unit] State of the telescope"
