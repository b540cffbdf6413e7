"""The raw header of an HDU: the size of the data after it, and violations of the standard.

It is checked before astropy reads it, because some numbers in a damaged header make astropy read for ever.
"""

import math
import re
from dataclasses import dataclass
from functools import cached_property

from lco_ingester.exceptions import FitsStructureError
from lco_ingester.file.headers.odd_cards import PlainValue, read_card

BLOCK = 2880  # bytes (FITS standard 4.0, section 3.1)
CARD = 80  # bytes (section 3.2)
_BITPIX = (8, 16, 32, 64, -32, -64)  # section 4.4.1.1
_MAX_AXES = 999  # axes (section 4.4.1.1), and fields of a table (section 7.3.1)
_MAX_DATA = 2**80  # bytes, more than any disk has; numbers of thousands of digits are not for error texts
LEGAL = bytes(range(0x20, 0x7F))  # in a header (section 3.2)
_READABLE = bytes(byte if byte in LEGAL else ord("?") for byte in range(256))
_CONTINUED = re.compile(rb"&' *(?:/|$)")
# Keywords that decide about sizes.
_SIZES = r"SIMPLE|XTENSION|Z?(?:BITPIX|NAXIS\d*|PCOUNT|GCOUNT)|GROUPS|TFIELDS|ZIMAGE"
_DECIDES_SIZES = re.compile(_SIZES)
# The cards that we read; the pattern skips all cards before each of them in one step. Without a possessive `*+`:
# Python 3.11.2, which is Debian 12's, finds wrong matches with it.
_CARDS_READ = re.compile(
    rf"(?:(?!{_SIZES}|NEXTEND|CHECKSUM|DATASUM).{{80}})*(?P<card>.{{80}}|.*)".encode("ascii"), re.DOTALL
)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_END = b"END     "


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
    def cards(self) -> bytes:
        """The header without what stands behind its END, where some files have more than blanks."""
        last = max(0, len(self.raw) - BLOCK)
        return self.raw[: last + end_of_cards(self.raw[last:])]

    @cached_property
    def _values(self) -> dict[str, PlainValue]:
        """The value of each keyword that is `_CARDS_READ`; of a repeated one the first.

        Raises FitsStructureError where one that decides about sizes is repeated with another value: it is not known
        which of them is right (FITS standard 4.0, section 4.1.2.1).
        """
        values: dict[str, PlainValue] = {}
        differing: list[tuple[str, PlainValue]] = []
        found = (self.cards[slice(*each.span("card"))] for each in _CARDS_READ.finditer(self.cards.upper()))
        cards = [card for each in found if (card := read_card(each.decode("latin-1"))).has_value]
        # A card without a value indicator counts only if no other card has its keyword.
        for card in sorted(cards, key=lambda card: not card.has_indicator):
            if not self._has_meaning(card.keyword):
                continue
            first = values.setdefault(card.keyword, card.value)
            if first is not card.value and first != card.value and card.has_indicator:
                differing.append((card.keyword, card.value))
        for keyword, value in differing:
            is_of_image_inside = keyword.startswith("Z") and values.get("ZIMAGE") is not True
            if _DECIDES_SIZES.fullmatch(keyword) and not is_of_image_inside:
                raise self.broken(f"one {keyword}", f"{values[keyword]!r} and {value!r}")
        return values

    def _has_meaning(self, keyword: str) -> bool:
        """Whether a keyword has a meaning in this kind of HDU (FITS standard 4.0, sections 7.2, 7.3 and 10.1)."""
        if keyword.startswith("Z"):
            return self._extension == "BINTABLE"
        return keyword != "TFIELDS" or self._extension in ("BINTABLE", "TABLE")

    @cached_property
    def _extension(self) -> PlainValue:
        """The type of the extension; '' for the primary HDU."""
        keyword, value = read_card(self.cards[:CARD].decode("latin-1"))[:2]
        return value if keyword == "XTENSION" else ""

    @cached_property
    def cleaned(self) -> bytes:
        """The header without the bytes and cards on which astropy fails; its length is the same.

        Illegal bytes become question marks. A CONTINUE that continues nothing becomes a comment (FITS standard 4.0,
        section 4.2.1.2).
        """
        raw = self.cards.translate(_READABLE)
        if b"CONTINUE" not in raw:
            return raw
        cards = [raw[start : start + CARD] for start in range(0, len(raw), CARD)]
        for number, card in enumerate(cards):
            before = cards[number - 1]
            if card.startswith(b"CONTINUE") and (before.startswith(b"COMMENT") or not _CONTINUED.search(before)):
                cards[number] = b"COMMENT " + card[8:]
        return b"".join(cards)

    def text(self, keyword: str) -> str | None:
        """The value as a text without outer blanks; None without a card, '' without a value.

        The keyword must be one of the `_CARDS_READ`.
        """
        if keyword not in self._values:
            return None
        value = self._values[keyword]
        if isinstance(value, bool):
            return "T" if value else "F"
        return "" if value is None else str(value).strip()

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
        if self._values.get("ZIMAGE") is True:
            self._image_shape("Z")
        elements, groups, parameters = math.prod(axes), self.integer("GCOUNT", 1), self.integer("PCOUNT", 0)
        if min(groups, parameters) < 0:
            raise self.broken("GCOUNT and PCOUNT not below 0", f"{groups} and {parameters}")
        if axes and axes[0] == 0 and self.text("GROUPS") == "T":
            elements = math.prod(axes[1:])
        size = abs(bitpix) // 8 * groups * (parameters + elements) if axes else 0
        if size > _MAX_DATA:
            raise self.broken("data of at most 2^80 bytes", f"a number of {size.bit_length()} bits")
        return size

    def broken(self, expected: str, found: str) -> FitsStructureError:
        """The error of a header that breaks the standard."""
        return FitsStructureError(check=f"header of HDU {self.number}", expected=expected, found=found)

    def _refuse_absurd(self) -> None:
        if self.number == 0 and self.text("SIMPLE") != "T":
            raise self.broken("SIMPLE to be T", repr(self.text("SIMPLE")))
        inside = ("ZNAXIS",) if self._values.get("ZIMAGE") is True else ()
        for keyword in ("NAXIS", "TFIELDS", *inside):
            if not 0 <= self.integer(keyword, 0) <= _MAX_AXES:
                raise self.broken(f"{keyword} from 0 to {_MAX_AXES}", str(self.integer(keyword)))

    def _image_shape(self, prefix: str) -> tuple[int, list[int]]:
        """BITPIX and the lengths of the axes; with prefix Z, those of the image inside a compressed table."""
        bitpix = self.integer(f"{prefix}BITPIX")
        if bitpix not in _BITPIX:
            raise self.broken(f"{prefix}BITPIX to be one of {_BITPIX}", str(bitpix))
        axes = [self.integer(f"{prefix}NAXIS{axis + 1}") for axis in range(self.integer(f"{prefix}NAXIS"))]
        if any(axis < 0 for axis in axes):
            raise self.broken(f"no {prefix}NAXISn below 0", str(min(axes)))
        return bitpix, axes


def end_of_cards(block: bytes) -> int:
    """Where the END of a header ends in this block of it; the block's length if there is none."""
    at = _end(block)
    return len(block) if at < 0 else at + CARD


def holds_end(block: bytes) -> bool:
    """Whether the END of a header is in this block of it."""
    return _end(block) >= 0


def _end(block: bytes) -> int:
    at = block.find(_END)
    while at >= 0 and at % CARD:
        at = block.find(_END, at + 1)
    return at
