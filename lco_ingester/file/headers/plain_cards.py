"""The cards of a FITS header by keyword, read without astropy, which takes ten times as long and changes some.

A card is plain if it is in the fixed format (FITS standard 4.0, section 4.2). Most are; `odd_cards` reads the others.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from lco_ingester.file.headers.odd_cards import PlainValue, read_card
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

    Of a repeated keyword the first card counts; `repeated` are those that have another value later. `repaired` holds
    the text of cards that break the standard. `without_value` are keywords whose cards have no value that is clear.
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
    for card in _CARDS.findall(text):
        found = _PLAIN.fullmatch(card)
        if found is None:
            _add_odd(card, split)
            continue
        keyword, kind = found["keyword"], found.lastgroup or ""
        value = _READERS[kind](found[kind])
        part = structural if is_structural(keyword) else plain
        if part.setdefault(keyword, value) != value:
            if (keyword, part[keyword]) == _NAME_OF_TABLE:
                part[keyword] = value
            else:
                repeated.add(keyword)
    without_value.difference_update(plain, structural)
    return split


def _add_odd(card: str, split: SplitHeader) -> None:
    if card.startswith(_COMMENTARY):
        split.plain.setdefault(card[:8].rstrip(), card[8:CARD].rstrip())
        return
    if not card[:8].strip() and card[8:10] != "= ":
        return
    keyword, value, is_repaired, has_value = read_card(card)
    if keyword in ("", "END", "CONTINUE"):
        return
    is_of_hdu = is_structural(keyword) and not card.startswith("HIERARCH ")
    part = split.structural if is_of_hdu else split.plain
    is_first = keyword not in part
    if not has_value:
        split.without_value.add(keyword)
    elif not is_first and value != part[keyword]:
        split.repeated.add(keyword)
    elif is_first:
        part[keyword] = value
    if is_repaired and is_first:
        split.repaired.setdefault(keyword, card[:CARD].rstrip())


_READERS: dict[str, Callable[[str], PlainValue]] = {
    "text": str.rstrip,  # trailing blanks do not count, leading ones do (section 4.2.1.1)
    "flag": "T".__eq__,
    "integer": int,
    "real": float,
    "keyword": lambda _: None,  # no value
}
