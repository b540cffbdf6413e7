# ruff: noqa: S608 - only constants of this file are put into SQL text; values are bound
"""Frames and their versions in SQLite: the storage of the demo's Archive API.

The database itself keeps VersionId and md5 unique, so that of identical POSTs at the same moment exactly one is
accepted.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ingester_demo.archive_frames import ClashError, Frame, Posting, Thumbnail, Version

SCHEMA = """
CREATE TABLE IF NOT EXISTS frames (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    basename TEXT NOT NULL UNIQUE,
    area TEXT NOT NULL,
    fields TEXT NOT NULL,
    headers TEXT NOT NULL,
    created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    frame_id INTEGER NOT NULL REFERENCES frames(id),
    key TEXT NOT NULL UNIQUE,
    md5 TEXT NOT NULL UNIQUE,
    extension TEXT NOT NULL,
    created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS thumbnails (
    basename TEXT PRIMARY KEY,
    frame_id INTEGER NOT NULL REFERENCES frames(id),
    size TEXT NOT NULL,
    key TEXT NOT NULL,
    extension TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS versions_by_frame ON versions(frame_id);
"""

# A frame without a date of observation is accepted and then never shown, as in the real archive.
VISIBLE = "json_extract(fields, '$.\"DATE-OBS\"') IS NOT NULL AND created <= :before"


class ArchiveStore:
    """The archive in the SQLite file `database`; may be used from many threads at once.

    The methods that read show only what is older than `lag_seconds`, like a replica that lags.
    """

    def __init__(self, database: str | Path, lag_seconds: float = 0.0) -> None:
        self._database = str(database)
        self._lag = lag_seconds
        # This connection stays open unused: SQLite empties the write-ahead log when the last connection closes, and
        # then every request would wait for a sync of the disk.
        self._anchor = sqlite3.connect(self._database, check_same_thread=False)
        self._anchor.execute("PRAGMA journal_mode=WAL")
        self._anchor.executescript(SCHEMA)

    def post(self, posted: Posting) -> Frame:
        """Store a checked record as a new frame, or as a new version of the frame of that basename.

        Raises ClashError, with nothing stored, if a key or an md5 is already there.
        """
        with self._connection() as database:
            database.execute("BEGIN IMMEDIATE")
            found = _clashes(database, posted.version_set)
            if any(found):
                raise ClashError(found)
            frame_id = _put_frame(database, posted)
            database.executemany(
                "INSERT INTO versions (frame_id, key, md5, extension, created) VALUES (?, ?, ?, ?, ?)",
                [
                    (frame_id, str(each["key"]), str(each["md5"]), str(each["extension"]), time.time())
                    for each in posted.version_set
                ],
            )
            frame = _load(database, "id = :id", {"id": frame_id, "before": time.time()})[0]
            database.execute("COMMIT")
        return frame

    def post_thumbnail(self, posted: Posting, frame_basename: str, size: str) -> Thumbnail:
        """Store a checked thumbnail; it replaces one with the same name. Its frame is made if it does not exist."""
        [version] = posted.version_set
        with self._connection() as database:
            database.execute("BEGIN IMMEDIATE")
            row = database.execute("SELECT id FROM frames WHERE basename = ?", (frame_basename,)).fetchone()
            frame_id = row[0] if row else _put_frame(database, replace(posted, basename=frame_basename))
            database.execute(
                "INSERT OR REPLACE INTO thumbnails (basename, frame_id, size, key, extension) VALUES (?, ?, ?, ?, ?)",
                (posted.basename, frame_id, size, str(version["key"]), str(version["extension"])),
            )
            database.execute("COMMIT")
        return next(each for each in self.thumbnails() if each.basename == posted.basename)

    def thumbnails(self) -> list[Thumbnail]:
        """All thumbnails, without lag."""
        with self._connection() as database:
            rows = database.execute("SELECT frame_id, basename, size, key, extension FROM thumbnails").fetchall()
            now = time.time()
            frames = [_load(database, "id = :id", {"id": row[0], "before": now})[0] for row in rows]
        return [Thumbnail(frame, *row[1:]) for frame, row in zip(frames, rows, strict=True)]

    def clashes(self, version_set: list[Any]) -> list[dict[str, list[str]]]:
        """The key and md5 of each version that are already in the archive, without lag."""
        with self._connection() as database:
            return _clashes(database, version_set)

    def frame(self, frame_id: int) -> Frame | None:
        """The frame with this id, if the archive shows it."""
        with self._connection() as database:
            found = _load(database, f"id = :id AND {VISIBLE}", {"id": frame_id, "before": self._before()})
        return found[0] if found else None

    def frames(
        self, contains: str = "", exactly: str | None = None, limit: int = 100, offset: int = 0
    ) -> tuple[int, list[Frame]]:
        """The number of frames that match, and at most `limit` of them from `offset` on, the newest first."""
        where = f"instr(basename, :contains) AND (:exactly IS NULL OR basename = :exactly) AND {VISIBLE}"
        values = {"contains": contains, "exactly": exactly, "before": self._before()}
        page = {"limit": limit, "offset": offset}
        with self._connection() as database:
            count = database.execute(f"SELECT count(*) FROM frames WHERE {where}", values).fetchone()[0]
            paged = f"{where} ORDER BY id DESC LIMIT :limit OFFSET :offset"
            return count, _load(database, paged, values | page)

    def versions(self, md5: str | None = None, limit: int = 100, offset: int = 0) -> tuple[int, list[Version]]:
        """The number of versions (with this md5, if given), and one page of them, the newest first."""
        where = "(:md5 IS NULL OR md5 = :md5) AND created <= :before"
        values: dict[str, Any] = {"md5": md5, "before": self._before()}
        page = {"limit": limit, "offset": offset}
        with self._connection() as database:
            count = database.execute(f"SELECT count(*) FROM versions WHERE {where}", values).fetchone()[0]
            rows = database.execute(
                "SELECT id, key, md5, extension, created FROM versions "
                f"WHERE {where} ORDER BY id DESC LIMIT :limit OFFSET :offset",
                values | page,
            ).fetchall()
        return count, [Version(*row) for row in rows]

    def owner(self, version_id: int) -> Frame:
        """The frame of a version, whether the archive shows it or not."""
        with self._connection() as database:
            where = "id = (SELECT frame_id FROM versions WHERE versions.id = :id)"
            return _load(database, where, {"id": version_id, "before": time.time()})[0]

    def _before(self) -> float:
        return time.time() - self._lag

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A new connection; when it closes, what is not committed is rolled back."""
        connection = sqlite3.connect(self._database, timeout=30, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous=NORMAL")
            yield connection
        finally:
            connection.close()


def _clashes(database: sqlite3.Connection, version_set: list[Any]) -> list[dict[str, list[str]]]:
    return [
        {
            name: [f"version with this {name} already exists."]
            for name in ("key", "md5")
            if database.execute(f"SELECT 1 FROM versions WHERE {name} = ?", (str(each[name]),)).fetchone()
        }
        for each in version_set
    ]


def _put_frame(database: sqlite3.Connection, posted: Posting) -> int:
    """Insert or update a frame: headers are replaced, but a field that the new record lacks keeps its value."""
    row = database.execute("SELECT fields FROM frames WHERE basename = ?", (posted.basename,)).fetchone()
    fields = (json.loads(row[0]) if row else {}) | posted.fields
    stored = database.execute(
        "INSERT INTO frames (basename, area, fields, headers, created) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (basename) DO UPDATE SET area = excluded.area, fields = excluded.fields, "
        "headers = excluded.headers RETURNING id",
        (posted.basename, json.dumps(posted.area), json.dumps(fields), json.dumps(posted.headers), time.time()),
    )
    return int(stored.fetchone()[0])


def _load(database: sqlite3.Connection, where: str, values: dict[str, Any]) -> list[Frame]:
    rows = database.execute(
        f"SELECT id, basename, area, fields, headers, created FROM frames WHERE {where}", values
    ).fetchall()
    return [
        Frame(
            frame_id,
            basename,
            json.loads(area),
            json.loads(fields),
            json.loads(headers),
            created,
            _versions_of(database, frame_id, values["before"]),
        )
        for frame_id, basename, area, fields, headers, created in rows
    ]


def _versions_of(database: sqlite3.Connection, frame_id: int, before: float) -> tuple[Version, ...]:
    rows = database.execute(
        "SELECT id, key, md5, extension, created FROM versions WHERE frame_id = ? AND created <= ? ORDER BY id DESC",
        (frame_id, before),
    ).fetchall()
    return tuple(Version(*row) for row in rows)
