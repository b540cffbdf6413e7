"""A simulated store: one bucket with versions."""

import hashlib
import io
from dataclasses import dataclass
from typing import Any, BinaryIO

from lco_ingester import steps
from lco_ingester.exceptions import FileChangedError
from lco_ingester.record.stored_object import StoredObject
from lco_ingester.store import StoredVersion
from tests.simulation.copied import Copied


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of one key, as it is described, and the md5 that its bytes have."""

    key: str
    version: StoredVersion
    true_md5: str


class SimulatedStore(Copied):
    """Answers like `lco_ingester.store.Store`; copied by `copy`, compared by `key`."""

    def __init__(self) -> None:
        self.versions: tuple[Stored, ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        return self.versions

    def put(self, stream: io.RawIOBase | BinaryIO, size: int, md5: str, target: StoredObject) -> str:
        """A new version; bytes of another md5 are refused. The VersionId is a UUID, as of stores other than S3."""
        content = stream.read()
        true_md5 = hashlib.md5(content or b"").hexdigest()
        if true_md5 != md5:
            raise FileChangedError(frame=target.key, found="BadDigest")
        version_id = f"{len(self.versions):08x}-0000-4000-8000-000000000000"
        self.versions += (Stored(target.key, StoredVersion(version_id, md5, size), true_md5),)
        return version_id

    def current_version(self, key: str) -> StoredVersion | None:
        """The newest version of a key."""
        return next((stored.version for stored in reversed(self.versions) if stored.key == key), None)

    def holds(self, version_key: str, md5: str, filename: str) -> bool:
        """Whether the version that the archive knows by this key is of a file of this name with this md5."""
        return any(
            stored.true_md5 == md5
            and steps.version_key(stored.version.version_id) == version_key
            and stored.key.endswith(f"/{filename}")
            for stored in self.versions
        )
