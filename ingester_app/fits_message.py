"""The body of a message on the FITS exchange → the path that it names. Pure and total: any body has an answer."""

import json
from dataclasses import dataclass
from pathlib import PurePath

KEYS = ("path", "filename")
LONGEST_BODY = 1_000_000  # bytes; other fields may stand beside the path
LONGEST_PATH = 4095  # bytes: PATH_MAX of Linux, without the zero at the end
LONGEST_NAME = 255  # bytes: NAME_MAX of Linux


@dataclass(frozen=True, slots=True)
class Refused:
    """A body that does not name a file, and why."""

    reason: str


def parse(body: bytes | str) -> str | Refused:
    """The path in a body: JSON `{"path": …}` or `{"filename": …}`, a JSON string, or the bare path. Never raises.

    What cannot be read is refused: an exception would put the message back, and it would fail again.
    """
    try:
        return _parse(body)
    except Exception as error:
        return Refused(f"the body cannot be read: {type(error).__name__}")


def is_ignored(path: str, ignored_chars: tuple[str, ...]) -> bool:
    """Whether the file's name contains one of the texts that mark files to ignore."""
    name = PurePath(path).name
    return any(mark in name for mark in ignored_chars)


def _parse(body: bytes | str) -> str | Refused:
    if len(body) > LONGEST_BODY:
        return Refused(f"the body has {len(body)} bytes, more than {LONGEST_BODY}")
    try:
        text = body.decode() if isinstance(body, bytes) else body
    except UnicodeDecodeError:
        return Refused("the body is not UTF-8 text")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = text  # a bare path is not JSON
    if isinstance(content, dict):
        content = next((content[key] for key in KEYS if content.get(key) is not None), None)
        if content is None:
            return Refused('the body is a JSON object with neither "path" nor "filename"')
    if not isinstance(content, str):
        return Refused(f"the body holds a {type(content).__name__} where a path should be")
    return _path(content.strip())


def _path(path: str) -> str | Refused:
    if not path:
        return Refused("the body is empty")
    if not path.isprintable():  # which a lone surrogate is not either: Python's text for bytes that are not UTF-8
        return Refused("the path has a character that cannot be printed")
    if not path.startswith("/"):  # the worker runs in another directory than the sender
        return Refused("the body is not an absolute path")
    if (size := len(path.encode())) > LONGEST_PATH:
        return Refused(f"the path has {size} bytes, more than {LONGEST_PATH}")
    if any(len(part.encode()) > LONGEST_NAME for part in path.split("/")):
        return Refused(f"a name in the path has more than {LONGEST_NAME} bytes")
    if not PurePath(path).name:
        return Refused("the path does not name a file")
    return path
