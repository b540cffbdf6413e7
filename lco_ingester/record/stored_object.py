"""The S3 object of a frame: its key and its headers; pure (docs/record.md, "The S3 object")."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from lco_ingester.exceptions import HeaderValueError
from lco_ingester.frame import StorageFacts
from lco_ingester.record.values import is_set

MAX_KEY_BYTES = 1024  # S3 documentation, "Naming Amazon S3 objects"
_NOT_IN_A_NAME = "/"
_NOT_IN_A_VALUE = "/\\"
OLD = timedelta(days=60)  # an older frame is seldom read

_UNENCODED = "!#$&+-.^_`|~"  # beside letters and digits: attr-char of RFC 5987, section 3.2.1
_PLAIN = re.compile(f"[A-Za-z0-9{re.escape(_UNENCODED)}]+")  # a token without the three that readers may decode: % ' *
_NOT_QUOTABLE = re.compile(r'[^ -~]|["\\%]')  # what readers of a quoted file name do not agree on


@dataclass(frozen=True, slots=True)
class StoredObject:
    """How a frame is stored: its `key` in the bucket, and the headers that S3 keeps with the bytes.

    No storage class is sent if it is empty: then the store chooses one.
    """

    key: str
    content_type: str | None
    content_disposition: str
    storage_class: str


def describe_object(
    facts: StorageFacts, name: str, content_type: str | None, age: timedelta, class_of_old: str = "STANDARD_IA"
) -> StoredObject:
    """Key and headers of the object for a file called `name`, of a frame observed `age` ago.

    `class_of_old` is the storage class of old frames.

    Raises HeaderValueError if a keyword of the key has no value, or one that cannot be a part of a key.
    """
    return StoredObject(
        key=_key(facts, name),
        content_type=content_type,
        content_disposition=_disposition(name),
        storage_class=class_of_old if age > OLD else "STANDARD",
    )


def _disposition(name: str) -> str:
    """The file name of a download (RFC 6266), in ASCII.

    A name that is not a plain token is there twice: for old readers in quotes, where `_` stands for some characters,
    and exactly, in percent-encoded UTF-8.
    """
    if _PLAIN.fullmatch(name):
        return f"attachment; filename={name}"
    encoded = quote(name, safe=_UNENCODED, errors="replace")
    return f"attachment; filename=\"{_NOT_QUOTABLE.sub('_', name)}\"; filename*=UTF-8''{encoded}"


def _key(facts: StorageFacts, name: str) -> str:
    values = [*facts.key_prefix.items(), ("folder", facts.folder)]
    segments = [_segment(what, value, _NOT_IN_A_VALUE) for what, value in values]
    key = "/".join([*segments, _segment("file name", name, _NOT_IN_A_NAME)])
    if len(key.encode()) > MAX_KEY_BYTES:
        raise HeaderValueError(check="S3 key", expected=f"at most {MAX_KEY_BYTES} bytes", found=f"{len(key.encode())}")
    return key


def _segment(what: str, value: Any, forbidden: str) -> str:
    """The value of `what` as a part of the key between two slashes.

    Raises HeaderValueError for a value that would make several parts or another folder, or cannot be shown, as a mark
    of the writing direction. Blanks and all other characters are good names.
    """
    if not is_set(value):
        raise HeaderValueError(check=what, expected="a value, for the S3 key", found="none")
    is_name = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    name = str(value) if is_name else "/"
    if not name.isprintable() or name.strip() in (".", "..") or set(forbidden) & set(name):
        raise HeaderValueError(
            check=what,
            expected="a name for the S3 key: printable, without slash and backslash, and neither . nor ..",
            found=ascii(value)[:200],
        )
    return name
