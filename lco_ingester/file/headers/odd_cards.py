"""The keyword and the value of a card that is not plain, by the FITS standard 4.0, sections 4.1 and 4.2.

Astropy changes some values on the way: `'X.1: 2'` becomes a keyword of its own. So no card is read by it.
"""

import re
from typing import NamedTuple

PlainValue = str | int | float | bool | None
"""A value as JSON has it, but for a float that is NaN or infinite."""

_CARD = 80
# No two parts of a pattern can share blanks or digits in several ways: a card would take milliseconds.
_NUMBER = r"(?:[+-] *)?(?:\d+(?:\.\d*)?|\.\d+)(?: *[EDed] *(?:[+-] *)?\d+)?"
_COMMENT = r" *(?:/.*)?\Z"
_VALUE = re.compile(
    rf" *(?! )(?:'(?P<text>(?:[^']|'')*)'|(?P<flag>[TF])|(?P<number>{_NUMBER})"
    rf"|(?P<word>[+-]?(?i:nan|inf|infinity))|\( *(?P<first>{_NUMBER}) *, *(?P<second>{_NUMBER}) *\)|){_COMMENT}",
    re.DOTALL,
)
# Texts that are not legal, but have one meaning only: a quote inside that is not doubled, as in 'O'Brien', no slash
# before the comment, no quote at the end.
_REPAIRABLE = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (rf" *'((?:[^']|(?<=[^ '])'(?=[^ ']))*)'{_COMMENT}", r" *'([^']*)' +[^' ][^']*\Z", r" *'([^'/]*)\Z")
)
_MISPLACED = re.compile(r" *([^=']{1,8}?) *=(.*)", re.DOTALL)
_COMMENTARY = ("COMMENT", "HISTORY")


class OddCard(NamedTuple):
    """What a card says. `repaired`: it breaks the standard; it has a `value` that is clear all the same, or none.

    `has_indicator`: the keyword begins in column 1 and the value indicator is in columns 9 and 10 (section 4.1.2.2).
    Without it only a clear value counts, and only if the keyword has no other card. `has_value` is false if the value
    is not clear. This is not the same as an undefined value, which is None too.
    """

    keyword: str
    value: PlainValue
    repaired: bool = False
    has_value: bool = True
    has_indicator: bool = True


def read_card(card: str) -> OddCard:
    """Read a card of 80 characters, with the CONTINUE cards that follow it."""
    first, rest = card[:_CARD], card[_CARD:]
    keyword = first[:8].strip().upper()
    if keyword in _COMMENTARY:
        return OddCard(keyword, first[8:].rstrip())
    if first[8:10] == "= ":
        found = _with_value(keyword, first[10:], rest)
        is_misplaced = first.startswith(" ") and keyword != ""
        return found._replace(repaired=True, has_indicator=False) if is_misplaced else found
    if first.startswith("HIERARCH ") and "=" in first:
        name, field = first[9:].split("=", 1)
        return _with_value(name.strip(), field, rest)
    # An equals sign beside columns 9 and 10 counts if a legal value follows it.
    parts = _MISPLACED.fullmatch(first)
    if parts is None or not _VALUE.fullmatch(parts[2]):
        name = parts[1].strip().upper() if parts else keyword
        return OddCard(name, None, repaired=True, has_value=False, has_indicator=False)
    return _with_value(parts[1].strip().upper(), parts[2], rest)._replace(repaired=True, has_indicator=False)


def _with_value(keyword: str, field: str, continuations: str) -> OddCard:
    value, repaired = _value_in(field)
    if isinstance(value, str):
        value = _continued(value, continuations).rstrip()  # blanks at the end do not count (section 4.2.1.1)
    return OddCard(keyword, value, repaired, has_value=not repaired or value is not None)


def _value_in(field: str) -> tuple[PlainValue, bool]:
    """The value behind a value indicator, and whether it had to be repaired."""
    found = _VALUE.fullmatch(field)
    if found is not None:
        return _legal(found), False
    if not field.lstrip().startswith("'"):
        return _unquoted(field), True
    repaired = next((found[1] for each in _REPAIRABLE if (found := each.fullmatch(field))), None)
    return (None if repaired is None else repaired.replace("''", "'")), True


def _unquoted(field: str) -> str | None:
    """A text without quotes; None if it is not clear where it ends."""
    text, slash, _ = field.partition("/")
    is_clear = '"' not in text and (not slash or text.endswith(" "))
    return text.strip() if is_clear else None


def _legal(found: re.Match[str]) -> PlainValue:
    if found["text"] is not None:
        return found["text"].replace("''", "'")
    if found["flag"]:
        return found["flag"] == "T"
    if found["first"]:
        return str(_number(found["first"]) + _number(found["second"]) * 1j)  # which makes 0 of -0
    if found["word"]:
        return float(found["word"])
    return _number(found["number"]) if found["number"] else None


def _number(written: str) -> int | float:
    number = written.replace(" ", "").upper().replace("D", "E")
    return float(number) if set(number) & set(".E") else int(number)


def _continued(value: str, cards: str) -> str:
    """The text with that of the CONTINUE cards behind it; an ampersand that nothing continues belongs to it."""
    pieces = [value]
    for start in range(0, len(cards), _CARD):
        found = _VALUE.fullmatch(cards[start + 8 : start + _CARD])
        if not pieces[-1].endswith("&") or found is None or found["text"] is None:
            break
        pieces[-1] = pieces[-1][:-1]
        pieces.append(found["text"].replace("''", "'"))
    return "".join(pieces)
