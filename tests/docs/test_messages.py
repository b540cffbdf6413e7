"""docs/messages.md has every field that travels, under its name on the wire, and no other."""

import json
import re
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from pydantic.fields import FieldInfo

from ingester_app.schema import STATES, DeadLetter, FrameMessage, RetryState
from lco_ingester.frame import Fingerprint, StorageFacts

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "messages.md").read_text()
TABLES = {
    "field": FrameMessage,
    **{f"field of `{state}`": kind for state, kind in STATES.items()},
    "field of `fingerprint`": Fingerprint,
    "field of `facts`": StorageFacts,
    "field of `trouble`": RetryState,
    "field of a dead letter": DeadLetter,
}
WITH_DEFAULTS = ["field", "field of a dead letter"]


def rows(heading: str) -> dict[str, list[str]]:
    """The rows of the table whose first heading this is: the further cells by the field's name."""
    [table] = re.findall(rf"^\| {re.escape(heading)} \|.*\n\|[ \-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {first.strip("`"): others for first, *others in cells}


def wire_names(kind: type) -> dict[str, Field[Any]]:
    """The fields of a dataclass by their names in a message."""
    hints = get_type_hints(kind, include_extras=True)
    return {_alias(hints[field.name]) or field.name: field for field in fields(kind)}


def as_written(default: Any) -> str:
    """A default as the table has it."""
    text = json.dumps(default)
    return f"`{text}`" if isinstance(default, str) else text.removesuffix(".0")


def _alias(hint: Any) -> str | None:
    infos = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((info.alias for info in infos if isinstance(info, FieldInfo) and info.alias), None)


@pytest.mark.parametrize("heading", TABLES)
def test_the_table_names_the_fields_in_their_order_and_no_other(heading: str) -> None:
    assert list(rows(heading)) == list(wire_names(TABLES[heading]))


@pytest.mark.parametrize("heading", WITH_DEFAULTS)
def test_the_table_says_what_a_missing_field_means(heading: str) -> None:
    special = {"id", "reason", "raw"}  # what a letter lacks of these is filled in
    for name, field in wire_names(TABLES[heading]).items():
        if name not in special:
            expected = "the message cannot be read" if field.default is MISSING else as_written(field.default)
            assert rows(heading)[name][1] == expected, name


@pytest.mark.parametrize("heading", TABLES)
def test_null_is_allowed_exactly_where_the_table_says_so(heading: str) -> None:
    hints = get_type_hints(TABLES[heading])
    for name, field in wire_names(TABLES[heading]).items():
        if name != "raw":  # it is never null, but absent
            assert rows(heading)[name][0].endswith(" or null") == (type(None) in get_args(hints[field.name])), name


def test_the_page_explains_the_names_that_differ_in_the_code() -> None:
    for kind in TABLES.values():
        for name, field in wire_names(kind).items():
            if name != field.name:
                assert f"`{name}` is `{field.name}`" in PAGE
