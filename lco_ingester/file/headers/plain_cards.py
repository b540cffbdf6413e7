"""Reads the plain cards of a FITS header without astropy, which takes ten times as long (docs/headers.md).

A card is plain if it is in the fixed format (FITS standard 4.0, section 4.2). All doubtful cards are left to astropy.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from lco_ingester.file.headers.raw_header import CARD
from lco_ingester.file.headers.structural_cards import PlainValue, Values, is_structural

# Cards that hold a comment and no value (section 4.4.2.4).
_COMMENTARY = ("COMMENT ", "HISTORY ")
_PLAIN = re.compile(
    r"(?=.{80}\Z)(?!HIERARCH|CONTINUE|COMMENT |HISTORY |END )(?P<keyword>[A-Z0-9_-]+) *(?<=\A.{8})= "
    # Not plain: a text with a quote in it, '' with a quote in the comment, and 'NAME: 1.0' (a record-valued keyword
    # card).
    r"(?:'(?![A-Za-z_][\w.]*: )(?P<text>[^']+|(?='[^']*$))'"
    r"|(?=.{20} *(?:/|$)) *"  # a value that is not a text ends before column 31
    r"(?:(?P<flag>[TF])|(?P<integer>[+-]?\d+)"
    r"|(?P<real>[+-]?(?:\d+\.?\d*|\.\d+)(?:E[+-]?\d\d?)?)|))"  # with two digits it is finite
    r" *(?:/.*)?"
)
# Each card together with its CONTINUE cards (section 4.2.1.2); consecutive comment cards together.
_CARDS = re.compile(r"(?:HISTORY .{72})+(?!CONTINUE)|(?:COMMENT .{72})+(?!CONTINUE)|.{80}(?:CONTINUE.{72})*")
_END = "END".ljust(CARD)
_LIKE_END = re.compile(r"END(?![A-Z0-9_-])")


class SplitHeader(NamedTuple):
    """A header in parts.

    `plain` and `structural` are the values of plain cards by keyword; structural cards describe the HDU itself.
    `others` is the text of all cards that are not in `plain`, with the END. `needs_astropy`: some of these are neither
    plain nor comments. The first card of a repeated keyword counts, in whichever part it is. A header with a card that
    only looks like an END is all `others`, because astropy may end it there.
    """

    plain: Values
    structural: Values
    others: str
    needs_astropy: bool


def split_header(text: str) -> SplitHeader:
    """Sort the cards of a header, which is printable ASCII and a multiple of 80 characters."""
    plain: Values = {}
    structural: Values = {}
    others: list[str] = []
    taken: set[str] = set()  # keywords of cards in `others`
    for card in _CARDS.findall(text):
        found = _PLAIN.fullmatch(card)
        if found is not None:
            keyword, kind = found["keyword"], found.lastgroup or ""
            if keyword not in taken:
                value = _READERS[kind](found[kind])
                if not is_structural(keyword):
                    plain.setdefault(keyword, value)
                    continue
                structural[keyword] = value
        elif _comments(card, taken):
            plain.setdefault(card[:8].rstrip(), card[8:CARD].rstrip())
            continue
        elif not card[:8].strip():
            continue
        others.append(card)
        if card == _END:
            break
        if _LIKE_END.match(card):
            return SplitHeader({}, {}, text, needs_astropy=True)
        taken.update(_names(card))
    return SplitHeader(plain, structural, "".join(others), needs_astropy=len(others) > len(structural) + 1)


def _comments(card: str, taken: set[str]) -> bool:
    """Whether it is only a comment, and no card of its keyword is in `others`."""
    is_continued = card[CARD : CARD + 8] == "CONTINUE"
    return card.startswith(_COMMENTARY) and not is_continued and card[:8].rstrip() not in taken


_READERS: dict[str, Callable[[str], PlainValue]] = {
    "text": str.rstrip,  # trailing blanks do not count, leading ones do (section 4.2.1.1)
    "flag": "T".__eq__,
    "integer": int,
    "real": float,
    "keyword": lambda _: None,  # no value
}


def _names(card: str) -> set[str]:
    """The keywords by which astropy may know a card that is not plain."""
    name = card.partition("=")[0].upper()
    return {name[:8].strip(), name.removeprefix("HIERARCH ").strip()}
