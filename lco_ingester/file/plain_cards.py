"""The plain cards of a FITS header, read without astropy, which takes ten times as long; the others are left to it.

A card is plain if it is in the fixed format (FITS standard 4.0, section 4.2). Whatever is odd in any way is not plain:
astropy is the judge.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from lco_ingester.file.shape import PlainValue, Values, is_shape
from lco_ingester.file.structure import CARD

_PLAIN = re.compile(
    r"(?=.{8}= )(?!HIERARCH|CONTINUE)(?P<keyword>[A-Z0-9_-]+) *= "
    r"(?:'(?P<text>[^']+|(?='[^']*$))'"  # one with a quote in it is not plain, nor '' with one in the comment
    r"|(?=.{20} *(?:/|$)) *"  # what is no text stands before column 31
    r"(?:(?P<flag>[TF])|(?P<integer>[+-]?\d+)"
    r"|(?P<real>[+-]?(?:\d+\.?\d*|\.\d+)(?:E[+-]?\d\d?)?)|))"  # with two digits it is finite
    r" *(?:/.*)?"
)
_COMMENTARY = ("COMMENT", "HISTORY")
_RECORD = re.compile(r"[A-Za-z_][\w.]*: ")  # a text that may be a number with a name (record-valued keyword cards)
_CARDS = re.compile(r".{80}(?:CONTINUE.{72})*")  # each with those that continue it (section 4.2.1.2)
_END = re.compile(r"END(?![A-Z0-9_-])")


class SplitHeader(NamedTuple):
    """A header in parts: the values of its plain cards by keyword, those that make the HDU on their own, and the text
    of all cards that are not among `plain`, with the END. `odd`: some of these are not plain.

    Of a repeated keyword the first card counts, whichever part it is in.
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
        keyword = card[:8].rstrip()
        if not keyword or (keyword in plain and keyword in _COMMENTARY):
            continue
        read = _read(card, keyword)
        if read is not None and keyword not in taken and not is_shape(keyword):
            plain.setdefault(keyword, *read)
            continue
        others.append(card)
        if _END.match(card):
            break
        if read is not None and keyword not in taken:
            shape[keyword] = read[0]
        taken.update(_names(card))
    return SplitHeader(plain, shape, "".join(others), odd=len(others) > len(shape) + 1)


def _read(card: str, keyword: str) -> tuple[PlainValue] | None:
    """The value of a plain card, None if it is not plain."""
    if len(card) != CARD:
        return None
    if keyword in _COMMENTARY:
        return (card[8:].rstrip(),)
    found = _PLAIN.fullmatch(card)
    if found is None:
        return None
    kind = found.lastgroup or ""
    written = found[kind]
    return None if ": " in written and _RECORD.match(written) else (_READERS[kind](written),)


_READERS: dict[str, Callable[[str], PlainValue]] = {
    "text": str.rstrip,  # blanks at its end do not count, and those before do (section 4.2.1.1)
    "flag": "T".__eq__,
    "integer": int,
    "real": float,
    "keyword": lambda _: None,  # nothing stands behind it
}


def _names(card: str) -> set[str]:
    """By which keyword astropy may know a card that is not plain."""
    name, _, _ = card.partition("=")
    return {name[:8].strip().upper(), name.removeprefix("HIERARCH ").strip().upper()}
