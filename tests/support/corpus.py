"""Damaged and hostile files, each with the reason code that it must give."""

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from typing import Any

import numpy as np
from astropy.io import fits

from tests.support.synthetic import compressed, fits_bytes, header, image, package

BLOCK = 2880
FRAME = "coj1m011-fa12-20200102-0001-e00.fits"
PACKED = FRAME + ".fz"
PACKAGE = "LCO2020A-001_1_ftn_20200102_0001.tar.gz"
MEMBER = "x/a-e91.fits"

ONE = image(pixels=60)
TABLE = fits.BinTableHDU(np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "i4"), ("b", "f8")]))
SEVERAL = fits_bytes(fits.PrimaryHDU(np.zeros((60, 60)), header()), fits.ImageHDU(np.ones((60, 60)), name="ERR"), TABLE)
TILED = compressed()
TAR = package({MEMBER: ONE}, "w")

Damage = tuple[str, Callable[[], bytes], str]
"""File name, content, reason code; '' where a record is made."""


def guarded() -> bytes:
    """A frame of two HDUs with CHECKSUM and DATASUM."""
    made = io.BytesIO()
    hdus = [fits.PrimaryHDU(np.ones((60, 60), np.int16), header()), fits.ImageHDU(np.ones((60, 60)), name="ERR")]
    fits.HDUList(hdus).writeto(made, checksum=True)
    return made.getvalue()


def with_card(content: bytes, keyword: str, value: str, hdu: int = 0) -> bytes:
    """The file with the value of a card of this HDU replaced, or with the card put before the END."""
    begin = 0
    for _ in range(hdu):
        begin = content.index(b"XTENSION", begin + 1)
    card = f"{keyword:8}= {value:>20}".ljust(80).encode("latin-1")
    at = begin
    while content[at : at + 8].rstrip() not in (keyword.encode(), b"END"):
        at += 80
    if content[at : at + 8].rstrip() != b"END":
        return content[:at] + card + content[at + 80 :]
    end = content[at : at + 80]
    assert not content[at + 80 : at + 160].strip(), "no space for another card"
    return content[:at] + card + end + content[at + 160 :]


def changed(content: bytes, at: int, bits: int = 1) -> bytes:
    """The file with some bits of one byte inverted; a negative position counts from the end."""
    at %= len(content)
    return content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :]


def spoilt(content: bytes, written: bytes, instead: bytes) -> bytes:
    """The file with the first occurrence of some bytes replaced by as many others."""
    assert written in content
    assert len(written) == len(instead)
    return content.replace(written, instead, 1)


def tar_of(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    """A package of these entries."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode, format=tarfile.GNU_FORMAT) as tar:  # type: ignore[call-overload]
        for entry, content in members:
            tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def entry(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a package."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def raw_entry(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """The header of a member that claims a size."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def bomb(mebibytes: int) -> bytes:
    """Gzipped zeros behind a good header."""
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode="wb", compresslevel=1) as packed:
        packed.write(image())
        for _ in range(mebibytes):
            packed.write(bytes(1024 * 1024))
    return made.getvalue()


