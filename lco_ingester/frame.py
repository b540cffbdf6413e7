"""What we know of a frame after each step: Named → Validated → Uploaded → Archived, sometimes by way of InArchive.

The values are frozen and travel in messages (`ingester_app/schema.py`), so that a retry or a replay continues from the
last state. An alias is a field's name in messages.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, TypeAdapter

Record = dict[str, Any]
_PLAIN = TypeAdapter(dict[str, JsonValue], config=ConfigDict(allow_inf_nan=False))


def _plain(record: Record) -> Record:
    """The record, if it holds only what JSON can (RFC 8259: no NaN, no infinity)."""
    _PLAIN.validate_python(record)
    return record


def _utc(text: str) -> str:
    """The text, if it is a time in ISO 8601 without a time zone."""
    if datetime.fromisoformat(text).tzinfo is not None:
        raise ValueError("a time without a time zone is expected")
    return text


# The limits are for values in messages, which anybody who may publish on the broker can write.
Path = Annotated[str, Field(min_length=1, max_length=4096)]  # PATH_MAX of Linux
Text = Annotated[str, Field(max_length=1024)]
Md5 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Utc = Annotated[str, Field(max_length=64), AfterValidator(_utc)]
PlainRecord = Annotated[Record, AfterValidator(_plain)]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Identifies the file that was read: size in bytes, mtime in ns, inode number.

    A stream that is not a file on a disk has neither mtime nor inode (None).
    """

    size: Annotated[int, Field(ge=0)]
    mtime_ns: int | None = None
    inode: int | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """Only the path of the file is known."""

    path: Path


@dataclass(frozen=True, slots=True)
class StorageFacts:
    """What later steps need of the header, independent of the record's format.

    `key_prefix` holds the keywords and values with which the S3 key begins, in order; `folder` is the next part of the
    key. `observed` and `ended` are the start and end of the exposure, ISO 8601 in UTC without a time zone.
    """

    key_prefix: Annotated[dict[str, Any], Field(alias="place")]
    folder: Annotated[Text, Field(alias="section")]
    observed: Utc
    ended: Utc


@dataclass(frozen=True, slots=True)
class Validated:
    """The file was read and checked: `md5` (hex) and `fingerprint` of the file, `record` and `facts` of its header."""

    path: Path
    basename: Text
    extension: Text
    md5: Md5
    fingerprint: Fingerprint
    record: PlainRecord
    facts: StorageFacts


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The bytes are in S3 under `version_id` (as S3 writes it, with dashes)."""

    validated: Validated
    version_id: Text


@dataclass(frozen=True, slots=True)
class InArchive:
    """The archive has these bytes already; the duplicate rule decides what follows.

    `version_id` is that of our own upload, or None if we did not upload.
    """

    validated: Validated
    version_id: Text | None


@dataclass(frozen=True, slots=True)
class Archived:
    """The record is in the archive: `record` is the posted one plus frameid, filename and url."""

    path: Path
    md5: Md5
    record: PlainRecord


Frame = Named | Validated | Uploaded | InArchive | Archived


def path_of(frame: Frame) -> str:
    """The path of the frame's file."""
    return frame.validated.path if isinstance(frame, (Uploaded, InArchive)) else frame.path


def md5_of(frame: Frame) -> str | None:
    """The md5 (hex) of the frame's bytes; None if they have not been read yet."""
    if isinstance(frame, Named):
        return None
    return frame.validated.md5 if isinstance(frame, (Uploaded, InArchive)) else frame.md5
