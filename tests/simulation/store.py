"""A simulated store: one bucket with versions."""

import copy
import hashlib
import io
from dataclasses import dataclass
from typing import Any, BinaryIO

from lco_ingester.exceptions import FileChangedError
from lco_ingester.store import StoredObject, StoredVersion


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of one key."""

    key: str
    version: StoredVersion


class SimulatedStore:
    """As `lco_ingester.store.Store` answers; copied by `copy`, compared by `key`."""

    def __init__(self) -> None:
        self.versions: tuple[Stored, ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        return self.versions

    def copy(self) -> "SimulatedStore":
        return copy.copy(self)

    def put(self, stream: io.RawIOBase | BinaryIO, size: int, md5: str, target: StoredObject) -> str:
        """A new version; bytes of another md5 are refused. The VersionId is a UUID, as of stores other than S3."""
        content = stream.read()
        if hashlib.md5(content or b"").hexdigest() != md5:
            raise FileChangedError(frame=target.key, found="BadDigest")
        version_id = f"{len(self.versions):08x}-0000-4000-8000-000000000000"
        self.versions += (Stored(target.key, StoredVersion(version_id, md5, size)),)
        return version_id

    def current_version(self, key: str) -> StoredVersion | None:
        """The newest version of a key."""
        return next((stored.version for stored in reversed(self.versions) if stored.key == key), None)
