"""The S3 object of a frame: its key and its headers; pure (docs/record.md, "The S3 object")."""

import re
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from lco_ingester.exceptions import HeaderValueError
from lco_ingester.frame import StorageFacts
from lco_ingester.record.values import is_set

OLD = timedelta(days=60)  # an older frame is seldom read

_UNENCODED = "!#$&+-.^_`|~"  # beside letters and digits: attr-char of RFC 5987, section 3.2.1
_PLAIN = re.compile(f"[A-Za-z0-9{re.escape(_UNENCODED)}]+")  # a token without the three that readers may decode: % ' *
_NOT_QUOTABLE = re.compile(r'[^ -~]|["\\%]')  # what readers of a quoted file name do not agree on


@dataclass(frozen=True, slots=True)
class StoredObject:
    """How a frame is stored: its `key` in the bucket, and the headers that S3 keeps with the bytes."""

    key: str
    content_type: str | None
    content_disposition: str
    storage_class: str


def describe_object(facts: StorageFacts, name: str, content_type: str | None, age: timedelta) -> StoredObject:
    """Key and headers of the object for a file called `name`, of a frame observed `age` ago.

    Raises HeaderValueError if a keyword of the key has no value.
    """
    return StoredObject(
        key=_key(facts, name),
        content_type=content_type,
        content_disposition=_disposition(name),
        storage_class="STANDARD_IA" if age > OLD else "STANDARD",
    )


def _disposition(name: str) -> str:
    """The file's name for whoever downloads it (RFC 6266), in ASCII.

    A name that is not a plain token is there twice: for old readers in quotes, where `_` stands for some characters,
    and exactly, in percent-encoded UTF-8.
    """
    if _PLAIN.fullmatch(name):
        return f"attachment; filename={name}"
    encoded = quote(name, safe=_UNENCODED, errors="replace")
    return f"attachment; filename=\"{_NOT_QUOTABLE.sub('_', name)}\"; filename*=UTF-8''{encoded}"


def _key(facts: StorageFacts, name: str) -> str:
    for keyword, value in facts.key_prefix.items():
        if not is_set(value):
            raise HeaderValueError(check=keyword, expected="a value, for the S3 key", found="none")
    return "/".join([*map(str, facts.key_prefix.values()), facts.folder, name])
