"""The cards of a FITS header by keyword, read without astropy, which takes ten times as long and changes some.

A card is plain if it is in the fixed format (FITS standard 4.0, section 4.2). Most are; `odd_cards` reads the others.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from lco_ingester.file.headers.odd_cards import OddCard, PlainValue, read_card
from lco_ingester.file.headers.structural_cards import Values, is_structural

CARD = 80  # characters (section 3.2)

# Cards that hold a comment and no value (section 4.4.2.4).
_COMMENTARY = ("COMMENT ", "HISTORY ")
_PLAIN = re.compile(
    r"(?=.{80}\Z)(?!HIERARCH|CONTINUE|COMMENT |HISTORY |END )(?P<keyword>[A-Z0-9_-]+) *(?<=\A.{8})= "
    # Not plain: a text with a quote in it, and '' with a quote in the comment.
    r"(?:'(?P<text>[^']+|(?='[^']*$))'"
    r"|(?=.{20} *(?:/|$)) *"  # a value that is not a text ends before column 31
    r"(?:(?P<flag>[TF])|(?P<integer>[+-]?\d+)"
    r"|(?P<real>[+-]?(?:\d+\.?\d*|\.\d+)(?:E[+-]?\d\d?)?)|))"  # with two digits it is finite
    r" *(?:/.*)?"
)
# Each card together with its CONTINUE cards (section 4.2.1.2); consecutive comment cards together.
_CARDS = re.compile(r"(?:HISTORY .{72})+(?!CONTINUE)|(?:COMMENT .{72})+(?!CONTINUE)|.{80}(?:CONTINUE.{72})*")
# What compression calls its table. The name of the image inside may follow as a second card.
_NAME_OF_TABLE = ("EXTNAME", "COMPRESSED_IMAGE")


class SplitHeader(NamedTuple):
    """A header in parts: the values of its cards by keyword, those that make the HDU on their own (`structural`).

    Of a repeated keyword the first card counts, and one without a value indicator only if there is no other.
    `repeated` are keywords that have another value later. `repaired` holds the text of cards that break the standard.
    `without_value` are keywords whose cards have no value that is clear.
    """

    plain: Values
    structural: Values
    repeated: set[str]
    repaired: dict[str, str]
    without_value: set[str]


def split_header(text: str) -> SplitHeader:
    """Sort the cards of a header, which is printable ASCII and a multiple of 80 characters."""
    split = SplitHeader({}, {}, set(), {}, set())
    plain, structural, repeated, _, without_value = split
    broken: list[tuple[str, OddCard]] = []
    for card in _CARDS.findall(text):
        found = _PLAIN.fullmatch(card)
        if found is None:
            _add_odd(card, split, broken)
            continue
        keyword, kind = found["keyword"], found.lastgroup or ""
        value = _READERS[kind](found[kind])
        part = structural if is_structural(keyword) else plain
        if part.setdefault(keyword, value) != value:
            if (keyword, part[keyword]) == _NAME_OF_TABLE:
                part[keyword] = value
            else:
                repeated.add(keyword)
    for card, odd in broken:
        _add_broken(card, odd, split)
    without_value.difference_update(plain, structural)
    return split


def _add_broken(card: str, odd: OddCard, split: SplitHeader) -> None:
    """Add a card without a value indicator or a clear value, after all other cards."""
    is_of_hdu = is_structural(odd.keyword)
    part = split.structural if is_of_hdu else split.plain
    split.repaired.setdefault(odd.keyword, card[:CARD].rstrip())
    if odd.keyword in part:
        return
    # `raw_header` reads the sizes only where the keyword begins in column 1.
    if odd.has_value and not (is_of_hdu and card.startswith(" ")):
        part[odd.keyword] = odd.value
    else:
        split.without_value.add(odd.keyword)


def _add_odd(card: str, split: SplitHeader, broken: list[tuple[str, OddCard]]) -> None:
    if card.startswith(_COMMENTARY):
        split.plain.setdefault(card[:8].rstrip(), card[8:CARD].rstrip())
        return
    if not card[:8].strip() and card[8:10] != "= ":
        return
    odd = read_card(card)
    keyword, value = odd.keyword, odd.value
    if keyword in ("", "END", "CONTINUE"):
        return
    if not (odd.has_indicator and odd.has_value):
        broken.append((card, odd))
        return
    is_of_hdu = is_structural(keyword) and not card.startswith("HIERARCH ")
    part = split.structural if is_of_hdu else split.plain
    if keyword not in part and odd.repaired:
        split.repaired.setdefault(keyword, card[:CARD].rstrip())
    if part.setdefault(keyword, value) != value:
        split.repeated.add(keyword)


_READERS: dict[str, Callable[[str], PlainValue]] = {
    "text": str.rstrip,  # trailing blanks do not count, leading ones do (section 4.2.1.1)
    "flag": "T".__eq__,
    "integer": int,
    "real": float,
    "keyword": lambda _: None,  # no value
}
