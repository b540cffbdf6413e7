"""Is the FITS file complete and undamaged? Returns its headers, or raises an error that says what is wrong.

The file is read once, from first to last byte. Headers are kept; data are counted and summed, and no pixel is unpacked.
Then `headers.parse` reads the headers.
"""

from lco_ingester.exceptions import (
    ChecksumError,
    EmptyFileError,
    FitsStructureError,
    HeaderUnreadableError,
    NotFitsError,
    TrailingBytesError,
    TruncatedFrameError,
)
from lco_ingester.file.checks import CheckPolicy
from lco_ingester.file.checksum import MAX_SUM, OnesComplementSum
from lco_ingester.file.headers.frame_header import FrameHeader
from lco_ingester.file.headers.parse import as_astropy_reads
from lco_ingester.file.headers.raw_header import BLOCK, CARD, LEGAL, RawHeader, end_of_cards, holds_end
from lco_ingester.file.stream import CHUNK, drain
from lco_ingester.file.system_errors import Readable

MAX_HEADERS = 16 * 1024 * 1024  # bytes of all headers of a file
_FIRST_CARD = b"SIMPLE  ="
_NEXT_HEADER = b"XTENSION"
_KINDS = {
    b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"%PDF": "a PDF document", b"PK\x03\x04": "a zip file",
    b"\x1f\x8b": "gzip within gzip", b"\x1f\x9d": "a .Z file", b"BZh": "a bzip2 file", b"\xfd7zXZ": "an xz file",
}  # fmt: skip


def read_headers(contents: Readable, checks: CheckPolicy) -> list[FrameHeader]:
    """The header of every HDU, in order; for a tile-compressed image, the header of the image inside.

    `contents` is read to its end. A failed check raises an error unless `checks` only warn: TruncatedFrameError,
    EmptyFileError, ChecksumError or TrailingBytesError if the file may still be being written, else NotFitsError,
    FitsStructureError or HeaderUnreadableError.
    """
    headers = _HduReader(contents, checks).headers()
    if checks.where.endswith(".fz") and len(headers) == 1 and headers[0].data_size() == 0:
        expected, found = "an extension, as .fz says", "an empty first HDU and nothing else"
        checks.fail("size", TruncatedFrameError(expected=expected, found=found))
    return as_astropy_reads(headers)


