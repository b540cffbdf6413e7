"""The data of the demo's archive: frames and their versions, as plain values."""

from dataclasses import dataclass
from typing import Any


class ClashError(Exception):
    """A version's key or md5 is already in the archive; `found` names them, one dictionary a version."""

    def __init__(self, found: list[dict[str, list[str]]]) -> None:
        super().__init__(found)
        self.found = found


@dataclass(frozen=True)
class Version:
    """One stored file of a frame; `created` in seconds since 1970."""

    id: int
    key: str
    md5: str
    extension: str
    created: float


@dataclass(frozen=True)
class Posting:
    """A checked record, flat or nested: `fields` are the archive's columns by LCO's keywords, `headers` what it shows.

    `fields` holds only what the record has.
    """

    basename: str
    area: dict[str, Any] | None
    version_set: list[dict[str, Any]]
    fields: dict[str, Any]
    headers: dict[str, Any]


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of a frame, in its one version."""

    frame: "Frame"
    basename: str
    size: str
    key: str
    extension: str


@dataclass(frozen=True)
class Frame:
    """One archived frame, its versions newest first; `created` in seconds since 1970."""

    id: int
    basename: str
    area: dict[str, Any] | None
    fields: dict[str, Any]
    headers: dict[str, Any]
    created: float
    versions: tuple[Version, ...]
