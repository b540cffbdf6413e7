"""Thumbnails: small pictures of frames, for archives of nested records (docs/record.md, "Companions")."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lco_ingester.exceptions import CompanionError
from lco_ingester.file.checks import CheckPolicy
from lco_ingester.file.datafile import DataFile, split_name
from lco_ingester.file.types import file_type
from lco_ingester.frame import Record, Uploaded, Validated
from lco_ingester.metrics import Metrics
from lco_ingester.record.build import facts_of
from lco_ingester.record.rules import RecordRules
from lco_ingester.services import Services
from lco_ingester.steps import named, read_frame, refuse_outdated, refuse_unknown_extension, version_set

SIZES = ("small", "medium", "large")
SECTION = "thumbnails"  # the folder in S3


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture: its `size`, the `metadata` that replace a header, and the frame that it shows.

    Without `frame_basename` the metadata name the frame, or the picture's name does: the frame's name and `-<size>`.
    """

    size: str
    metadata: Mapping[str, Any]
    frame_basename: str | None = None


def read_thumbnail(
    file: DataFile, rules: RecordRules, checks: CheckPolicy, metrics: Metrics, thumbnail: Thumbnail
) -> Validated:
    """Read a picture once and make its record. Raises CompanionError, and what `read_frame` does."""
    with named(file.path):
        basename, extension = split_name(file.path)
        kind = file_type(extension)
        if not (kind.content_type or "").startswith("image/") or kind.read_headers is not None:
            raise CompanionError(expected="a .jpg or .jpeg file", found=repr(extension))
        if thumbnail.size not in SIZES:
            raise CompanionError(check="size", expected=" or ".join(SIZES), found=repr(thumbnail.size))
        validated = read_frame(file, rules, checks, metrics, thumbnail.metadata)
        refuse_unknown_extension(validated, checks)
        frame = _frame_basename(thumbnail, basename, rules.keys.thumbnail_frame_filename)
        return replace(
            validated,
            record={**validated.record, "frame_basename": frame, "size": thumbnail.size},
            facts=facts_of(validated.record, rules.keys, SECTION),
        )


def post_thumbnail(uploaded: Uploaded, file: DataFile, services: Services, now: datetime) -> Record:
    """Post an uploaded picture; return its record with `version_set`, `filename` and `url`.

    Raises FileChangedError, SupersededError, or an error of the store or the archive.
    """
    validated = uploaded.validated
    refuse_outdated(uploaded, file, services.store, now)
    version = version_set(uploaded.version_id, validated.md5, validated.extension)
    record = {**validated.record, "version_set": version}
    with named(file.path), services.metrics.timed("ingester.post_frame"):
        answer = services.archive.post_thumbnail(record)
    return {**record, "filename": validated.basename + validated.extension, "url": answer.get("url")}


def _frame_basename(thumbnail: Thumbnail, basename: str, key: str) -> str:
    found = thumbnail.frame_basename or split_name(str(thumbnail.metadata.get(key) or ""))[0]
    if not found and basename.endswith(f"-{thumbnail.size}"):
        found = basename.removesuffix(f"-{thumbnail.size}")
    if not found.strip():
        raise CompanionError(
            check="frame of the thumbnail",
            expected=f"{key} in the metadata, or a name ending in -{thumbnail.size}",
            found="neither",
        )
    return found