FILES: dict[str, Damage] = {
    # Incomplete
    "empty": (FRAME, lambda: b"", "FILE_EMPTY"),
    "empty, gzipped": (FRAME + ".gz", lambda: gzip.compress(b""), "FILE_EMPTY"),
    "one letter": (FRAME, lambda: b"S", "FITS_TRUNCATED"),
    "half a card": (FRAME, lambda: ONE[:40], "FITS_TRUNCATED"),
    "half a block": (FRAME, lambda: ONE[:1440], "FITS_TRUNCATED"),
    "a header without END, and no more": (FRAME, lambda: spoilt(image(), b"END     ", b"END1    "), "FITS_TRUNCATED"),
    "nothing but zeros": (FRAME, lambda: bytes(4 * BLOCK), "FITS_TRUNCATED"),
    "zeros after the first block of a header": (
        FRAME, lambda: image({f"K{n}": n for n in range(60)})[:BLOCK] + bytes(4 * BLOCK), "FITS_TRUNCATED",
    ),
    "zeros from a page of 4096 bytes on": (
        FRAME, lambda: image({f"K{n}": n for n in range(60)})[:4096] + bytes(4 * BLOCK), "FITS_TRUNCATED",
    ),
    "without its data": (FRAME, lambda: ONE[:BLOCK], "FITS_TRUNCATED"),
    "without half of its data": (FRAME, lambda: ONE[: BLOCK + 3000], "FITS_TRUNCATED"),
    "without its fill": (FRAME, lambda: ONE[: BLOCK + 7200], "FITS_TRUNCATED"),
    "without its last byte": (FRAME, lambda: ONE[:-1], "FITS_TRUNCATED"),
    "cut in the letters XTENSION": (FRAME, lambda: ONE + b"XTEN", "FITS_TRUNCATED"),
    "cut in a later header": (FRAME, lambda: ONE + b"XTENSION= 'IMAGE   '", "FITS_TRUNCATED"),
    "cut in the last table": (FRAME, lambda: SEVERAL[:-BLOCK], "FITS_TRUNCATED"),
    "tiled, cut after its empty first HDU": (PACKED, lambda: TILED[:BLOCK], "FITS_TRUNCATED"),
    "tiled, cut in its table": (PACKED, lambda: TILED[:-100], "FITS_TRUNCATED"),
    "tiled, cut in its table's header": (PACKED, lambda: TILED[: BLOCK + 1000], "FITS_TRUNCATED"),
    "gzipped, cut in its magic": (FRAME + ".gz", lambda: gzip.compress(ONE)[:2], "FITS_TRUNCATED"),
    "gzipped, cut": (FRAME + ".gz", lambda: gzip.compress(ONE)[:500], "FITS_TRUNCATED"),
    "gzipped, without its last byte": (FRAME + ".gz", lambda: gzip.compress(ONE)[:-1], "FITS_TRUNCATED"),
    "gzipped after it was cut": (FRAME + ".gz", lambda: gzip.compress(ONE[:-BLOCK]), "FITS_TRUNCATED"),
    # Not FITS
    "text": (FRAME, lambda: b"no FITS at all\n" * 300, "NOT_FITS"),
    "HTML": (FRAME, lambda: b"<!DOCTYPE html><html>" * 200, "NOT_FITS"),
    "UTF-8 with a mark before it": (FRAME, lambda: b"\xef\xbb\xbf" + ONE, "NOT_FITS"),
    "a PNG image": (FRAME, lambda: b"\x89PNG\r\n\x1a\n" + os.urandom(5000), "NOT_FITS"),
    "a zip file": (FRAME, lambda: b"PK\x03\x04" + os.urandom(5000), "NOT_FITS"),
    "a .Z file": (FRAME + ".Z", lambda: b"\x1f\x9d\x90" + os.urandom(5000), "NOT_FITS"),
    "noise": (FRAME, lambda: b"\x80" + os.urandom(50000), "NOT_FITS"),
    "an extension alone": (FRAME, lambda: SEVERAL[SEVERAL.index(b"XTENSION") :], "NOT_FITS"),
    "shifted by a byte": (FRAME, lambda: ONE[1:], "NOT_FITS"),
    "gzip within gzip": (FRAME + ".gz", lambda: gzip.compress(gzip.compress(ONE)), "NOT_FITS"),
    "a package called a frame": (FRAME, lambda: TAR, "NOT_FITS"),
    # Headers that break the standard
    "SIMPLE = F": (FRAME, lambda: with_card(ONE, "SIMPLE", "F"), "FITS_STRUCTURE"),
    "BITPIX = 7": (FRAME, lambda: with_card(ONE, "BITPIX", "7"), "FITS_STRUCTURE"),
    "BITPIX = 0": (FRAME, lambda: with_card(ONE, "BITPIX", "0"), "FITS_STRUCTURE"),
    "BITPIX a text": (FRAME, lambda: with_card(ONE, "BITPIX", "'sixteen'"), "FITS_STRUCTURE"),
    "BITPIX without a value": (FRAME, lambda: with_card(ONE, "BITPIX", ""), "FITS_STRUCTURE"),
    "no BITPIX": (FRAME, lambda: spoilt(ONE, b"BITPIX  ", b"BITPOX  "), "FITS_STRUCTURE"),
    "NAXIS = -1": (FRAME, lambda: with_card(ONE, "NAXIS", "-1"), "FITS_STRUCTURE"),
    "NAXIS = 1000": (FRAME, lambda: with_card(ONE, "NAXIS", "1000"), "FITS_STRUCTURE"),
    "NAXIS = 999 without NAXISn": (FRAME, lambda: with_card(ONE, "NAXIS", "999"), "FITS_STRUCTURE"),
    "NAXIS of eighteen digits": (FRAME, lambda: with_card(ONE, "NAXIS", "9" * 18), "FITS_STRUCTURE"),
    "NAXIS = 2.0": (FRAME, lambda: with_card(ONE, "NAXIS", "2.0"), "FITS_STRUCTURE"),
    "no NAXIS": (FRAME, lambda: spoilt(ONE, b"NAXIS   ", b"NAXOS   "), "FITS_STRUCTURE"),
    "no NAXIS2": (FRAME, lambda: spoilt(ONE, b"NAXIS2  ", b"NAXOS2  "), "FITS_STRUCTURE"),
    "NAXIS twice": (
        FRAME, lambda: spoilt(ONE, b"PROPID  = 'LCO2020A-001'", b"NAXIS   =      999999999"), "FITS_STRUCTURE",
    ),
    "WCSAXES below 0": (FRAME, lambda: with_card(ONE, "WCSAXES", "-" + "9" * 17), ""),
    "NAXIS1 = -60": (FRAME, lambda: with_card(ONE, "NAXIS1", "-60"), "FITS_STRUCTURE"),
    "NAXIS1 of forty digits": (FRAME, lambda: with_card(ONE, "NAXIS1", "9" * 40), "FITS_STRUCTURE"),
    "NAXIS1 of eighteen digits": (FRAME, lambda: with_card(ONE, "NAXIS1", "9" * 18), "FITS_TRUNCATED"),
    "PCOUNT below 0": (FRAME, lambda: with_card(SEVERAL, "PCOUNT", "-28800", hdu=1), "FITS_STRUCTURE"),
    "GCOUNT below 0": (FRAME, lambda: with_card(SEVERAL, "GCOUNT", "-1", hdu=1), "FITS_STRUCTURE"),
    "PCOUNT of eighteen digits": (FRAME, lambda: with_card(SEVERAL, "PCOUNT", "9" * 18, hdu=2), "FITS_TRUNCATED"),
    "TFIELDS of nine digits": (FRAME, lambda: with_card(SEVERAL, "TFIELDS", "9" * 9, hdu=2), "FITS_STRUCTURE"),
    "TFIELDS = -1": (FRAME, lambda: with_card(SEVERAL, "TFIELDS", "-1", hdu=2), "FITS_STRUCTURE"),
    "an unknown XTENSION": (FRAME, lambda: spoilt(SEVERAL, b"'IMAGE   '", b"'FOREIGN '"), ""),
    "ZNAXIS of nine digits": (PACKED, lambda: with_card(TILED, "ZNAXIS", "9" * 9, hdu=1), "FITS_STRUCTURE"),
    "ZBITPIX = 5": (PACKED, lambda: with_card(TILED, "ZBITPIX", "5", hdu=1), "FITS_STRUCTURE"),
    "no ZNAXIS1": (PACKED, lambda: spoilt(TILED, b"ZNAXIS1 ", b"ZNAXOS1 "), "FITS_STRUCTURE"),
    "A_ORDER of nine digits": (FRAME, lambda: with_card(ONE, "A_ORDER", "9" * 9), ""),
    "WCSAXES of eight digits": (FRAME, lambda: with_card(ONE, "WCSAXES", "9" * 8), ""),
    "BP_ORDER = 1E6": (FRAME, lambda: with_card(ONE, "BP_ORDER", "1E6"), ""),
    "a header without an end": (
        FRAME, lambda: spoilt(image(), b"END ", b"END1") + b" " * 17 * 1024 * 1024, "FITS_STRUCTURE",
    ),
    "six thousand HDUs": (
        FRAME, lambda: image() + fits_bytes(fits.PrimaryHDU(), fits.ImageHDU())[BLOCK:] * 6000, "FITS_STRUCTURE",
    ),
    # Bytes that no header may have
    "a degree sign": (FRAME, lambda: with_card(ONE, "OBJECT", "'50\xb0   '"), "HEADER_UNREADABLE"),
    "a NUL in a text": (FRAME, lambda: with_card(ONE, "OBJECT", "'a\0b    '"), "HEADER_UNREADABLE"),
    "a line feed": (FRAME, lambda: with_card(ONE, "OBJECT", "'a\nb    '"), "HEADER_UNREADABLE"),
    "a tab behind the END": (FRAME, lambda: image()[:-1] + b"\t", ""),
    "UTF-8 in a comment": (FRAME, lambda: spoilt(ONE, b"conforms", "confôrm".encode()), "HEADER_UNREADABLE"),
    "a degree sign in a later HDU": (FRAME, lambda: spoilt(SEVERAL, b"'ERR ", b"'ER\xb0 "), "HEADER_UNREADABLE"),
    "an END that is spoilt": (FRAME, lambda: spoilt(ONE, b"END     ", b"E\0D     "), "HEADER_UNREADABLE"),
    "no END, pixels behind it": (FRAME, lambda: spoilt(ONE, b"END     ", b"END1    "), "HEADER_UNREADABLE"),
    # Sums and what follows
    "a pixel changed": (FRAME, lambda: changed(guarded(), BLOCK + 100), "FITS_CHECKSUM"),
    "a pixel of a later HDU changed": (FRAME, lambda: changed(guarded(), -BLOCK), "FITS_CHECKSUM"),
    "a header changed": (FRAME, lambda: spoilt(guarded(), b"'coj     '", b"'cpt     '"), "FITS_CHECKSUM"),
    "pixels not written yet": (FRAME, lambda: guarded()[:5760] + bytes(100) + guarded()[5860:], "FITS_CHECKSUM"),
    "DATASUM a word": (FRAME, lambda: with_card(ONE, "DATASUM", "'unknown '"), "FITS_CHECKSUM"),
    "an empty CHECKSUM": (FRAME, lambda: with_card(with_card(ONE, "CHECKSUM", "''"), "DATASUM", "''"), ""),
    "gzipped, a pixel changed": (FRAME + ".gz", lambda: gzip.compress(changed(guarded(), 7000)), "FITS_CHECKSUM"),
    "gzip's CRC changed": (FRAME + ".gz", lambda: changed(gzip.compress(ONE), -6), "GZIP_DAMAGED"),
    "gzip's size changed": (FRAME + ".gz", lambda: changed(gzip.compress(ONE), -2), "GZIP_DAMAGED"),
    "gzip's data changed": (FRAME + ".gz", lambda: changed(gzip.compress(ONE), 300, 255), "GZIP_DAMAGED"),
    "gzip of an unknown method": (FRAME + ".gz", lambda: b"\x1f\x8b\x07" + bytes(100), "GZIP_DAMAGED"),
    "noise behind gzip": (FRAME + ".gz", lambda: gzip.compress(ONE) + b"noise" * 100, "GZIP_DAMAGED"),
    "noise behind the last HDU": (FRAME, lambda: ONE + b"noise" * 100, ""),
    "zeros behind the last HDU": (FRAME, lambda: ONE + bytes(7 * BLOCK), ""),
    "a gzip bomb": (FRAME + ".gz", lambda: bomb(260), "EXPANDS_TOO_FAR"),
    "zeros where NEXTEND promises an HDU": (
        FRAME, lambda: image({"NEXTEND": 2}, pixels=60) + bytes(7 * BLOCK), "FITS_TRUNCATED",
    ),
    # Names
    "a line feed in the name": ("a\nb-e00.fits", lambda: ONE, "FILE_NAME_UNUSABLE"),
    "a byte in the name that is no UTF-8": ("a\udcffb-e00.fits", lambda: ONE, "FILE_NAME_UNUSABLE"),
    "a lone surrogate in the name": ("a\ud800b-e00.fits", lambda: ONE, "FILE_NAME_UNUSABLE"),
    "a NUL in the name": ("a\0b-e00.fits", lambda: ONE, "FILE_NAME_UNUSABLE"),
    # Packages
    "package: empty": (PACKAGE, lambda: b"", "FILE_EMPTY"),
    "package: nothing but zeros": (PACKAGE, lambda: bytes(50_000), "FITS_TRUNCATED"),
    "package: zeros from within its frame on": (PACKAGE[:-3], lambda: TAR[:1000] + bytes(50_000), "FITS_TRUNCATED"),
    "package: of nothing": (PACKAGE, lambda: package({}), "PACKAGE_NO_FRAME"),
    "package: no frame in it": (PACKAGE, lambda: package({"a-e10.fits": ONE}), "PACKAGE_NO_FRAME"),
    "package: a frame": (PACKAGE, lambda: gzip.compress(ONE), "PACKAGE_DAMAGED"),
    "package: text": (PACKAGE, lambda: b"no package at all" * 100, "PACKAGE_DAMAGED"),
    "package: a word": (PACKAGE, lambda: b"hello", "PACKAGE_DAMAGED"),
    "package: zip": (PACKAGE, lambda: b"PK\x03\x04" + bytes(1000), "PACKAGE_DAMAGED"),
    "package: bzip2": (PACKAGE, lambda: package({MEMBER: ONE}, "w:bz2") + bytes(512), "PACKAGE_DAMAGED"),
    "package: cut in gzip": (PACKAGE, lambda: package({MEMBER: ONE, "b": os.urandom(9000)})[:-3000], "FITS_TRUNCATED"),
    "package: cut in a member": (PACKAGE[:-3], lambda: TAR[:5000], "FITS_TRUNCATED"),
    "package: cut in a header": (PACKAGE[:-3], lambda: TAR[:300], "FITS_TRUNCATED"),
    "package: cut after a member": (PACKAGE[:-3], lambda: TAR[: 512 + -(-len(ONE) // 512) * 512], "FITS_TRUNCATED"),
    "package: gzip damaged": (PACKAGE, lambda: changed(package({MEMBER: ONE}), 300, 255), "GZIP_DAMAGED"),
    "package: a header changed": (PACKAGE[:-3], lambda: changed(TAR, 5), "PACKAGE_DAMAGED"),
    "package: a later header changed": (
        PACKAGE[:-3], lambda: changed(package({MEMBER: ONE, "b": b""}, "w"), 512 + -(-len(ONE) // 512) * 512),
        "PACKAGE_DAMAGED",
    ),
    "package: out of its root": (PACKAGE, lambda: package({"../../../tmp/evil-e00.fits": ONE}), ""),
    "package: an absolute path": (PACKAGE, lambda: package({"/etc/evil-e00.fits": ONE}), ""),
    "package: a link as the frame": (
        PACKAGE, lambda: tar_of(entry(MEMBER, type=tarfile.SYMTYPE, linkname="/etc/passwd")), "PACKAGE_NO_FRAME",
    ),
    "package: a hard link as the frame": (
        PACKAGE, lambda: tar_of(entry(MEMBER, type=tarfile.LNKTYPE, linkname="/etc/passwd")), "PACKAGE_NO_FRAME",
    ),
    "package: a device as the frame": (
        PACKAGE, lambda: tar_of(entry(MEMBER, type=tarfile.CHRTYPE, devmajor=1, devminor=5)), "PACKAGE_NO_FRAME",
    ),
    "package: a pipe as the frame": (PACKAGE, lambda: tar_of(entry(MEMBER, type=tarfile.FIFOTYPE)), "PACKAGE_NO_FRAME"),
    "package: a link before the frame": (
        PACKAGE, lambda: tar_of(entry("l-e00.fits", type=tarfile.SYMTYPE, linkname="/etc"), entry(MEMBER, ONE)), "",
    ),
    "package: ten thousand members": (
        PACKAGE, lambda: tar_of(*(entry(f"{n}.txt") for n in range(10_000)), entry(MEMBER, ONE)), "PACKAGE_DAMAGED",
    ),
    "package: a sparse member": (
        PACKAGE, lambda: gzip.compress(raw_entry(MEMBER, 0, tarfile.GNUTYPE_SPARSE) + bytes(1024)), "PACKAGE_DAMAGED",
    ),
    "package: a name of a gigabyte": (
        PACKAGE, lambda: gzip.compress(raw_entry("n", 2**30, tarfile.GNUTYPE_LONGNAME) + TAR), "PACKAGE_DAMAGED",
    ),
    "package: a pax header of a gigabyte": (
        PACKAGE, lambda: gzip.compress(raw_entry("n", 2**30, tarfile.XHDTYPE) + bytes(4096)), "PACKAGE_DAMAGED",
    ),
    "package: a pax header of noise": (
        PACKAGE, lambda: gzip.compress(raw_entry("n", 512, tarfile.XHDTYPE) + b"x" * 512 + TAR), "PACKAGE_DAMAGED",
    ),
    "package: a member of an exabyte": (PACKAGE, lambda: gzip.compress(raw_entry("n", 2**60) + TAR), "FITS_TRUNCATED"),
    "package: expands for ever": (
        PACKAGE, lambda: gzip.compress(raw_entry("n", 2**60) + bytes(270 * 1024 * 1024), 1), "EXPANDS_TOO_FAR",
    ),
    "package: in a package": (PACKAGE, lambda: package({"x-e00.fits": TAR}), "PACKAGE_MEMBER_DAMAGED"),
    "package: only a package in it": (PACKAGE, lambda: package({"x-e00.fits.tar": TAR}), "PACKAGE_NO_FRAME"),
    "package: packed by a Mac": (PACKAGE, lambda: package({"./._a-e91.fits": b"\0\5\x16\7", MEMBER: ONE}), ""),
    "package: with a list of sums": (PACKAGE, lambda: package({f"{MEMBER}.md5": b"0" * 32, MEMBER: ONE}), ""),
    "package: an empty member": (PACKAGE, lambda: package({MEMBER: b""}), "PACKAGE_MEMBER_DAMAGED"),
    "package: a cut member": (PACKAGE, lambda: package({MEMBER: ONE[:-BLOCK]}), "PACKAGE_MEMBER_DAMAGED"),
    "package: a member that is text": (PACKAGE, lambda: package({MEMBER: b"text" * 999}), "PACKAGE_MEMBER_DAMAGED"),
    "package: a member with a changed pixel": (
        PACKAGE, lambda: package({MEMBER: changed(guarded(), 7000)}), "PACKAGE_MEMBER_DAMAGED",
    ),
    "package: another member is cut": (
        PACKAGE, lambda: package({MEMBER: ONE, "b.fits": ONE[:-1]}), "PACKAGE_MEMBER_DAMAGED",
    ),
    "package: a gzipped member is damaged": (
        PACKAGE, lambda: package({"a-e91.fits.gz": changed(gzip.compress(ONE), -6)}), "PACKAGE_MEMBER_DAMAGED",
    ),
    "package: a gzipped member": (PACKAGE, lambda: package({"a-e91.fits.gz": gzip.compress(ONE)}), ""),
    "package: a tiled member": (PACKAGE, lambda: package({"a-e91.fits.fz": TILED}), ""),
    "package: a tiled member is cut": (
        PACKAGE, lambda: package({"a-e91.fits.fz": TILED[:BLOCK]}), "PACKAGE_MEMBER_DAMAGED",
    ),
    "package: noise behind its end": (PACKAGE[:-3], lambda: TAR + b"noise" * 100, ""),
    # Values
    "no required keyword": (FRAME, lambda: fits_bytes(fits.PrimaryHDU()), "HEADER_MISSING"),
    "DATE-OBS that is no date": (FRAME, lambda: image({"DATE-OBS": "yesterday"}), "HEADER_VALUE"),
    "DATE-OBS without a value": (FRAME, lambda: with_card(ONE, "DATE-OBS", ""), "HEADER_VALUE"),
    "DATE-OBS in the year 10000": (FRAME, lambda: image({"DATE-OBS": "10000-01-01T00:00:00"}), "HEADER_VALUE"),
    "a date whose next year is none": (FRAME, lambda: image({"DATE-OBS": "9999-12-31T00:00:00"}), "HEADER_VALUE"),
}  # fmt: skip
