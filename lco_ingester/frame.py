"""What is known of a frame after each step: Named → Validated → Uploaded → Archived; or InArchive on the way there.

The values are frozen and travel in messages (`ingester_app/schema.py`), so that a retry or a replay continues from the
state that is reached. An alias is a field's name in messages.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

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
class StorageFacts:
    """What the steps after the first one need of the header, whatever the record's format.

    `key_prefix` holds the keywords that the S3 key begins with, in order, and their values; `folder` is the part of the
    key that follows. `observed` and `ended` are the start and end of the exposure, ISO 8601 in UTC without a time zone.
    """

    key_prefix: Annotated[dict[str, Any], Field(alias="place")]
    folder: Annotated[str, Field(alias="section")]
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
    facts: StorageFacts


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
