"""Rows of measured numbers as tables: Markdown for people, CSV for programs."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measure import median

Row = Mapping[str, Any]


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Every column of any row, in the order of their first use."""
    return list(dict.fromkeys(name for row in rows for name in row))


def markdown(rows: Sequence[Row], titles: Mapping[str, str] | None = None) -> str:
    """A Markdown table; `titles` names its columns and says which (None: all, as they are called)."""
    titles = titles or {name: name for name in columns_of(rows)}
    lines = [_line(titles.values()), _line("---:" if _is_number(rows, name) else "---" for name in titles)]
    lines += [_line(_text(row.get(name)) for name in titles) for row in rows]
    return "\n".join(lines) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """The same rows as CSV."""
    made = io.StringIO()
    writer = csv.DictWriter(made, columns_of(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return made.getvalue()


def medians(rows: Sequence[Row], by: Sequence[str]) -> list[dict[str, Any]]:
    """One row for all those that agree in the columns `by`: of every other number the median."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in by), []).append(row)
    made = []
    for key, group in groups.items():
        numbers = [name for name in columns_of(group) if name not in by and _is_number(group, name)]
        middle = {name: median([row[name] for row in group if row.get(name) is not None]) for name in numbers}
        made.append(dict(zip(by, key, strict=True)) | {name: round(value, 3) for name, value in middle.items()})
    return made


def pivot(rows: Sequence[Row], down: str, across: str, value: str) -> list[dict[str, Any]]:
    """A row for each value of `down`, with a column for each value of `across`."""
    made: dict[Any, dict[str, Any]] = {}
    for row in rows:
        made.setdefault(row[down], {down: row[down]})[str(row[across])] = row.get(value)
    return list(made.values())


def _line(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return str(value).replace("|", "\\|")


def _is_number(rows: Sequence[Row], name: str) -> bool:
    values = [row[name] for row in rows if row.get(name) is not None]
    return bool(values) and all(isinstance(value, (int, float)) for value in values)
