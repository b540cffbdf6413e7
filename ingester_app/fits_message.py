"""The body of a message on the FITS exchange → the path that it names. Pure: no I/O."""

import json
from dataclasses import dataclass
from pathlib import PurePath

KEYS = ("path", "filename")


@dataclass(frozen=True, slots=True)
class Refused:
    """A body that does not name a file, and why."""

    reason: str


def parse(body: bytes | str) -> str | Refused:
    """The path in a body: JSON `{"path": …}` or `{"filename": …}`, a JSON string, or the bare path."""
    try:
        text = body.decode() if isinstance(body, bytes) else body
    except UnicodeDecodeError:
        return Refused("the body is not UTF-8 text")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = text  # a bare path is not JSON
    if isinstance(content, dict):
        content = next((content[key] for key in KEYS if key in content), None)
        if content is None:
            return Refused('the body is a JSON object with neither "path" nor "filename"')
    return _path(content)


def is_ignored(path: str, ignored_chars: tuple[str, ...]) -> bool:
    """Whether the file's name contains one of the texts that mark files to ignore."""
    name = PurePath(path).name
    return any(mark in name for mark in ignored_chars)


def _path(content: object) -> str | Refused:
    if not isinstance(content, str):
        return Refused(f"the body holds a {type(content).__name__} where a path should be")
    path = content.strip()
    if not path:
        return Refused("the body is empty")
    if "\0" in path or "\n" in path or path[0] in "{[<":
        return Refused("the body is not a path")
    if not PurePath(path).name:
        return Refused("the path does not name a file")
    return path
