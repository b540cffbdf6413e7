"""The raw header of an HDU: the size of the data after it, and violations of the standard.

It is checked before astropy reads it, because some numbers in a damaged header make astropy read for ever.
"""

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from lco_ingester.exceptions import FitsStructureError

BLOCK = 2880  # bytes (FITS standard 4.0, section 3.1)
CARD = 80  # bytes (section 3.2)
_BITPIX = (8, 16, 32, 64, -32, -64)  # section 4.4.1.1
_MAX_AXES = 999  # axes (section 4.4.1.1), and fields of a table (section 7.3.1)
# Larger values cost astropy and wcslib much time and memory, or crash them: SIP has orders up to 9, wcslib has 32 axes.
_MAX_IN_WCS = {"WCSAXES": 32, "A_ORDER": 9, "B_ORDER": 9, "AP_ORDER": 9, "BP_ORDER": 9}
LEGAL = bytes(range(0x20, 0x7F))  # in a header (section 3.2)
_READABLE = bytes(byte if byte in LEGAL else ord("?") for byte in range(256))
_CONTINUED = re.compile(rb"&' *(?:/|$)")
# Keywords that decide about sizes.
_SIZES = r"SIMPLE|XTENSION|Z?(?:BITPIX|NAXIS\d*|PCOUNT|GCOUNT)|GROUPS|TFIELDS|ZIMAGE|WCSAXES|[AB]P?_ORDER"
_DECIDES_SIZES = re.compile(_SIZES)
# The cards that we read; the pattern skips all cards before each of them in one step.
_CARDS_READ = re.compile(
    rf"(?:(?!{_SIZES}|NEXTEND|CHECKSUM|DATASUM).{{80}})*+(?P<card>.{{80}}|.*)".encode("ascii"), re.DOTALL
)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_TEXT = re.compile(r"'((?:[^']|'')*)'")


@dataclass(frozen=True)
class RawHeader:
    """The header of HDU `number` as it is in the file: blocks `raw`, from byte `offset` on."""

    number: int
    offset: int
    raw: bytes

    @property
    def end(self) -> int:
        """The offset of its data."""
        return self.offset + len(self.raw)

    @cached_property
    def _values(self) -> dict[str, str]:
        """The text after `= ` of the `_CARDS_READ`; the first one of a repeated keyword.

        Raises FitsStructureError if a keyword that decides about sizes is repeated with another value: we use the
        first one, and parts of astropy use the last one.
        """
        values: dict[str, str] = {}
        for found in _CARDS_READ.finditer(self.raw.upper()):
            card = self.raw[slice(*found.span("card"))].decode("latin-1")
            if card[8:10] != "= ":
                continue
            keyword, value = card[:8].rstrip().upper(), card[10:].strip()
            if values.setdefault(keyword, value) != value and _DECIDES_SIZES.fullmatch(keyword):
                raise self.broken(f"one {keyword}", f"{values[keyword]!r} and {value!r}")
        return values

    @cached_property
    def cleaned(self) -> bytes:
        """The header without the bytes and cards on which astropy fails; its length is the same.

        Illegal bytes become question marks. A CONTINUE that continues nothing becomes a comment (FITS standard 4.0,
        section 4.2.1.2).
        """
        raw = self.raw.translate(_READABLE)
        if b"CONTINUE" not in raw:
            return raw
        cards = [raw[start : start + CARD] for start in range(0, len(raw), CARD)]
        for number, card in enumerate(cards):
            before = cards[number - 1]
            if card.startswith(b"CONTINUE") and (before.startswith(b"COMMENT") or not _CONTINUED.search(before)):
                cards[number] = b"COMMENT " + card[8:]
        return b"".join(cards)

    def text(self, keyword: str) -> str | None:
        """The value as text, without quotes and outer blanks; None if there is no such card.

        The keyword must be one of the `_CARDS_READ`.
        """
        value = self._values.get(keyword)
        if value is None:
            return None
        quoted = _TEXT.match(value)
        return quoted[1].replace("''", "'").strip() if quoted else value.split("/", 1)[0].rstrip()

    def integer(self, keyword: str, default: int | None = None) -> int:
        """An integer; `default` if there is no such card.

        Raises FitsStructureError if it is not an integer, or if the card is missing and there is no default.
        """
        value = self.text(keyword)
        if value is None and default is not None:
            return default
        if value is None or not _INTEGER.fullmatch(value):
            raise self.broken(f"{keyword} to be an integer", "no such card" if value is None else repr(value))
        return int(value)

    def data_size(self) -> int:
        """The size of the data in bytes, without padding of the last block (FITS standard 4.0, equations 1, 2 and 4).

        Raises FitsStructureError if the header does not say it.
        """
        self._refuse_absurd()
        bitpix, axes = self._image_shape("")
        if self.text("ZIMAGE") == "T":
            self._image_shape("Z")
        elements, groups, parameters = math.prod(axes), self.integer("GCOUNT", 1), self.integer("PCOUNT", 0)
        if min(groups, parameters) < 0:
            raise self.broken("GCOUNT and PCOUNT not below 0", f"{groups} and {parameters}")
        if axes and axes[0] == 0 and self.text("GROUPS") == "T":
            elements = math.prod(axes[1:])
        return abs(bitpix) // 8 * groups * (parameters + elements) if axes else 0

    def broken(self, expected: str, found: str) -> FitsStructureError:
        """The error of a header that breaks the standard."""
        return FitsStructureError(check=f"header of HDU {self.number}", expected=expected, found=found)

    def _refuse_absurd(self) -> None:
        if self.number == 0 and self.text("SIMPLE") != "T":
            raise self.broken("SIMPLE to be T", repr(self.text("SIMPLE")))
        for keyword in ("NAXIS", "ZNAXIS", "TFIELDS"):
            if not 0 <= self.integer(keyword, 0) <= _MAX_AXES:
                raise self.broken(f"{keyword} from 0 to {_MAX_AXES}", str(self.integer(keyword)))
        for keyword, most in _MAX_IN_WCS.items():
            with suppress(ValueError):  # a value that is not a number is harmless
                if not 0 <= float(self.text(keyword) or 0) <= most:
                    raise self.broken(f"{keyword} from 0 to {most}", str(self.text(keyword)))

    def _image_shape(self, prefix: str) -> tuple[int, list[int]]:
        """BITPIX and the lengths of the axes; with prefix Z, those of the image inside a compressed table."""
        bitpix = self.integer(f"{prefix}BITPIX")
        if bitpix not in _BITPIX:
            raise self.broken(f"{prefix}BITPIX to be one of {_BITPIX}", str(bitpix))
        axes = [self.integer(f"{prefix}NAXIS{axis + 1}") for axis in range(self.integer(f"{prefix}NAXIS"))]
        if any(axis < 0 for axis in axes):
            raise self.broken(f"no {prefix}NAXISn below 0", str(min(axes)))
        return bitpix, axes
