"""The library's public functions: one frame, from a file object to an archived and announced record.

    with open(path, "rb") as frame:
        record = upload_file_and_ingest_to_archive(frame)

does all steps; the other functions do them one by one. A file object is any seekable binary stream. If it has no name,
`path` is needed, because the frame's name comes from it. It stays open and keeps its position. An argument that is
None means the setting (docs/settings.md). The errors are those of `lco_ingester.exceptions`.
"""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import IO, Any

from lco_ingester import steps, thumbnails
from lco_ingester.exceptions import AlreadyArchivedError, HeaderMissingError
from lco_ingester.file.checks import CheckPolicy
from lco_ingester.file.datafile import StreamFile
from lco_ingester.file.stream import md5_of_stream
from lco_ingester.frame import InArchive, Record, Uploaded, Validated
from lco_ingester.metrics import Metrics
from lco_ingester.record.build import end_of_exposure, header_of
from lco_ingester.record.rules import Keywords, RecordRules
from lco_ingester.services import Services, open_services
from lco_ingester.settings import Settings, load_settings

Path = str | os.PathLike[str]


def frame_exists(fileobj: IO[bytes], api_root: str | None = None, auth_token: str | None = None) -> bool:
    """Whether the archive holds a version with the md5 of these bytes.

    Raises BackoffRetryError or DoNotRetryError.
    """
    return exists_with(_settings(api_root=api_root, auth_token=auth_token), fileobj)


