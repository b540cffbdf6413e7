"""The four steps of a frame: validate, upload, post, republish. All decisions are here.

Each step takes a frozen value and returns the next one. Each step may run again at any time. It is not an error if the
archive has the bytes already: the result is `InArchive`, and the duplicate rule decides (docs/design.md).
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from lco_ingester.archive import Archive, DuplicateVersion, Posted
from lco_ingester.exceptions import (
    ArchivedElsewhereError,
    ArchiveFailedError,
    CompanionError,
    ExtensionNotAcceptedError,
    FileChangedError,
    FileMissingError,
    IngesterError,
    OutOfResourcesError,
    StoreDeploymentError,
    SupersededError,
)
from lco_ingester.file.checks import CheckPolicy
from lco_ingester.file.datafile import DataFile, ExactReader, refuse_unusable_name, split_name
from lco_ingester.file.headers.frame_header import Header
from lco_ingester.file.stream import HashingReader
from lco_ingester.file.system_errors import is_of_this_process, read_errors_translated
from lco_ingester.file.types import file_type, headers_by_hook, headers_of
from lco_ingester.frame import Archived, Fingerprint, InArchive, Record, Uploaded, Validated
from lco_ingester.metrics import Metrics
from lco_ingester.printable import printable
from lco_ingester.publisher import Publisher
from lco_ingester.record.build import announcement, build_record, facts_of
from lco_ingester.record.dates import add_date_of_mjd
from lco_ingester.record.rules import RecordRules
from lco_ingester.record.stored_object import StoredObject, describe_object
from lco_ingester.services import Services
from lco_ingester.store import Store

MAX_KEY = 32  # characters in the key of a version (docs/archive-api.md)


@dataclass(frozen=True, slots=True)
class ArchivedByOther:
    """Another process archived these bytes under this name: nothing is left to do. `url` is a link to the frame."""

    path: str
    md5: str
    url: str


@dataclass(frozen=True, slots=True)
class Contents:
    """The result of reading a file: its headers, the md5 (hex) of its bytes, its fingerprint."""

    headers: list[Header]
    md5: str
    fingerprint: Fingerprint


def read_frame(
    file: DataFile,
    rules: RecordRules,
    checks: CheckPolicy,
    metrics: Metrics,
    metadata: Mapping[str, Any] | None = None,
) -> Validated:
    """Read a file once, from first to last byte, check it and make its record. Sends nothing but a metric.

    `metadata` replaces the header of a file that has none. Raises the errors of `file` and `record`.
    """
    contents = read_contents(file, rules, checks, metrics, metadata)
    validated = make_record(contents, file.path, rules, checks)
    # A site's reader opens the file after we hashed it. If the file changed in between, its header does not belong to
    # our md5, and no later step would notice.
    _refuse_changed(file, contents.fingerprint)
    return validated


def read_contents(
    file: DataFile,
    rules: RecordRules,
    checks: CheckPolicy,
    metrics: Metrics,
    metadata: Mapping[str, Any] | None = None,
) -> Contents:
    """The first half of `read_frame`: read a file once and check it."""
    with named(file.path):
        refuse_unusable_name(file.path)
        if metadata is not None:
            _refuse_flat_archive(rules)
        with file.opened() as stream:
            before = file.fingerprint_of(stream)
            try:
                with metrics.timed("ingester.get_md5"):
                    headers, md5, size = _read(stream, before.size, file.path, checks.at(file.path), metadata)
            except IngesterError as error:
                # The error may be of neither the old bytes nor the new ones.
                if file.fingerprint() not in (before, None):
                    raise _changed() from error
                raise
        if size != before.size:
            raise FileChangedError(expected=f"{before.size} bytes", found=f"{size} at its end")
        return Contents(headers, md5, before)


def make_record(contents: Contents, path: str, rules: RecordRules, checks: CheckPolicy) -> Validated:
    """The second half of `read_frame`: make the record. Reads nothing."""
    basename, extension = split_name(path)
    for header in contents.headers if checks.date_from_mjd else ():
        add_date_of_mjd(header, rules.keys.observation_date)
    with named(path):
        record = build_record(contents.headers, basename, extension, rules)
        facts = facts_of(record, rules.keys)
    return Validated(path, basename, extension, contents.md5, contents.fingerprint, record, facts)


def validate(
    file: DataFile,
    rules: RecordRules,
    checks: CheckPolicy,
    services: Services,
    metadata: Mapping[str, Any] | None = None,
) -> Validated | InArchive:
    """Named → Validated, or InArchive if the archive says that it has these bytes.

    Raises ExtensionNotAcceptedError for a new file with an extension that the archive does not know.
    """
    validated = read_frame(file, rules, checks, services.metrics, metadata)
    if services.archive.has_version(validated.md5):
        return InArchive(validated, None)
    refuse_unknown_extension(validated, checks)
    return validated


def refuse_unknown_extension(validated: Validated, checks: CheckPolicy) -> None:
    """Raises ExtensionNotAcceptedError for an extension that is not in ARCHIVE_EXTENSIONS. Case matters."""
    if validated.extension not in checks.archive_extensions:
        raise ExtensionNotAcceptedError(
            frame=validated.path,
            expected="one of " + ", ".join(checks.archive_extensions),
            found=f"{validated.extension!r}, which is the name from its first dot on",
        )


def upload(
    validated: Validated,
    file: DataFile,
    store: Store,
    metrics: Metrics,
    now: datetime,
    may_have_run: bool,
    class_of_old: str,
) -> Uploaded:
    """Validated → Uploaded: put exactly the bytes that were read. `class_of_old` is the storage class of old frames.

    If the step may have run before, it first asks S3 whether the bytes are there. This only saves a version. `now` is
    in UTC without a time zone. Raises FileMissingError, FileChangedError or an error of the store.
    """
    target = stored_object(validated, now, class_of_old)
    size = validated.fingerprint.size
    if may_have_run:
        there = None
        with named(file.path), suppress(StoreDeploymentError):  # the put says it better, if it fails too
            there = store.current_version(target.key)
        if there is not None and (there.md5, there.size) == (validated.md5, size):
            return Uploaded(validated, there.version_id)
    _refuse_changed(file, validated.fingerprint)
    with named(file.path), metrics.timed("ingester.upload_file"), _rated(metrics, size), file.opened() as stream:
        version_id = store.put(ExactReader(stream, size), size, validated.md5, target)
    return Uploaded(validated, version_id)


def post(
    uploaded: Uploaded, file: DataFile, services: Services, now: datetime, *, one_try: bool = False
) -> Archived | InArchive:
    """Uploaded → Archived, or InArchive if the archive refused the md5.

    Looks at the file first, and posts only if it has not changed. `one_try`: see `post_record`.
    Raises FileChangedError, SupersededError, or an error of the store or the archive.
    """
    validated = uploaded.validated
    refuse_outdated(uploaded, file, services.store, now)
    version = version_set(uploaded.version_id, validated.md5, validated.extension)
    ended = datetime.fromisoformat(validated.facts.ended)
    with named(file.path):
        record = post_record({**validated.record, "version_set": version}, ended, services, now, one_try=one_try)
    if record is None:
        return InArchive(validated, uploaded.version_id)
    return Archived(validated.path, validated.md5, record)


def post_record(record: Record, ended: datetime, services: Services, now: datetime, *, one_try: bool) -> Record | None:
    """Post the record of an exposure that ended at `ended`; return the complete record, or None if its md5 is archived.

    The archive may have committed despite a 5xx. With `one_try` we look the frame up before raising; otherwise the
    answer to the retry tells us. Raises an error of the archive.
    """
    [version] = record["version_set"]
    try:
        with services.metrics.timed("ingester.post_frame"):
            answer = services.archive.post_frame(record)
    except ArchiveFailedError:
        frame = services.archive.find_frame(record["basename"]) if one_try else None
        there = _version_in(frame, version["md5"], version["key"])
        if frame is None or there is None or there["key"] != version["key"]:
            raise
        answer = Posted(_as_posted(frame, there))
    if isinstance(answer, DuplicateVersion):
        return None
    services.metrics.send("ingester.ingest_lag", (now - ended).total_seconds())
    return _completed(record, answer.answer)


def resolve_duplicate(found: InArchive, archive: Archive, may_have_run: bool) -> Archived | ArchivedByOther:
    """InArchive → Archived, by the duplicate rule: did we archive these bytes?

    We did if the VersionId is the one of our upload, or we may have if this message may have run before. Then the frame
    may not be announced yet. Otherwise another process archived them. Raises ArchivedElsewhereError if the archive
    shows no frame of this name with these bytes; a lagging replica may do so for a while.
    """
    validated = found.validated
    own_key = None if found.version_id is None else version_key(found.version_id)
    frame = archive.find_frame(validated.basename)
    version = _version_in(frame, validated.md5, own_key)
    if frame is None or version is None:
        raise ArchivedElsewhereError(
            frame=validated.path,
            expected=f"md5 {validated.md5} under {validated.basename}, because the archive has this md5",
            found="a frame with other md5s" if frame else "no such frame",
        )
    posted = _as_posted(frame, version)
    if version["key"] != own_key and not may_have_run:
        return ArchivedByOther(validated.path, validated.md5, posted["url"] or "")
    # All of the archive's: the same bytes may have been stored under another extension, so as another object.
    archived = version_set(version["key"], version["md5"], version["extension"])
    return Archived(validated.path, validated.md5, _completed({**validated.record, "version_set": archived}, posted))


def republish(archived: Archived, publisher: Publisher | None) -> None:
    """Announce the frame. The message id is its md5, so that a consumer can drop a repeat.

    Raises an error of the broker.
    """
    if publisher is None:
        return
    try:
        with named(archived.path):
            publisher.publish(announcement(archived.record), message_id=archived.md5)
    except IngesterError as error:
        error.detail = f"the frame is archived (id {archived.record['frameid']}), but not announced"
        raise


def stored_object(validated: Validated, now: datetime, class_of_old: str = "STANDARD_IA") -> StoredObject:
    """The S3 object of the frame. Raises HeaderValueError if a keyword of the key has no value."""
    age = now - datetime.fromisoformat(validated.facts.observed)
    with named(validated.path):
        content_type = file_type(validated.extension).content_type
        name = validated.basename + validated.extension
        return describe_object(validated.facts, name, content_type, age, class_of_old)


def version_set(version_id: str, md5: str, extension: str) -> list[Record]:
    """The stored version, as a record holds it."""
    return [{"key": version_key(version_id), "md5": md5, "extension": extension}]


def version_key(version_id: str) -> str:
    """The VersionId as the archive can hold it: without dashes, if it is a UUID."""
    return version_id.replace("-", "") if len(version_id) > MAX_KEY else version_id


def _completed(record: Record, answer: Record) -> Record:
    """The complete record, which is returned and announced: with the archive's frame id, filename and url."""
    return {**record, "frameid": answer["id"], "filename": answer.get("filename"), "url": answer.get("url")}


