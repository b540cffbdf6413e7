"""Text that came from outside, as it may be shown on a terminal or in a log file."""


def printable(text: str, keep: str = "") -> str:
    r"""The text on one line, with every character escaped that is not printable, except those in `keep`.

    These are control characters (C0 and C1, so also the escape sequences that a terminal obeys), line breaks of all
    kinds, marks that change the direction of the text, and surrogates, which cannot be encoded. `\x1b` is shown as
    `\\x1b`.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode() for each in text
    )
