"""The text and the traceback of any exception, within limits. Total: nothing here raises."""

import traceback

LONGEST_TEXT = 10_000  # characters
LONGEST_TRACEBACK = 50_000  # characters
MOST_CALLS = 100  # of each traceback in a chain: the last ones


def text_of(error: BaseException) -> str:
    """The message of an exception."""
    try:
        return bounded(str(error), LONGEST_TEXT)
    except Exception as fault:
        return f"{type(error).__name__}, whose text raises {type(fault).__name__}"


def traceback_of(error: BaseException) -> str:
    """The traceback of an exception, with those of its causes."""
    try:
        return bounded("".join(traceback.format_exception(error, limit=-MOST_CALLS)), LONGEST_TRACEBACK)
    except Exception as fault:
        return f"{type(error).__name__}: {text_of(error)} (its traceback raises {type(fault).__name__})"


def bounded(text: str, longest: int) -> str:
    """The text as UTF-8 can hold it; of a longer one the beginning and the end."""
    if (left_out := len(text) - longest) > 0:
        text = f"{text[: longest // 2]} … {left_out} characters left out … {text[-(longest // 2) :]}"
    return text.encode(errors="backslashreplace").decode()