def _version_in(frame: Record | None, md5: str, own_key: str | None) -> Record | None:
    """The frame's version with this md5, if there are several the one with our own key; None if there is none."""
    same = [version for version in frame["version_set"] if version["md5"] == md5] if frame else []
    return next((version for version in same if version["key"] == own_key), same[0] if same else None)


def _as_posted(frame: Record, version: Record) -> Record:
    """What the archive answered when this version was posted.

    The frame's own filename and url are those of its newest version, which may be another one.
    """
    url = version.get("url") or (frame.get("url") if len(frame["version_set"]) == 1 else None)
    return {"id": frame["id"], "filename": f"{frame['basename']}{version['extension']}", "url": url}


def refuse_outdated(uploaded: Uploaded, file: DataFile, store: Store, now: datetime) -> None:
    """Post only a file that has not changed, or one that is gone and was not replaced by a newer version.

    Raises FileChangedError, SupersededError or an error of the store.
    """
    validated = uploaded.validated
    present = file.fingerprint()
    if present == validated.fingerprint:
        return
    with named(validated.path):
        if present is not None:
            raise _changed()
        there = store.current_version(stored_object(validated, now).key)
    if there is None or there.version_id == uploaded.version_id or there.md5 == validated.md5:
        return
    raise SupersededError(
        frame=validated.path, expected=f"version {uploaded.version_id} at its S3 key", found=there.version_id
    )


