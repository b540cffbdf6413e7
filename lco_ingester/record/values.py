"""What counts as a value in a header."""

from typing import Any


def is_set(value: Any) -> bool:
    """Whether a keyword has a value: 0 is a value, null and an empty or blank text are not."""
    return value is not None and (not isinstance(value, str) or value.strip() != "")
