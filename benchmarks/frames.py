"""Frames of a given size with the header of a real one: 834 cards, 302 of them keywords, the rest HISTORY; a WCS."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from tests.support.full_header import CARDS, exposure, full_header

BLOCK = 2880
SIZES = {"100 KB": 100_000, "2 MB": 2_000_000, "34 MB": 34_000_000}
NOTE = "made for a benchmark"  # instead of the time of day, which would change the bytes


@dataclass(frozen=True)
class Kind:
    """A kind of frame: its size in bytes and what that is called, tile-compressed or not, with checksums or not."""

    size: str
    packed: bool
    summed: bool

    @property
    def bytes(self) -> int:
        return SIZES[self.size]

    @property
    def label(self) -> str:
        return f"{self.size} .fits{'.fz' if self.packed else ''}{', checksums' if self.summed else ''}"


KINDS = tuple(Kind(size, packed, summed) for size in SIZES for packed in (False, True) for summed in (False, True))


def make_frame(directory: Path, kind: Kind) -> Path:
    """The frame of a kind, made at the first call; its bytes are always the same."""
    number = KINDS.index(kind) + 1
    path = directory / f"{exposure(number).name('e91')}.fits{'.fz' if kind.packed else ''}"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        _write(draft, kind, number)
        draft.rename(path)
    return path


def record_of(path: Path) -> dict[str, object]:
    """A record as large as the frame's, for the floor to post."""
    with fits.open(path) as hdus:
        header = hdus[-1].header
        cards = {key: header[key] for key in header if key not in ("HISTORY", "COMMENT", "")}
    return {**json.loads(json.dumps(cards, default=str)), "basename": path.name.partition(".")[0], "area": None}


def _write(path: Path, kind: Kind, number: int) -> None:
    reserved = 2 if kind.summed else 0  # CHECKSUM and DATASUM
    header_bytes = -(-CARDS * 80 // BLOCK) * BLOCK
    if not kind.packed:
        pixels = round(((kind.bytes - header_bytes) / 4) ** 0.5)
        image = _sky(number, pixels).astype(np.float32)
        fits.PrimaryHDU(image, full_header(number, pixels, reserved)).writeto(path, overwrite=True)
    else:
        pixels = round(((kind.bytes - header_bytes - 3 * BLOCK) / 1.38) ** 0.5)  # bytes a pixel that RICE_1 makes of it
        header = full_header(number, pixels, reserved)
        packed = fits.CompImageHDU(_sky(number, pixels).astype(np.int16), header, name="SCI", compression_type="RICE_1")
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path, overwrite=True)
    if kind.summed:
        _add_sums(path)


def _add_sums(path: Path) -> None:
    """CHECKSUM and DATASUM of each HDU as it lies in the file: of a packed image, those of its table."""
    with fits.open(path, mode="update", disable_image_compression=True, memmap=False) as hdus:
        for hdu in hdus:
            hdu.add_datasum(when=NOTE)
            hdu.add_checksum(when=NOTE)


def _sky(number: int, pixels: int) -> np.ndarray:
    """Noise like that of a bright sky, because it decides how well an image compresses."""
    return np.random.default_rng([number, pixels]).normal(3000, 300, (pixels, pixels))