def validate_fits_and_create_archive_record(
    fileobj: IO[bytes],
    path: Path | None = None,
    required_headers: Iterable[str] | None = None,
    blacklist_headers: Iterable[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Record:
    """Check a frame and return its record, without `version_set`. Nothing is sent.

    `metadata` replaces the header of a file that has none, such as a .pdf, if ARCHIVE_RECORD_FORMAT is ocs.
    Raises DoNotRetryError for a bad frame, RetryError for one that may still be being written.
    """
    settings = _settings(required_headers=required_headers, header_blacklist=blacklist_headers)
    return _read(fileobj, path, settings, metadata).record


def upload_file_to_s3(
    fileobj: IO[bytes],
    path: Path | None = None,
    bucket: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    required_headers: Iterable[str] | None = None,
    blacklist_headers: Iterable[str] | None = None,
) -> Record:
    """Put a frame's bytes into the bucket and return `{'key': VersionId, 'md5': hex, 'extension': '.fits.fz'}`.

    `required_headers` choose the header that the S3 key comes from: pass the same two lists as for the record.
    Raises DoNotRetryError for a bad frame, credentials or bucket; BackoffRetryError if the store fails.
    """
    settings = _settings(bucket=bucket, required_headers=required_headers, header_blacklist=blacklist_headers)
    services = open_services(settings)
    try:
        validated = _read(fileobj, path, settings, metadata)
    except HeaderMissingError:  # its record may have been made with other required_headers
        if required_headers is not None:
            raise
        # An upload needs only these.
        needed = (settings.site_id_key, settings.instrument_id_key, settings.observation_date_key)
        validated = _read(fileobj, path, settings.model_copy(update={"required_headers": needed}), metadata)
    steps.refuse_unknown_extension(validated, CheckPolicy.of(settings))
    uploaded = _upload(validated, StreamFile(fileobj, path), services, settings)
    return {"key": uploaded.version_id, "md5": validated.md5, "extension": validated.extension}


def ingest_archive_record(
    version: Record, record: Record, api_root: str | None = None, auth_token: str | None = None
) -> Record:
    """Post a record with the version that `upload_file_to_s3` returned.

    Returns the record plus `version_set`, `frameid`, `filename` and `url`; the arguments are not changed. Raises
    NonFatalDoNotRetryError if the archive has this md5, DoNotRetryError or BackoffRetryError.
    """
    settings = _settings(api_root=api_root, auth_token=auth_token)
    services = open_services(settings)
    posted = {**record, "version_set": steps.version_set(version["key"], version["md5"], version["extension"])}
    ended = end_of_exposure(header_of(record), Keywords.of(settings))
    archived = steps.post_record(posted, ended, services, _now(), one_try=True)
    if archived is None:
        raise _already_archived(str(record.get("basename", "")), version["md5"])
    return archived


def upload_file_and_ingest_to_archive(
    fileobj: IO[bytes],
    path: Path | None = None,
    required_headers: Iterable[str] | None = None,
    blacklist_headers: Iterable[str] | None = None,
    api_root: str | None = None,
    auth_token: str | None = None,
    bucket: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Record:
    """All steps: check, upload, post, and announce if POSTPROCESS_FILES is on.

    `metadata` replaces the header of a file that has none, such as a .pdf, if ARCHIVE_RECORD_FORMAT is ocs.
    Returns the same as `ingest_archive_record`. Raises NonFatalDoNotRetryError if these bytes are archived already,
    DoNotRetryError, RetryError or BackoffRetryError. After RetryError and BackoffRetryError it is safe to call again.
    After a BrokerUnavailableError the frame is archived but not announced; a second call does not announce it.
    """
    settings = _settings(
        required_headers=required_headers,
        header_blacklist=blacklist_headers,
        api_root=api_root,
        auth_token=auth_token,
        bucket=bucket,
    )
    return ingest_with(settings, fileobj, path, metadata)


def ingest_thumbnail(
    fileobj: IO[bytes],
    size: str,
    metadata: Mapping[str, Any],
    path: Path | None = None,
    frame_basename: str | None = None,
    api_root: str | None = None,
    auth_token: str | None = None,
    bucket: str | None = None,
) -> Record:
    """Upload a small picture of a frame and post it; `size` is `small`, `medium` or `large`.

    `metadata` replaces a header. Without `frame_basename`, the frame's basename comes from the metadata or from the
    picture's name. Returns the record plus `version_set`, `filename` and `url`. It is not announced. Raises
    DoNotRetryError, RetryError or BackoffRetryError; after any of them it is safe to call again.
    """
    settings = _settings(api_root=api_root, auth_token=auth_token, bucket=bucket)
    thumbnail = thumbnails.Thumbnail(size, metadata, frame_basename)
    return ingest_thumbnail_with(settings, fileobj, thumbnail, path)


def exists_with(settings: Settings, fileobj: IO[bytes]) -> bool:
    """`frame_exists`, with all settings given."""
    name = getattr(fileobj, "name", None)
    file = StreamFile(fileobj, path=name if isinstance(name, str) and name else "stream")
    with steps.named(file.path), file.opened() as stream:
        md5, _ = md5_of_stream(stream)
    return open_services(settings).archive.has_version(md5)


def ingest_with(
    settings: Settings, fileobj: IO[bytes], path: Path | None = None, metadata: Mapping[str, Any] | None = None
) -> Record:
    """`upload_file_and_ingest_to_archive`, with all settings given."""
    file = StreamFile(fileobj, path)
    services = open_services(settings)
    with services.metrics.timed("ingester"):
        validated = steps.validate(file, RecordRules.of(settings), CheckPolicy.of(settings), services, metadata)
        if isinstance(validated, InArchive):
            raise _already_archived(file.path, validated.validated.md5)
        uploaded = _upload(validated, file, services, settings)
        archived = steps.post(uploaded, file, services, _now(), one_try=True)
        if isinstance(archived, InArchive):
            raise _already_archived(file.path, validated.md5)
        steps.republish(archived, services.publisher)
    return archived.record


def ingest_thumbnail_with(
    settings: Settings, fileobj: IO[bytes], thumbnail: thumbnails.Thumbnail, path: Path | None = None
) -> Record:
    """`ingest_thumbnail`, with all settings given."""
    file = StreamFile(fileobj, path)
    services = open_services(settings)
    with services.metrics.timed("ingester"):
        rules, checks = RecordRules.of(settings), CheckPolicy.of(settings)
        validated = thumbnails.read_thumbnail(file, rules, checks, services.metrics, thumbnail)
        uploaded = _upload(validated, file, services, settings)
        return thumbnails.post_thumbnail(uploaded, file, services, _now())


def _settings(**overrides: Any) -> Settings:
    """The settings; arguments that were given win."""
    given = {
        # A text is a comma-separated list, as in the environment.
        name: tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else value
        for name, value in overrides.items()
        if value is not None
    }
    return load_settings(Settings, **given)


def _read(fileobj: IO[bytes], path: Path | None, settings: Settings, metadata: Mapping[str, Any] | None) -> Validated:
    file = StreamFile(fileobj, path)
    return steps.read_frame(file, RecordRules.of(settings), CheckPolicy.of(settings), Metrics.off(), metadata)


def _upload(validated: Validated, file: StreamFile, services: Services, settings: Settings) -> Uploaded:
    store, metrics, class_of_old = services.store, services.metrics, settings.storage_class_old
    return steps.upload(validated, file, store, metrics, _now(), may_have_run=False, class_of_old=class_of_old)


def _already_archived(frame: str, md5: str) -> AlreadyArchivedError:
    return AlreadyArchivedError(frame=frame, found=f"md5 {md5} is in the archive already")


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
