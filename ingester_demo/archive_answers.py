"""Frames and versions as the demo's Archive API shows them: JSON objects, links into S3, lists in pages."""

import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from ingester_demo.archive_frames import Frame, Thumbnail, Version

NO_STORE = "https://s3.invalid/frames"
"""Links begin with this when the archive does not know the URL of the bucket."""

SHOWN_FIELDS = (
    *("RLEVEL", "DAY-OBS", "DATE-OBS", "PROPID", "INSTRUME", "OBJECT", "SITEID", "TELID"),
    *("EXPTIME", "FILTER", "L1PUBDAT", "OBSTYPE", "BLKUID", "REQNUM"),
)
SHOWN_NAMES = {name: name.replace("-", "_") for name in SHOWN_FIELDS}


def frame_answer(frame: Frame, store_url: str, names: Mapping[str, str] = SHOWN_NAMES) -> dict[str, Any]:
    """A frame as `frames/` shows it; `names` gives the name of each field by LCO's keyword."""
    newest = frame.versions[0] if frame.versions else None
    return {
        "id": frame.id,
        "basename": frame.basename,
        "area": _west_and_east(frame.area),
        "related_frames": [],
        "version_set": [version_answer(each, frame, store_url) for each in frame.versions],
        "filename": frame.basename + (newest.extension if newest else ""),
        "url": file_url(frame, newest, store_url) if newest else None,
        **{shown: _shown(name, frame.fields.get(name)) for name, shown in names.items()},
    }


def version_answer(version: Version, frame: Frame, store_url: str) -> dict[str, Any]:
    """A version as `versions/` and a frame's `version_set` show it."""
    return {
        "id": version.id,
        "created": _iso(datetime.fromtimestamp(version.created, UTC)),
        "key": version.key,
        "md5": version.md5,
        "extension": version.extension,
        "url": file_url(frame, version, store_url),
    }


def file_url(frame: Frame, version: Version, store_url: str) -> str:
    """A link to the version's file; each call gives a different one, as with presigned links."""
    query = urlencode({"versionId": _version_id(version.key), "X-Amz-Signature": secrets.token_hex(8)})
    return f"{store_url.rstrip('/')}/{quote(_object_key(frame, version))}?{query}"


def thumbnail_answer(thumbnail: Thumbnail, store_url: str) -> dict[str, Any]:
    """A thumbnail as `thumbnails/` shows it."""
    fields = thumbnail.frame.fields
    name = thumbnail.basename + thumbnail.extension
    object_key = "/".join([*(str(fields.get(each)) for each in ("SITEID", "INSTRUME", "DAY-OBS")), "thumbnails", name])
    query = urlencode({"versionId": _version_id(thumbnail.key), "X-Amz-Signature": secrets.token_hex(8)})
    return {
        "frame": thumbnail.frame.id,
        "size": thumbnail.size,
        "basename": thumbnail.basename,
        "url": f"{store_url.rstrip('/')}/{quote(object_key)}?{query}",
        "key": thumbnail.key,
        "extension": thumbnail.extension,
    }


def _object_key(frame: Frame, version: Version) -> str:
    """The ingester's S3 key: SITEID/INSTRUME/DAY-OBS/raw|processed/…, or SITEID/INSTRUME/bpm/… for a bad-pixel mask."""
    names = {name: str(frame.fields.get(name, "")) for name in ("SITEID", "INSTRUME", "DAY-OBS", "RLEVEL")}
    is_mask = "BPM" in (frame.fields.get("OBSTYPE"), frame.headers.get("EXTNAME")) or re.search(
        r"(^|-)bpm-|-bpm$", frame.basename.replace("_", "-")
    )
    level = "raw" if names["RLEVEL"].strip("0") == "" else "processed"
    folder = "bpm" if is_mask else f"{names['DAY-OBS']}/{level}"
    return f"{names['SITEID']}/{names['INSTRUME']}/{folder}/{frame.basename}{version.extension}"


def _version_id(key: str) -> str:
    """The store's VersionId; the archive has a UUID without dashes, because its field holds 32 characters."""
    return str(uuid.UUID(key)) if re.fullmatch(r"[0-9a-f]{32}", key) else key


def _shown(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in {"DATE-OBS", "L1PUBDAT"}:
        return _iso(datetime.fromisoformat(value))
    if name == "EXPTIME":
        return f"{Decimal(str(value)):.6f}"
    return int(float(value)) if name in {"RLEVEL", "BLKUID", "REQNUM"} else value


def _iso(moment: datetime) -> str:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _west_and_east(area: dict[str, Any] | None) -> dict[str, Any] | None:
    """The archive always answers right ascensions in -180..180 degrees."""
    if area is None:
        return None
    rings = [[[ra - 360 if ra > 180 else ra, dec] for ra, dec in ring] for ring in area["coordinates"]]
    return {"type": "Polygon", "coordinates": rings}


@dataclass(frozen=True)
class Page:
    """A `limit` (default 100, at most 1000) and an `offset`; values that are not numbers are ignored."""

    limit: int
    offset: int

    @classmethod
    def asked_for(cls, arguments: dict[str, str]) -> "Page":
        """The page that a request's query arguments ask for."""
        limit, offset = (_number(arguments.get(name, "")) for name in ("limit", "offset"))
        return cls(limit=min(limit or 100, 1000), offset=offset)

    def answer(self, count: int, results: list[dict[str, Any]], url: str, arguments: dict[str, str]) -> dict[str, Any]:
        """One page of a list, with links to the next and the previous one."""

        def link(offset: int) -> str:
            return f"{url}?{urlencode(arguments | {'limit': str(self.limit), 'offset': str(offset)})}"

        after, before = self.offset + self.limit, max(0, self.offset - self.limit)
        return {
            "count": count,
            "next": link(after) if after < count else None,
            "previous": link(before) if self.offset > 0 else None,
            "results": results,
        }


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
