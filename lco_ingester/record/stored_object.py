"""The S3 object of a frame: its key and its headers; pure (docs/record.md, "The S3 object")."""

from dataclasses import dataclass
from datetime import timedelta

from lco_ingester.exceptions import HeaderValueError
from lco_ingester.frame import StorageFacts
from lco_ingester.record.values import is_set

OLD = timedelta(days=60)  # an older frame is seldom read


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
        content_disposition=f"attachment; filename={name}",
        storage_class="STANDARD_IA" if age > OLD else "STANDARD",
    )


def _key(facts: StorageFacts, name: str) -> str:
    for keyword, value in facts.key_prefix.items():
        if not is_set(value):
            raise HeaderValueError(check=keyword, expected="a value, for the S3 key", found="none")
    return "/".join([*map(str, facts.key_prefix.values()), facts.folder, name])