def _refuse_flat_archive(rules: RecordRules) -> None:
    if rules.archive_record_format != "ocs":
        raise CompanionError(
            expected="an archive of nested (ocs) records, which accepts files with metadata",
            found=f"ARCHIVE_RECORD_FORMAT={rules.archive_record_format}",
            hint="Archives of flat records accept only FITS files and packages",
        )


def _fingerprint(file: DataFile) -> Fingerprint:
    present = file.fingerprint()
    if present is None:
        raise FileMissingError(expected="a file of this path", found="none")
    return present


def _refuse_changed(file: DataFile, before: Fingerprint) -> None:
    with named(file.path):
        if _fingerprint(file) != before:
            raise _changed()


def _changed() -> FileChangedError:
    return FileChangedError(expected="the file as it was read", found="another size, time or inode")


def _read(
    stream: BinaryIO, size: int, path: str, checks: CheckPolicy, metadata: Mapping[str, Any] | None
) -> tuple[list[Header], str, int]:
    """Headers, md5 (hex) and size in bytes of an open file that should have `size` bytes."""
    extension = split_name(path)[1]
    reader = HashingReader(stream, size)
    headers = headers_of(reader, extension, checks, metadata)
    md5, found = reader.finish()
    if headers is None:
        with read_errors_translated():
            stream.seek(0)
        headers = headers_by_hook(stream, extension, path)
    return headers, md5, found


@contextmanager
def named(path: str) -> Iterator[None]:
    """Errors raised inside name the file: `file`, `record` and the adapters do not know its path.

    That our process has reached a limit says nothing about the file, wherever it happens.
    """
    try:
        yield
    except IngesterError as error:
        error.frame = printable(path)
        raise
    except (MemoryError, OSError) as error:
        if not is_of_this_process(error):
            raise
        raise OutOfResourcesError(frame=printable(path), found=str(error)) from error


@contextmanager
def _rated(metrics: Metrics, size: int) -> Iterator[None]:
    start = time.perf_counter()
    yield
    metrics.send("ingester.s3_upload_bytes_per_second", size / max(time.perf_counter() - start, 1e-6))
