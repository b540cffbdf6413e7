"""Write the tables of settings: all into docs/settings.md, the most important into README.md.

    python -m docs.generate            writes them
    python -m docs.generate --check    exit code 1 if one of them is out of date

The descriptions are those of the fields in the code. A table stands between `<!-- all settings -->` (or
`<!-- settings that everybody needs -->`) and `<!-- end of settings -->`.
"""

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
ESSENTIAL = (
    "api_root",
    "auth_token",
    "archive_record_format",
    "bucket",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_default_region",
    "aws_endpoint_url_s3",
    "fits_broker",
    "processed_exchange_name",
    "broker_url",
    "crawler_exchange_name",
    "data_roots",
    "log_level",
)
"""What a deployment sets, or looks at once and leaves."""


def table(fields: Mapping[str, FieldInfo]) -> str:
    """One row a setting: the variable, its default as one would type it, who reads it, what it is."""
    rows = [
        f"| `{name.upper()}` | {shown_default(name, field)} | {reader(name)} | {words(field)} |"
        for name, field in fields.items()
    ]
    return "\n".join(["| variable | default | read by | what it is |", "| --- | --- | --- | --- |", *rows])


def reader(name: str) -> str:
    """Who reads a setting: `all` is the library, and with it the command `lco_ingest_frame` and the service."""
    return "all" if name in Settings.model_fields else "service"


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
    """Both tables, by the comment that marks their place."""
    fields = ServiceSettings.model_fields
    return {
        "all settings": table(fields),
        "settings that everybody needs": table({name: fields[name] for name in ESSENTIAL}),
    }


def renewed(page: str) -> str:
    """The page with its tables as they should be."""
    for name, rows in tables().items():
        begin = f"<!-- {name} -->"
        before, found, rest = page.partition(begin)
        if found:
            _, _, after = rest.partition(END)
            page = f"{before}{begin}\n{rows}\n{END}{after}"
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
