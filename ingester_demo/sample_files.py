"""Write one sample file: an image, a catalogue or a package of a given exposure.

Each writer takes the directory, the exposure and the side of the image in pixels, and returns the path of the file.
The same arguments give the same bytes.
"""

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from ingester_demo import sample_headers as headers
from ingester_demo.sample_headers import Exposure

CHECKSUM_NOTE = "made with the sample frame"

Writer = Callable[[Path, Exposure, int], Path]


def _sky(exposure: Exposure, pixels: int) -> npt.NDArray[np.float32]:
    """An image in counts: noise on a background, and stars if the exposure shows the sky."""
    chance = np.random.default_rng([exposure.night.toordinal(), exposure.number, exposure.level])
    image = chance.normal(300 + exposure.seconds, 8, (pixels, pixels)).astype(np.float32)
    if exposure.obstype not in {"BIAS", "DARK", "SKYFLAT"}:
        rows, columns = chance.integers(2, pixels - 2, (2, 40))
        for row, column, light in zip(rows, columns, chance.exponential(3000, 40), strict=True):
            image[row - 1 : row + 2, column - 1 : column + 2] += np.float32(light / 9)
    return image


def _raw_hdu(exposure: Exposure, pixels: int) -> fits.PrimaryHDU:
    header = headers.header(exposure)
    header["RLEVEL"] = (0, "Reduction level: raw")
    headers.add_sky(header, exposure, pixels)
    return fits.PrimaryHDU(_sky(exposure, pixels).astype(np.int16), header)


def _reduced_hdu(exposure: Exposure, pixels: int) -> fits.PrimaryHDU:
    header = headers.header(exposure)
    headers.add_sky(header, exposure, pixels, distorted=True)
    return fits.PrimaryHDU(_sky(exposure, pixels), header)


def _write(path: Path, *hdus: fits.PrimaryHDU | fits.CompImageHDU | fits.BinTableHDU) -> Path:
    fits.HDUList(list(hdus)).writeto(path, overwrite=True)
    return path


def _compressed(hdu: fits.PrimaryHDU) -> tuple[fits.PrimaryHDU, fits.CompImageHDU]:
    # The seed is fixed; otherwise the dithering of float pixels would give different bytes each time.
    compressed = fits.CompImageHDU(
        hdu.data, hdu.header, name="SCI", compression_type="RICE_1", quantize_level=16, dither_seed=1
    )
    return fits.PrimaryHDU(), compressed


def _summed(hdu: fits.PrimaryHDU) -> fits.PrimaryHDU:
    """Add CHECKSUM and DATASUM; the note replaces the time of day, which would change the bytes."""
    hdu.add_datasum(when=CHECKSUM_NOTE)
    hdu.add_checksum(when=CHECKSUM_NOTE)
    return hdu


def plain(suffix: str) -> Writer:
    """A writer of `.fits` images with checksums, reduced or raw as the exposure's level says."""

    def write(directory: Path, exposure: Exposure, pixels: int) -> Path:
        make = _reduced_hdu if exposure.level else _raw_hdu
        return _write(directory / f"{exposure.name(suffix)}.fits", _summed(make(exposure, pixels)))

    return write


def packed(suffix: str) -> Writer:
    """A writer of tile-compressed images (`.fits.fz`), reduced or raw as the exposure's level says."""

    def write(directory: Path, exposure: Exposure, pixels: int) -> Path:
        make = _reduced_hdu if exposure.level else _raw_hdu
        return _write(directory / f"{exposure.name(suffix)}.fits.fz", *_compressed(make(exposure, pixels)))

    return write


def catalogue(directory: Path, exposure: Exposure, pixels: int) -> Path:
    """A table of sources after a primary HDU without data, which has the keywords of the frame."""
    primary = fits.PrimaryHDU(header=headers.header(exposure))
    chance = np.random.default_rng(exposure.number)
    sources = pixels * 4
    columns = [
        fits.Column(name, form, unit=unit, array=chance.uniform(low, high, sources))
        for name, form, unit, low, high in (
            ("X_IMAGE", "E", "pixel", 1, pixels),
            ("Y_IMAGE", "E", "pixel", 1, pixels),
            ("ALPHA_J2000", "D", "deg", exposure.ra - 0.2, exposure.ra + 0.2),
            ("DELTA_J2000", "D", "deg", exposure.dec - 0.2, exposure.dec + 0.2),
            ("FLUX_AUTO", "E", "count", 100, 60000),
            ("FLUXERR_AUTO", "E", "count", 1, 50),
            ("FWHM_IMAGE", "E", "pixel", 2, 5),
        )
    ]
    table = fits.BinTableHDU.from_columns(columns, name="CAT")
    return _write(directory / f"{exposure.name('e91_cat')}.fits", primary, table)


def truncated(directory: Path, exposure: Exposure, pixels: int) -> Path:
    """A raw frame whose copy ended in the middle of the pixels."""
    path = _write(directory / f"{exposure.name('e00')}.fits", _raw_hdu(exposure, pixels))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - pixels * pixels - 17)
    return path


def keyword_missing(directory: Path, exposure: Exposure, pixels: int) -> Path:
    """A raw frame without BLKUID, which is required."""
    hdu = _raw_hdu(exposure, pixels)
    del hdu.header["BLKUID"]
    return _write(directory / f"{exposure.name('e00')}.fits", hdu)


def floyds(directory: Path, exposure: Exposure, pixels: int) -> Path:
    """A spectrograph's package: a log, a picture, and a spectrum whose header has the position of the slit."""
    spectrum = _reduced_hdu(exposure, pixels)
    for keyword in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"):
        del spectrum.header[keyword]
    spectrum.header["RADIUS"] = (8.0, "[arcsec] Of the field")
    request = headers.header(exposure)["REQNUM"]
    name = f"{exposure.proposal}_{request}_ftn_{exposure.day}_{exposure.number:04d}"
    members = {
        f"{name}/README.txt": f"Reduced spectrum of {exposure.target}, invented.\n".encode(),
        f"{name}/{exposure.name('e91')}.png": _picture(exposure, pixels),
        f"{name}/{exposure.name('e91')}.fits": _bytes(spectrum),
    }
    return _package(directory / f"{name}.tar.gz", members, exposure)


def nres(directory: Path, exposure: Exposure, pixels: int) -> Path:
    """An echelle spectrograph's package, with a compressed spectrum and without a position on the sky."""
    spectrum = fits.PrimaryHDU(_sky(exposure, pixels), headers.header(exposure))
    name = exposure.name("e91")
    members = {
        f"{name}/{name}.txt": f"Radial velocity of {exposure.target}, invented: 12.3 km/s\n".encode(),
        f"{name}/{name}.fits.fz": _bytes(*_compressed(spectrum)),
    }
    return _package(directory / f"{name}.tar.gz", members, exposure)


def _bytes(*hdus: fits.PrimaryHDU | fits.CompImageHDU) -> bytes:
    made = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(made)
    return made.getvalue()


def _package(path: Path, members: dict[str, bytes], exposure: Exposure) -> Path:
    """A `.tar.gz` that does not contain the current time."""
    with (
        gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mtime = int(exposure.start.replace(tzinfo=UTC).timestamp())
            tar.addfile(entry, io.BytesIO(content))
    return path


def _picture(exposure: Exposure, pixels: int) -> bytes:
    """A grey PNG of the image (PNG specification: signature, then IHDR, IDAT and IEND, each with length and CRC)."""
    image = np.clip(_sky(exposure, pixels) / 4, 0, 255).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in image)  # each row begins with the number of its filter; 0 is none

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", pixels, pixels, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
