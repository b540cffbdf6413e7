"""What counts as a value in a header."""

from typing import Any


def is_set(value: Any) -> bool:
    """Whether a keyword has a value: 0 is a value, null and the empty text are not."""
    return value is not None and value != ""
