"""What we know of a frame after each step: Named → Validated → Uploaded → Archived, sometimes by way of InArchive.

The values are frozen and travel in messages (`ingester_app/schema.py`), so that a retry or a replay continues from the
last state. An alias is a field's name in messages.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Identifies the file that was read: size in bytes, mtime in ns, inode number.

    A stream that is not a file on a disk has neither mtime nor inode (None).
    """

    size: int
    mtime_ns: int | None = None
    inode: int | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """Only the path of the file is known."""

    path: str


@dataclass(frozen=True, slots=True)
class StorageFacts:
    """What later steps need of the header, independent of the record's format.

    `key_prefix` holds the keywords and values with which the S3 key begins, in order; `folder` is the next part of the
    key. `observed` and `ended` are the start and end of the exposure, ISO 8601 in UTC without a time zone.
    """

    key_prefix: Annotated[dict[str, Any], Field(alias="place")]
    folder: Annotated[str, Field(alias="section")]
    observed: str
    ended: str


@dataclass(frozen=True, slots=True)
class Validated:
    """The file was read and checked: `md5` (hex) and `fingerprint` of the file, `record` and `facts` of its header."""

    path: str
    basename: str
    extension: str
    md5: str
    fingerprint: Fingerprint
    record: Record
    facts: StorageFacts


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The bytes are in S3 under `version_id` (as S3 writes it, with dashes)."""

    validated: Validated
    version_id: str


@dataclass(frozen=True, slots=True)
class InArchive:
    """The archive has these bytes already; the duplicate rule decides what follows.

    `version_id` is that of our own upload, or None if we did not upload.
    """

    validated: Validated
    version_id: str | None


@dataclass(frozen=True, slots=True)
class Archived:
    """The record is in the archive: `record` is the posted one plus frameid, filename and url."""

    path: str
    md5: str
    record: Record


Frame = Named | Validated | Uploaded | InArchive | Archived


def path_of(frame: Frame) -> str:
    """The path of the frame's file."""
    return frame.validated.path if isinstance(frame, (Uploaded, InArchive)) else frame.path


def md5_of(frame: Frame) -> str | None:
    """The md5 (hex) of the frame's bytes; None if they have not been read yet."""
    if isinstance(frame, Named):
        return None
    return frame.validated.md5 if isinstance(frame, (Uploaded, InArchive)) else frame.md5