class _HduReader:
    """One reading of a FITS file from HDU to HDU."""

    def __init__(self, contents: Readable, checks: CheckPolicy) -> None:
        self._contents = contents
        self._checks = checks
        self._position = 0
        self._left_for_headers = MAX_HEADERS

    def headers(self) -> list[RawHeader]:
        """Read the file to its end; return all headers."""
        headers: list[RawHeader] = []
        while raw := self._header(headers):
            headers.append(RawHeader(len(headers), self._position - len(raw), raw))
            self._checks.ran("characters")
            self._data(headers[-1])
        self._checks.ran("trailing")
        return headers

    def _header(self, before: list[RawHeader]) -> bytes:
        number, block = len(before), self._read(BLOCK)
        if number == 0:
            self._refuse_if_not_fits(block)
        elif not self._is_header(block, before):
            return b""
        blocks = [block]
        while not self._is_last_block(blocks[-1], number, len(blocks)):
            blocks.append(self._read(BLOCK))
        return b"".join(blocks)

    def _is_header(self, block: bytes, before: list[RawHeader]) -> bool:
        """Whether another HDU begins with this block; anything else is reported."""
        if block.startswith(_NEXT_HEADER):
            return True
        written = block.rstrip(b"\0")
        if written and _NEXT_HEADER.startswith(written):
            found = "the file's end in its header" if written == block else "zeros in its header"
            self._checks.fail("size", _truncated(f"a whole HDU {len(before)}", found))
        elif block:
            zeros = drain(self._contents) == 0 and not written  # drain also reads the file to its end
            self._report_trailing(self._position - len(block), zeros, before)
        return False

    def _report_trailing(self, end: int, zeros: bool, before: list[RawHeader]) -> None:
        """Zeros where NEXTEND announces an HDU are reserved space; zeros alone, or NEXTEND alone, prove nothing."""
        number, announced = len(before), before[0].text("NEXTEND") or ""
        if zeros and announced.isdecimal() and int(announced) >= number:
            found = f"zeros after {number}: space reserved and not written yet"
            self._checks.fail("size", _truncated(f"{announced} HDUs after the first, as NEXTEND says", found))
        found = "zeros: space reserved for more data?" if zeros else "more bytes"
        expected = f"its end after {number} HDUs and {end} bytes"
        self._checks.fail("trailing", TrailingBytesError(expected=expected, found=found))

    def _is_last_block(self, block: bytes, number: int, count: int) -> bool:
        written = block.rstrip(b"\0")
        self._refuse_illegal(written, number, count)
        if len(written) < len(block):
            self._refuse_unwritten(len(block) - len(written), number, ended=holds_end(written))
        if len(block) < BLOCK:
            raise _truncated(f"the END of the header of HDU {number}", f"the file's end after {self._position} bytes")
        self._left_for_headers -= BLOCK
        if self._left_for_headers < 0:
            raise FitsStructureError(expected=f"at most {MAX_HEADERS} bytes of headers", found="more")
        return holds_end(block)

    def _refuse_unwritten(self, zeros: int, number: int, ended: bool) -> None:
        """A header that turns to zeros is still being written; after its END they may also be wrong padding."""
        where = f"zeros from byte {self._position - zeros} on: space reserved and not written yet"
        error = _truncated(f"the header of HDU {number}", where)
        if not ended:
            raise error
        self._checks.fail("characters", error)

    def _refuse_illegal(self, block: bytes, number: int, count: int) -> None:
        illegal = block.translate(None, LEGAL)
        if illegal:  # what stands behind the END is not the header
            illegal = block[: end_of_cards(block)].translate(None, LEGAL)
        if not illegal:
            return
        card = block.index(illegal[:1]) // CARD
        keyword = "".join(chr(byte) if byte in LEGAL else "?" for byte in block[card * CARD :][:8]).rstrip()
        where = f"card {(count - 1) * BLOCK // CARD + card + 1} ({keyword}) of HDU {number}"
        error = HeaderUnreadableError(
            expected="ASCII text without control characters",
            found=f"byte 0x{illegal[0]:02x} in {where}",
        )
        self._checks.fail("characters", error)

    def _refuse_if_not_fits(self, start: bytes) -> None:
        if not start:
            raise EmptyFileError(expected="a FITS file", found="an empty file")
        if not start.strip(b"\0"):
            raise _truncated("a FITS file", "zeros: space reserved and not written yet")
        written = start.rstrip(b"\0")  # a header that is cut is reported by its reader
        if not written.startswith(_FIRST_CARD[: len(written)]):
            raise NotFitsError(expected=f"{_FIRST_CARD.decode()!r} at its beginning", found=_kind(start))

    def _data(self, header: RawHeader) -> None:
        size = header.data_size()
        span = -(-size // BLOCK) * BLOCK
        has_sums = any(header.text(keyword) for keyword in ("CHECKSUM", "DATASUM")) and self._checks.is_enabled(
            "checksum"
        )
        total = OnesComplementSum() if has_sums else None
        got = self._skip(span, total)
        self._checks.ran("size")
        self._checks.ran("padding")
        if got < span:
            error = _truncated(f"{header.end + span} bytes by HDU {header.number}", str(self._position))
            self._checks.fail("padding" if got >= size else "size", error)
            return
        if total is not None:
            verify_sums(header, total, self._checks)

    def _skip(self, span: int, total: OnesComplementSum | None) -> int:
        left = span
        while left and (chunk := self._read(min(left, CHUNK))):
            left -= len(chunk)
            if total is not None:
                total.add(chunk)
        return span - left

    def _read(self, size: int) -> bytes:
        piece = self._contents.read(size)
        self._position += len(piece)
        return piece


def verify_sums(header: RawHeader, data: OnesComplementSum, checks: CheckPolicy) -> None:
    """Compare DATASUM with the sum of the data, and CHECKSUM with that of the HDU.

    A keyword that is missing or empty says nothing (FITS standard 4.0, section 4.4.2.7).
    """
    promised = header.text("DATASUM")
    if promised:
        checks.ran("datasum")
    if promised and not (promised.isdecimal() and int(promised) % MAX_SUM == data.value):
        checks.fail(
            "datasum",
            ChecksumError(check=f"DATASUM of HDU {header.number}", expected=promised, found=str(data.value)),
        )
    if not header.text("CHECKSUM"):
        return
    checks.ran("checksum")
    data.add(header.raw)
    if data.value != 0:
        checks.fail(
            "checksum",
            ChecksumError(
                check=f"CHECKSUM of HDU {header.number}",
                expected="a sum of 0 over all words of the HDU",
                found=f"0x{data.value:08x}",
            ),
        )


def _truncated(expected: str, found: str) -> TruncatedFrameError:
    return TruncatedFrameError(expected=expected, found=found)


def _kind(start: bytes) -> str:
    """What the file seems to be, for an error."""
    for magic, kind in _KINDS.items():
        if start.startswith(magic):
            return kind
    words = start.translate(None, LEGAL + b"\t\r\n") == b""
    return f"text, {start[:40].decode()!r}" if words else repr(start[: len(_FIRST_CARD)])
