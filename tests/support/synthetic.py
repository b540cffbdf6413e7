"""Synthetic frames: small FITS files whose header the test decides."""

import io
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from lco_ingester.file.checks import CheckPolicy
from lco_ingester.file.headers.frame_header import FrameHeader
from lco_ingester.file.headers.raw_header import BLOCK, CARD
from lco_ingester.file.stream import CountingReader, unpacked
from lco_ingester.file.validation import read_headers
from lco_ingester.frame import Record
from lco_ingester.record.build import build_record
from lco_ingester.record.rules import RecordRules
from lco_ingester.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()
"""As a card's value: the card is not there."""

BASENAME = "coj1m011-fa12-20200102-0001-e00"
CARDS = {
    "PROPID": "LCO2020A-001",
    "DATE-OBS": "2020-01-02T03:04:05.678",
    "DAY-OBS": "20200101",
    "INSTRUME": "fa12",
    "SITEID": "coj",
    "TELID": "1m0a",
    "OBSTYPE": "EXPOSE",
    "BLKUID": "610000001",
    "RLEVEL": 0,
}
_NUMBERS = count(1)

Cards = Mapping[str, Any]


def header(changes: Cards | None = None) -> fits.Header:
    """The header of a good raw frame, with these cards changed."""
    cards = {**CARDS, **(changes or {})}
    return fits.Header([(keyword, value) for keyword, value in cards.items() if value is not ABSENT])


def fits_bytes(*hdus: fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU | fits.BinTableHDU) -> bytes:
    """A FITS file of these HDUs."""
    made = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(made, output_verify="ignore")
    return made.getvalue()


def image(changes: Cards | None = None, pixels: int = 0) -> bytes:
    """A FITS file with one image of `pixels` by `pixels` (0: a header alone)."""
    data = np.arange(pixels * pixels, dtype=np.int16).reshape(pixels, pixels)
    return fits_bytes(fits.PrimaryHDU(data if pixels else None, header(changes)))


def compressed(changes: Cards | None = None, dtype: type = np.int16, kind: str = "RICE_1", **options: Any) -> bytes:
    """A tile-compressed image (`.fits.fz`) of 30 columns by 20 rows."""
    data: Any = np.arange(600, dtype=dtype).reshape(20, 30)
    hdu = fits.CompImageHDU(data, header(changes), compression_type=kind, **options)
    return fits_bytes(fits.PrimaryHDU(), hdu)


def in_blocks(*lines: str) -> bytes:
    """A header of these cards and an END, each cut or filled to its 80 bytes, in whole blocks."""
    raw = b"".join(line.encode("latin-1").ljust(CARD)[:CARD] for line in (*lines, "END"))
    return raw.ljust(-(-len(raw) // BLOCK) * BLOCK)


def package(members: Mapping[str, bytes | None], mode: str = "w:gz") -> bytes:
    """A tar package, gzipped by default; a member that is None is a directory."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content or b"")
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            tar.addfile(entry, io.BytesIO(content or b""))
    return made.getvalue()


def rules(**changes: Any) -> RecordRules:
    """The rules of the default settings, with these settings changed."""
    return RecordRules.of(Settings.model_construct(**changes))


def checks(**changes: Any) -> CheckPolicy:
    """The checks of the default settings, with these changed."""
    return replace(CheckPolicy.of(Settings.model_construct()), **changes)


def headers_of(content: bytes, path: str = BASENAME + ".fits", **changes: Any) -> list[FrameHeader]:
    """The headers of a FITS file, checked as the default settings say or with these changed."""
    asked = checks(**changes, where=path)
    with unpacked(CountingReader(io.BytesIO(content)), asked) as contents:
        return read_headers(contents, asked)


def record_of_file(content: bytes, basename: str = BASENAME, extension: str = ".fits", **changes: Any) -> Record:
    """The record of a FITS file."""
    headers = headers_of(content, basename + extension)
    return build_record(headers, basename, extension, rules(**changes))


def record_of(
    changes: Cards | None = None, basename: str = BASENAME, extension: str = ".fits", **rule_changes: Any
) -> Record:
    """The record of a frame with these cards changed, read from a real file."""
    content = compressed(changes) if extension == ".fits.fz" else image(changes)
    return record_of_file(content, basename, extension, **rule_changes)


def new_basename(suffix: str = "e00") -> str:
    """A basename that no other test of this process has."""
    return f"coj1m011-fa12-20200101-{next(_NUMBERS):04d}-{suffix}"


def write_frame(
    directory: Path, changes: Cards | None = None, name: str | None = None, content: bytes | None = None
) -> Path:
    """Write a good frame with bytes of its own, or this content."""
    path = directory / (name or f"{new_basename()}.fits")
    path.write_bytes(
        image({"OBJECT": f"{path.name} {next(_NUMBERS)}", **(changes or {})}, 8) if content is None else content
    )
    return path
