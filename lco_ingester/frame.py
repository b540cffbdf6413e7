"""What is known of a frame after each step: Named → Validated → Uploaded → Archived; or InArchive on the way there.

The values are frozen and travel in messages, so that a retry or a replay goes on from what is reached: `to_message`
and `from_message` are each other's inverse.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """By what a file is known to be the one that was read: size in bytes, mtime in ns, inode number.

    A stream that is no file on a disk has no mtime and no inode (None).
    """

    size: int
    mtime_ns: int | None = None
    inode: int | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A file's path, and nothing more."""

    path: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is left to be known of the header once the record is made, in whatever format.

    `place`: the keywords that the S3 key begins with, in order, and their values; `section`: the folder that follows.
    `observed` and `ended`, of the exposure, are ISO 8601 in UTC without a time zone.
    """

    place: dict[str, Any]
    section: str
    observed: str
    ended: str


@dataclass(frozen=True, slots=True)
class Validated:
    """The file was read: `md5` (hex) and `fingerprint` of its bytes, the archive `record` and `facts` of its header."""

    path: str
    basename: str
    extension: str
    md5: str
    fingerprint: Fingerprint
    record: Record
    facts: Facts


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Its bytes are in S3 under `version_id` (S3's own, with its dashes)."""

    validated: Validated
    version_id: str


@dataclass(frozen=True, slots=True)
class InArchive:
    """The archive has these bytes already; whose they are is to be settled.

    `version_id` is the one in our hand, if there is one.
    """

    validated: Validated
    version_id: str | None


@dataclass(frozen=True, slots=True)
class Archived:
    """Its record is in the archive: `record` is the posted one plus frameid, filename and url."""

    path: str
    md5: str
    record: Record


Frame = Named | Validated | Uploaded | InArchive | Archived


def path_of(frame: Frame) -> str:
    """The path that the frame was named by."""
    return frame.validated.path if isinstance(frame, (Uploaded, InArchive)) else frame.path


def md5_of(frame: Frame) -> str | None:
    """The md5 (hex) of the frame's bytes; None before they were read."""
    if isinstance(frame, Named):
        return None
    return frame.validated.md5 if isinstance(frame, (Uploaded, InArchive)) else frame.md5


def to_message(frame: Frame) -> dict[str, Any]:
    """The frame as JSON-able data, its state under the key `state`."""
    return {"state": type(frame).__name__.lower(), **asdict(frame)}


def from_message(message: dict[str, Any]) -> Frame:
    """The frame that `to_message` wrote.

    Raises ValueError if the data has another shape.
    """
    fields = dict(message)
    state = fields.pop("state", None)
    try:
        return _READERS[str(state)](fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no frame in state {state!r} can be read from keys {sorted(fields)}") from error


def _validated(fields: dict[str, Any]) -> Validated:
    inner = {"fingerprint": Fingerprint(**fields["fingerprint"]), "facts": Facts(**fields["facts"])}
    return Validated(**{**fields, **inner})


def _uploaded(fields: dict[str, Any]) -> Uploaded:
    return Uploaded(**{**fields, "validated": _validated(fields["validated"])})


_READERS: dict[str, Callable[[dict[str, Any]], Frame]] = {
    "named": lambda fields: Named(**fields),
    "validated": _validated,
    "uploaded": _uploaded,
    "inarchive": lambda fields: InArchive(_validated(fields["validated"]), fields["version_id"]),
    "archived": lambda fields: Archived(**fields),
}
