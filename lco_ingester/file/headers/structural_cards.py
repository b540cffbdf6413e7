"""Structural cards, which describe the HDU itself, as astropy shows them; or astropy must be asked.

Astropy shows them as they are. For a table with a tile-compressed image it shows those of the image inside (FITS
standard 4.0, section 10.1).
"""

import math
import re
from functools import lru_cache

from lco_ingester.file.headers.odd_cards import PlainValue

Values = dict[str, PlainValue]

# ZNAMEn and ZVALn end at n = 999: astropy's time grows with the square of their number.
_STRUCTURAL = re.compile(
    r"(?=.{1,8}\Z)(?!Z(?:NAME|VAL)\d{4})(?:"
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|GROUPS|EXTEND|BLOCKED|INHERIT|EXT(NAME|VER|LEVEL)|NEXTEND"
    r"|BSCALE|BZERO|BLANK|CHECKSUM|DATASUM|Z[A-Z0-9_-]*|TFIELDS|THEAP"
    r"|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|BCOL|DIM|CTYP|CUNI|CRPX|CRVL|CDLT|RPOS)\d+)"
)

_OF_THE_TABLE = re.compile(
    r"XTENSION|BITPIX|NAXIS[12]?|PCOUNT|GCOUNT|CHECKSUM|DATASUM|TFIELDS|T(TYPE|FORM)\d"
    r"|ZTENSION|ZIMAGE|ZCMPTYPE|ZQUANTIZ|ZDITHER0|Z(TILE|NAME|VAL)\d"
).fullmatch
_OF_BOTH = ("EXTNAME", "EXTVER", "EXTLEVEL", "INHERIT", "BSCALE", "BZERO", "BLANK")
_OF_THE_IMAGE = {
    "ZSIMPLE": "SIMPLE", "ZBITPIX": "BITPIX", "ZNAXIS": "NAXIS", "ZPCOUNT": "PCOUNT",
    "ZGCOUNT": "GCOUNT", "ZEXTEND": "EXTEND", "ZHECKSUM": "CHECKSUM", "ZDATASUM": "DATASUM",
    **{f"ZNAXIS{axis}": f"NAXIS{axis}" for axis in range(1, 10)},
}  # fmt: skip
_DITHERS = ("NO_DITHER", "SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2")
_TEXTS = ("TTYPE", "TFORM", "ZNAME", "ZCMPTYPE", "EXTNAME")
_NUMBERS = ("ZTILE", "ZVAL", "BSCALE", "BZERO", "EXTVER")
_OF_AN_EXTENSION: Values = {"XTENSION": "IMAGE", "PCOUNT": 0, "GCOUNT": 1}
_PIECE = 32  # characters of a long text in each card, which has room for twice as many quotes
_NOT_SHOWN = {"EXTNAME": "COMPRESSED_IMAGE", "BSCALE": 0, "BZERO": 0}


@lru_cache(maxsize=4096)
def is_structural(keyword: str) -> bool:
    """Whether astropy reads or writes the keyword when it makes an HDU.

    Structure (FITS standard 4.0, section 4.4.1), tables (sections 7.2 and 7.3), compressed images (section 10).
    """
    return _STRUCTURAL.fullmatch(keyword) is not None


def as_astropy_shows(cards: Values, number: int, count: int) -> Values | None:
    """These cards of HDU `number` of `count` as astropy shows them; None if it must be asked.

    `raw_header` has checked the sizes before.
    """
    kind = cards.get("XTENSION", "IMAGE")
    if ("SIMPLE" in cards) != (number == 0) or "GROUPS" in cards or kind not in ("IMAGE", "BINTABLE"):
        return None
    if number == 0 or not holds_image(cards):
        return as_written(cards, number, count)
    return _image_inside(cards) if _is_usual(cards) else None


def holds_image(cards: Values) -> bool:
    """Whether these are the cards of a table with a tile-compressed image. `Z...` means nothing elsewhere."""
    return cards.get("XTENSION") == "BINTABLE" and cards.get("ZIMAGE") is True


def as_written(cards: Values, number: int, count: int) -> Values:
    """The cards themselves; a first HDU that others follow has an EXTEND."""
    return {"EXTEND": True, **cards} if number == 0 and count > 1 else cards


def as_text(cards: Values) -> str:
    """The cards for astropy to read: in the fixed format, whatever they looked like, with an END.

    A compressed image has a ZTILEn for each axis: without one a tile is a row (FITS standard 4.0, section 10.1.1).
    """
    axes = cards.get("ZNAXIS") if holds_image(cards) else None
    tiles = range(1, axes + 1) if isinstance(axes, int) else ()
    rows: Values = {f"ZTILE{axis}": cards.get("ZNAXIS1", 1) if axis == 1 else 1 for axis in tiles}
    return "".join(_card(keyword, value) for keyword, value in {**cards, **rows, **cards}.items()) + "END".ljust(80)


def _card(keyword: str, value: PlainValue) -> str:
    if isinstance(value, str):
        pieces = [value[at : at + _PIECE].replace("'", "''") for at in range(0, len(value), _PIECE)] or [""]
        starts = [f"{keyword:8}= ", *["CONTINUE  "] * (len(pieces) - 1)]
        ends = [*["&'"] * (len(pieces) - 1), "'"]
        return "".join(f"{a}'{b:8}{c}".ljust(80) for a, b, c in zip(starts, pieces, ends, strict=True))
    if isinstance(value, bool):
        written = "T" if value else "F"
    else:
        written = "" if value is None or not math.isfinite(value) else str(value).upper()
    return f"{keyword:8}= {written:>20}".ljust(80)


def _is_usual(table: Values) -> bool:
    """Whether it is a compressed image as the usual writers make it; all others are left to astropy."""
    fields, axes = table.get("TFIELDS"), table.get("ZNAXIS")
    if not (isinstance(fields, int) and isinstance(axes, int)):
        return False
    wanted = {f"TTYPE{field + 1}" for field in range(fields)}
    wanted |= {keyword.replace("NAME", "VAL") for keyword in table if keyword.startswith("ZNAME")}
    sizes = {"ZNAXIS", *(f"ZNAXIS{axis + 1}" for axis in range(axes))}
    return (
        wanted <= table.keys()
        and sizes == {keyword for keyword in table if keyword.startswith("ZNAXIS")}
        and all(_OF_THE_TABLE(keyword) or keyword in _OF_THE_IMAGE or keyword in _OF_BOTH for keyword in table)
        and all(isinstance(value, str) for keyword, value in table.items() if keyword.startswith(_TEXTS))
        and all(isinstance(value, (int, float)) for keyword, value in table.items() if keyword.startswith(_NUMBERS))
        and table.get("ZQUANTIZ", "NO_DITHER") in _DITHERS
        and not ("ZSIMPLE" in table and ("ZPCOUNT" in table or "ZGCOUNT" in table))
        and "ZBLANK" not in table.values()  # a column of that name, which stands for a BLANK
    )


def _image_inside(table: Values) -> Values:
    both = {keyword: table[keyword] for keyword in _OF_BOTH if keyword in table}
    image = {keyword: value for keyword, value in both.items() if value != _NOT_SHOWN.get(keyword, ...)}
    image |= {name: table[keyword] for keyword, name in _OF_THE_IMAGE.items() if keyword in table}
    return image if "SIMPLE" in image else {**_OF_AN_EXTENSION, **image}
