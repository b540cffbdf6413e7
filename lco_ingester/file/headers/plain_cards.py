"""The plain cards of a FITS header, read without astropy, which takes ten times as long; the others are left to it.

A card is plain if it is in the fixed format (FITS standard 4.0, section 4.2). Whatever is odd in any way is not plain:
astropy is the judge.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from lco_ingester.file.headers.raw_header import CARD
from lco_ingester.file.headers.structural_cards import PlainValue, Values, is_shape

# How cards begin that hold a comment and no value (section 4.4.2.4).
_COMMENTARY = ("COMMENT ", "HISTORY ")
_PLAIN = re.compile(
    r"(?=.{80}\Z)(?!HIERARCH|CONTINUE|COMMENT |HISTORY |END )(?P<keyword>[A-Z0-9_-]+) *(?<=\A.{8})= "
    # One with a quote in it is not plain, nor '' with one in the comment, nor a number with a name of its own, as in
    # 'NAME: 1.0' (record-valued keyword cards).
    r"(?:'(?![A-Za-z_][\w.]*: )(?P<text>[^']+|(?='[^']*$))'"
    r"|(?=.{20} *(?:/|$)) *"  # what is no text stands before column 31
    r"(?:(?P<flag>[TF])|(?P<integer>[+-]?\d+)"
    r"|(?P<real>[+-]?(?:\d+\.?\d*|\.\d+)(?:E[+-]?\d\d?)?)|))"  # with two digits it is finite
    r" *(?:/.*)?"
)
# Each with those that continue it (section 4.2.1.2), and all those in a row that only comment.
_CARDS = re.compile(r"(?:HISTORY .{72})+(?!CONTINUE)|(?:COMMENT .{72})+(?!CONTINUE)|.{80}(?:CONTINUE.{72})*")
_END = "END".ljust(CARD)
_LIKE_END = re.compile(r"END(?![A-Z0-9_-])")


class SplitHeader(NamedTuple):
    """A header in parts: the values of its plain cards by keyword, those that make the HDU on their own, and the text
    of all cards that are not among `plain`, with the END. `odd`: some of these are not plain.

    Of a repeated keyword the first card counts, whichever part it is in. A header with a card that is like an END, and
    is none, is all `others`: astropy may end it there.
    """

    plain: Values
    shape: Values
    others: str
    odd: bool


def split_header(text: str) -> SplitHeader:
    """Sort the cards of a header, which is printable ASCII and a multiple of 80 characters."""
    plain: Values = {}
    shape: Values = {}
    others: list[str] = []
    taken: set[str] = set()  # keywords that the others have
    for card in _CARDS.findall(text):
        found = _PLAIN.fullmatch(card)
        if found is not None:
            keyword, kind = found["keyword"], found.lastgroup or ""
            if keyword not in taken:
                value = _READERS[kind](found[kind])
                if not is_shape(keyword):
                    plain.setdefault(keyword, value)
                    continue
                shape[keyword] = value
        elif _comments(card, taken):
            plain.setdefault(card[:8].rstrip(), card[8:CARD].rstrip())
            continue
        elif not card[:8].strip():
            continue
        others.append(card)
        if card == _END:
            break
        if _LIKE_END.match(card):
            return SplitHeader({}, {}, text, odd=True)
        taken.update(_names(card))
    return SplitHeader(plain, shape, "".join(others), odd=len(others) > len(shape) + 1)


def _comments(card: str, taken: set[str]) -> bool:
    """Whether it only comments, and no odd one of its keyword stood before it."""
    is_continued = card[CARD : CARD + 8] == "CONTINUE"
    return card.startswith(_COMMENTARY) and not is_continued and card[:8].rstrip() not in taken


_READERS: dict[str, Callable[[str], PlainValue]] = {
    "text": str.rstrip,  # blanks at its end do not count, and those before do (section 4.2.1.1)
    "flag": "T".__eq__,
    "integer": int,
    "real": float,
    "keyword": lambda _: None,  # nothing stands behind it
}


def _names(card: str) -> set[str]:
    """By which keyword astropy may know a card that is not plain."""
    name = card.partition("=")[0].upper()
    return {name[:8].strip(), name.removeprefix("HIERARCH ").strip()}
