"""A format of records, and the cleanup rules that every format has with its own lists of keywords."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lco_ingester.frame import Record
from lco_ingester.record.cleanup import Cards, CleanupRule, Doubt, FrameName, area_of, related_frame
from lco_ingester.record.rules import Keywords, RecordRules

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """A format of records, by its `name` in ARCHIVE_RECORD_FORMAT.

    The `rules` clean the header in their order. `finish` then makes all of the record but `basename` and `area`.
    """

    name: str
    rules: tuple[CleanupRule, ...]
    finish: Callable[[Record, RecordRules], Record]

    def record(self, cards: Cards, name: FrameName, rules: RecordRules) -> Record:
        """The record of a header. Raises HeaderValueError."""
        header: Record = dict(cards)
        for rule in self.rules:
            why = rule(header, name, rules)
            if isinstance(why, Doubt):
                logger.warning("%s%s: %s", name.basename, name.extension, why)
        area = area_of(header, rules.keys, name)
        return {**self.finish(header, rules), "basename": name.basename, "area": area}


def nulls(*integers: str) -> CleanupRule:
    """A text of NULL_HEADER_VALUES becomes '', and null under a keyword of whole numbers.

    `integers` are the fields of `Keywords` that hold whole numbers in this format.
    """

    def nulls(header: Record, _: FrameName, rules: RecordRules) -> str:
        keywords = _keywords(rules.keys, integers)
        for keyword, value in header.items():
            if isinstance(value, str) and value.strip() in rules.null_header_values:
                header[keyword] = None if keyword in keywords else ""
        return "a text of NULL_HEADER_VALUES stands for no value"

    return nulls


def none_as_integer(*integers: str) -> CleanupRule:
    """A text with NONE in it becomes null under a keyword of whole numbers."""

    def none_as_integer(header: Record, _: FrameName, rules: RecordRules) -> str:
        for keyword in _keywords(rules.keys, integers):
            if isinstance(value := header.get(keyword), str) and "NONE" in value.upper():
                header[keyword] = None
        return "NONE is not a whole number"

    return none_as_integer


def related_frames(keywords: Iterable[str], *, keep_empty: bool) -> CleanupRule:
    """The names of related frames lose their extension.

    They stand under RELATED_FRAME_KEYS, or else under `keywords`. Without `keep_empty`, empty ones are left out.
    """

    def related_frames(header: Record, _: FrameName, rules: RecordRules) -> str:
        for keyword in rules.related_frame_keys or keywords:
            if header.get(keyword) is not None:
                header[keyword] = related_frame(header[keyword])
            if keyword in header and not header[keyword] and not keep_empty:
                del header[keyword]
        return "related frames lose their extension" + ("" if keep_empty else ", and empty ones are left out")

    return related_frames


def _keywords(keys: Keywords, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(getattr(keys, name) for name in names)
