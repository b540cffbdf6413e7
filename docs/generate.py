"""Write the tables of settings into README.md and docs/settings.md, from the fields' own descriptions.

    python -m docs.generate            writes them
    python -m docs.generate --check    exit code 1 if one of them is out of date

A table stands between `<!-- settings of the library -->` (or `… of the service`) and `<!-- end of settings -->`.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from ingester_app.settings import ServiceSettings
from lco_ingester.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "settings.md")
END = "<!-- end of settings -->"
COLON_SEPARATED = ("data_roots",)


def table(fields: Mapping[str, FieldInfo]) -> str:
    """One row a setting: the variable, its default as one would type it, what it is."""
    rows = [f"| `{name.upper()}` | {shown_default(name, field)} | {words(field)} |" for name, field in fields.items()]
    return "\n".join(["| variable | default | what it is |", "| --- | --- | --- |", *rows])


def shown_default(name: str, field: FieldInfo) -> str:
    """The default as it would stand in the environment; a dash if there is none."""
    value: Any = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if isinstance(value, tuple):
        value = (":" if name in COLON_SEPARATED else ",").join(value)
    if value is None or value == "":
        return "–"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def words(field: FieldInfo) -> str:
    """The description, with what is secret in bold."""
    description = field.description or ""
    if "SecretStr" not in str(field.annotation):
        return description
    return f"{description.removesuffix('Secret.').rstrip()} **Secret.**"


def tables() -> dict[str, str]:
    """Both tables, by the name in their marker."""
    library = Settings.model_fields
    service = {name: field for name, field in ServiceSettings.model_fields.items() if name not in library}
    return {"library": table(library), "service": table(service)}


def renewed(page: str) -> str:
    """The page with its tables as they should be."""
    for name, rows in tables().items():
        begin = f"<!-- settings of the {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(END)}", re.DOTALL)
        page = pattern.sub(lambda _, begin=begin, rows=rows: f"{begin}\n{rows}\n{END}", page)
    return page


def main() -> int:
    """Write the pages, or only say which of them are out of date."""
    outdated = [path for path in PAGES if renewed(path.read_text()) != path.read_text()]
    for path in outdated:
        sys.stdout.write(f"{path.relative_to(ROOT)}: settings out of date\n")
        if "--check" not in sys.argv:
            path.write_text(renewed(path.read_text()))
    return 1 if outdated and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
