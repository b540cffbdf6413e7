"""A simulated archive: frames by basename, versions by md5, and replicas that lag."""

from dataclasses import dataclass
from typing import Any

from lco_ingester.archive import DuplicateVersion, Posted
from lco_ingester.exceptions import ArchiveDeploymentError
from lco_ingester.frame import Record
from tests.simulation.copied import Copied


@dataclass(frozen=True, slots=True)
class Row:
    """One version: its VersionId and md5, the frame it belongs to, when it was posted, and whether by someone else."""

    key: str
    md5: str
    extension: str
    basename: str
    posted: float
    by_other: bool = False

    @property
    def filename(self) -> str:
        """The name of the version's file."""
        return self.basename + self.extension

    @property
    def url(self) -> str:
        """The link to the version."""
        return f"http://archive/{self.filename}?version={self.key}"


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One frame, and the md5 of the version whose record it shows: the one posted last."""

    id: int
    basename: str
    shows: str


class SimulatedArchive(Copied):
    """Answers like `lco_ingester.archive.Archive`; copied by `copy`, compared by `key`.

    `lag`: seconds for which a read may be answered by a replica that does not know what was posted. `page`: only so
    many of the newest versions are shown, whatever the md5 (None: the filter by md5 works).
    """

    def __init__(self, lag: float = 0.0, page: int | None = None) -> None:
        self.rows: tuple[Row, ...] = ()
        self.frames: tuple[FrameRow, ...] = ()
        self._lag = lag
        self._page = page

    def key(self, now: float) -> tuple[Any, ...]:
        """What distinguishes its state; the age of a post matters while replicas lag."""
        lagging = tuple(max(0.0, row.posted + self._lag - now) for row in self.rows)
        return tuple((row.key, row.md5, row.basename) for row in self.rows), lagging, self.frames

    def has_version(self, md5: str, now: float = 0.0, *, stale: bool = False) -> bool:
        """Whether versions/ shows this md5."""
        rows = self._seen(now, stale)
        shown = rows if self._page is None else rows[max(0, len(rows) - self._page) :]
        return any(row.md5 == md5 for row in shown)

    def find_frame(self, basename: str, now: float = 0.0, *, stale: bool = False) -> Record | None:
        """The frame that frames/ shows under this basename."""
        rows = [row for row in self._seen(now, stale) if row.basename == basename]
        frame = next((frame for frame in self.frames if frame.basename == basename), None)
        return None if frame is None or not rows else _shown(frame, rows)

    def post_frame(self, record: Record, now: float = 0.0, *, by_other: bool = False) -> Posted | DuplicateVersion:
        """A new frame, or a new version of the one of this basename; a known md5 or key is refused."""
        [version] = record["version_set"]
        if any(row.md5 == version["md5"] for row in self.rows):
            return DuplicateVersion()
        if any(row.key == version["key"] for row in self.rows):
            raise ArchiveDeploymentError(found="400 version with this key already exists.")
        basename = record["basename"]
        self.rows += (Row(version["key"], version["md5"], version["extension"], basename, now, by_other),)
        known = next((frame for frame in self.frames if frame.basename == basename), None)
        frame = FrameRow(known.id if known else len(self.frames) + 1, basename, version["md5"])
        self.frames = (*(each for each in self.frames if each.basename != basename), frame)
        return Posted(_shown(frame, [row for row in self.rows if row.basename == basename]))

    def may_lag(self, call: str, about: str, now: float) -> bool:
        """Whether a lagging replica would answer this read differently now."""
        if all(row.posted + self._lag <= now for row in self.rows):
            return False
        read = self.has_version if call == "has_version" else self.find_frame
        return read(about, now, stale=True) != read(about, now)

    def version(self, md5: str) -> Row | None:
        """The version with this md5."""
        return next((row for row in self.rows if row.md5 == md5), None)

    def _seen(self, now: float, stale: bool) -> list[Row]:
        return [row for row in self.rows if not stale or row.posted + self._lag <= now]


def _shown(frame: FrameRow, rows: list[Row]) -> Record:
    versions = [{"key": row.key, "md5": row.md5, "extension": row.extension, "url": row.url} for row in reversed(rows)]
    return {
        "id": frame.id,
        "basename": frame.basename,
        "version_set": versions,
        "filename": rows[-1].filename,
        "url": rows[-1].url,
    }
