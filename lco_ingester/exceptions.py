"""What can go wrong with a frame, and what to do about it.

    IngesterError
    ├── DoNotRetryError            it will fail again
    │   ├── SettingsError               SETTINGS_WRONG         deployment
    │   ├── FileNameMissingError        FILE_NAME_MISSING      frame
    │   ├── FileOutsideDataRootsError   OUTSIDE_DATA_ROOTS     frame
    │   ├── FileUnreadableError         FILE_UNREADABLE        frame
    │   ├── FileNameUnusableError       FILE_NAME_UNUSABLE     frame
    │   ├── ExtensionNotAcceptedError   EXTENSION_NOT_ACCEPTED frame
    │   ├── NotFitsError                NOT_FITS               frame
    │   ├── FitsStructureError          FITS_STRUCTURE         frame
    │   ├── HeaderUnreadableError       HEADER_UNREADABLE      frame
    │   ├── ExpandsTooFarError          EXPANDS_TOO_FAR        frame
    │   ├── PackageError                PACKAGE_DAMAGED        frame
    │   ├── PackageMemberMissingError   PACKAGE_NO_FRAME       frame
    │   ├── PackageMemberDamagedError   PACKAGE_MEMBER_DAMAGED frame
    │   ├── CompanionError              COMPANION_REFUSED      frame
    │   ├── HookError                   HOOK_FAILED            frame
    │   ├── HookDeploymentError         HOOK_DEPLOYMENT        deployment
    │   ├── HeaderMissingError          HEADER_MISSING         frame
    │   ├── HeaderValueError            HEADER_VALUE           frame
    │   ├── FileTooLargeError           FILE_TOO_LARGE         frame
    │   ├── StoreRefusedError           STORE_REFUSED          frame
    │   ├── StoreDeploymentError        STORE_DEPLOYMENT       deployment
    │   ├── BucketNotVersionedError     BUCKET_NOT_VERSIONED   deployment
    │   ├── ArchiveRefusedError         ARCHIVE_REFUSED        frame
    │   ├── ArchiveDeploymentError      ARCHIVE_DEPLOYMENT     deployment
    │   ├── BrokerDeploymentError       BROKER_DEPLOYMENT      deployment
    │   ├── ProgramError                PROGRAM_ERROR          deployment
    │   └── SupersededError             SUPERSEDED             frame
    ├── RetryError                 the file was not ready: try again
    │   ├── FileMissingError            FILE_MISSING           file not ready
    │   ├── FileSystemUnavailableError  FILE_SYSTEM_UNAVAILABLE   file not ready
    │   ├── TruncatedFrameError         FITS_TRUNCATED         file not ready
    │   │   └── EmptyFileError          FILE_EMPTY             file not ready
    │   ├── ChecksumError               FITS_CHECKSUM          file not ready
    │   ├── TrailingBytesError          FITS_TRAILING          file not ready
    │   ├── GzipDamagedError            GZIP_DAMAGED           file not ready
    │   ├── FileChangedError            FILE_CHANGED           file not ready
    │   └── ArchivedElsewhereError      ARCHIVED_UNDER_ANOTHER_NAME   file not ready
    ├── BackoffRetryError          an external service fails: try later
    │   ├── StoreUnavailableError       STORE_UNAVAILABLE      server
    │   ├── ArchiveUnavailableError     ARCHIVE_UNAVAILABLE    server
    │   │   └── ArchiveFailedError      ARCHIVE_FAILED         server
    │   ├── BrokerUnavailableError      BROKER_UNAVAILABLE     server
    │   ├── OutOfResourcesError         OUT_OF_RESOURCES       server
    │   └── TookTooLongError            TOOK_TOO_LONG          server
    └── NonFatalDoNotRetryError    nothing is wrong
        └── AlreadyArchivedError        ALREADY_ARCHIVED

The four classes in the second column are the *policies*: callers catch these. The leaves say *what* happened. The
word on the right is the kind of failure, by which the service chooses its retry policy (`ingester_app/retry.py`).
"""

from enum import StrEnum
from typing import ClassVar

LONGEST_SIDE = 1000  # characters of `check`, `expected` and `found`


class FailureKind(StrEnum):
    """Where the cause of a failure is: this decides how often and how long the service tries again."""

    SERVER = "server"
    FILE_NOT_READY = "file not ready"
    DEPLOYMENT = "deployment"
    FRAME = "frame"


class IngesterError(Exception):
    """Base class of the errors that this library raises.

    Every field is text and may be empty: `detail` what happened, `frame` the file's name or path, `check` the check
    that failed, `expected` and `found` its two sides, `hint` what to do. `retry_after` is the wait in seconds that a
    server asked for, or None. `was_called` is False if a server is known to be down and was not called. `str(error)`
    puts the texts into one line; `reason` is the stable, machine-readable code.
    """

    reason: ClassVar[str] = "INGESTER_ERROR"
    failure_kind: ClassVar[FailureKind] = FailureKind.FRAME
    default_check: ClassVar[str] = ""
    default_hint: ClassVar[str] = ""

    def __init__(
        self,
        detail: str = "",
        *,
        frame: str = "",
        check: str = "",
        expected: str = "",
        found: str = "",
        hint: str = "",
        retry_after: float | None = None,
        was_called: bool = True,
    ) -> None:
        # Only the positional argument goes to Exception: pickling (Celery's prefork) calls cls(*args) and then
        # restores the other fields from __dict__.
        super().__init__(detail)
        self.detail = detail
        self.frame = frame
        self.check = _bounded(check or self.default_check)
        self.expected = _bounded(expected)
        self.found = _bounded(found)
        self.hint = hint or self.default_hint
        self.retry_after = retry_after
        self.was_called = was_called

    def __str__(self) -> str:
        sides = [f"expected {self.expected}"] if self.expected else []
        sides += [f"found {self.found}"] if self.found else []
        parts = [self.frame, self.check, self.detail, ", ".join(sides)]
        line = ": ".join(part for part in parts if part) or self.reason
        if self.hint:
            line = f"{line.rstrip('.')}. {self.hint}"
        return " ".join(line.split())


def _bounded(text: str) -> str:
    """What a file or a server says may be of any length; logs and letters hold its beginning."""
    return text if len(text) <= LONGEST_SIDE else f"{text[:LONGEST_SIDE]}…"


class DoNotRetryError(IngesterError):
    """It will fail again: a bad file, a refused record, wrong credentials or bucket."""


class RetryError(IngesterError):
    """The file was not ready: try again soon."""

    failure_kind = FailureKind.FILE_NOT_READY


class BackoffRetryError(IngesterError):
    """The network, S3, the Archive API or a broker fails: try later."""

    failure_kind = FailureKind.SERVER


class NonFatalDoNotRetryError(IngesterError):
    """The archive has these bytes already: nothing is wrong, and there is nothing to do."""


class SettingsError(DoNotRetryError):
    """The settings are wrong. The message lists every wrong variable, and never a value."""

    reason = "SETTINGS_WRONG"
    failure_kind = FailureKind.DEPLOYMENT


class FileNameMissingError(DoNotRetryError):
    """A file object without a name, and no path was given."""

    reason = "FILE_NAME_MISSING"
    default_check = "file name"
    default_hint = "Pass the file's name as path=: basename and extension come from it"


class FileOutsideDataRootsError(DoNotRetryError):
    """The named file is not below any of DATA_ROOTS."""

    reason = "OUTSIDE_DATA_ROOTS"
    default_check = "data roots"
    default_hint = "Move the file, or add its directory to DATA_ROOTS"


class FileUnreadableError(DoNotRetryError):
    """The file exists but cannot be read: wrong permissions, a directory, a pipe."""

    reason = "FILE_UNREADABLE"
    default_check = "readable file"
    default_hint = "Repair the file or its permissions, then publish its name again"


class FileNameUnusableError(DoNotRetryError):
    """A name that S3 and the archive cannot hold: not UTF-8, or with control characters."""

    reason = "FILE_NAME_UNUSABLE"
    default_check = "file name"
    default_hint = "Give the file another name and publish that"


class ExtensionNotAcceptedError(DoNotRetryError):
    """An extension that the archive does not know: it would accept the frame, and then fail to list it."""

    reason = "EXTENSION_NOT_ACCEPTED"
    default_check = "file extension"
    default_hint = "Rename the file, or add the extension to ARCHIVE_EXTENSIONS if the archive knows it"


class NotFitsError(DoNotRetryError):
    """The file is not FITS (FITS standard 4.0, section 4.4.1: FITS begins with SIMPLE)."""

    reason = "NOT_FITS"
    default_check = "FITS format"
    default_hint = "Write the file again from its source, then publish its name again"


class FitsStructureError(DoNotRetryError):
    """The file begins as FITS, but a header breaks the standard so that the HDUs cannot be separated."""

    reason = "FITS_STRUCTURE"
    default_check = "FITS structure"
    default_hint = "Write the file again from its source, then publish its name again"


class HeaderUnreadableError(DoNotRetryError):
    """A header with a byte that is not a printable ASCII character (FITS standard 4.0, section 3.2)."""

    reason = "HEADER_UNREADABLE"
    default_check = "header characters"
    default_hint = (
        "Correct the card at its source and publish the name again, or add characters to VALIDATION_WARN_ONLY"
    )


class ExpandsTooFarError(DoNotRetryError):
    """A compressed file unpacks to more than EXPANDED_MAX_BYTES or EXPANDED_MAX_RATIO allow."""

    reason = "EXPANDS_TOO_FAR"
    default_check = "size when unpacked"
    default_hint = "Raise EXPANDED_MAX_BYTES or EXPANDED_MAX_RATIO if the file is right, then publish its name again"


class PackageError(DoNotRetryError):
    """A .tar or .tar.gz package that cannot be read."""

    reason = "PACKAGE_DAMAGED"
    default_check = "tar package"
    default_hint = "Make the package again, then publish its name again"


class PackageMemberMissingError(DoNotRetryError):
    """A package without a frame that describes it (docs/record.md, "Which header")."""

    reason = "PACKAGE_NO_FRAME"
    default_check = "frame inside the package"
    default_hint = "Make the package again with its reduced frame inside, then publish its name again"


class PackageMemberDamagedError(DoNotRetryError):
    """A complete package with a damaged FITS member; `found` quotes the member's error."""

    reason = "PACKAGE_MEMBER_DAMAGED"
    default_check = "package member"
    default_hint = "Make the package again from undamaged files, then publish its name again"


class CompanionError(DoNotRetryError):
    """A file without a header, such as a .pdf or a thumbnail, that comes without the metadata it needs."""

    reason = "COMPANION_REFUSED"
    default_check = "companion file"


class HookError(DoNotRetryError):
    """A site's own file type (entry point group `lco_ingester.records`) refused the file; `check` names it."""

    reason = "HOOK_FAILED"
    default_hint = "Correct the file or the site's entry point, then publish the name again"


class HookDeploymentError(DoNotRetryError):
    """A site's own file type cannot be used, so every file of this type fails; `check` names it."""

    reason = "HOOK_DEPLOYMENT"
    failure_kind = FailureKind.DEPLOYMENT
    default_hint = "Correct or remove the site's entry point"


class HeaderMissingError(DoNotRetryError):
    """No HDU holds all required keywords (docs/record.md, "Which header")."""

    reason = "HEADER_MISSING"
    default_check = "required keywords"
    default_hint = "Correct the header at its source and publish the name again, or change REQUIRED_HEADERS"


class HeaderValueError(DoNotRetryError):
    """A keyword whose value is missing and needed, or impossible in the record."""

    reason = "HEADER_VALUE"
    default_check = "keyword value"
    default_hint = "Correct the header at its source, then publish the name again"


class FileTooLargeError(DoNotRetryError):
    """Larger than an S3 object can be."""

    reason = "FILE_TOO_LARGE"
    default_check = "file size"


class StoreRefusedError(DoNotRetryError):
    """S3 refused this object, and will refuse it again."""

    reason = "STORE_REFUSED"
    default_check = "S3 upload"


class StoreDeploymentError(DoNotRetryError):
    """S3 credentials, endpoint or bucket are wrong: every frame fails like this."""

    reason = "STORE_DEPLOYMENT"
    failure_kind = FailureKind.DEPLOYMENT
    default_check = "S3 access"
    default_hint = "Check BUCKET, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL_S3"


class BucketNotVersionedError(DoNotRetryError):
    """The put returned no VersionId, so the archive could not refer to the stored bytes."""

    reason = "BUCKET_NOT_VERSIONED"
    failure_kind = FailureKind.DEPLOYMENT
    default_check = "S3 versioning"


class ArchiveRefusedError(DoNotRetryError):
    """The Archive API complains about fields of the record; `found` says which and why."""

    reason = "ARCHIVE_REFUSED"
    default_check = "archive record"
    default_hint = "Correct these fields in the header at its source, then publish the name again"


class ArchiveDeploymentError(DoNotRetryError):
    """API_ROOT or AUTH_TOKEN is wrong, or another server answers: every frame fails like this."""

    reason = "ARCHIVE_DEPLOYMENT"
    failure_kind = FailureKind.DEPLOYMENT
    default_check = "Archive API access"
    default_hint = "Check API_ROOT and AUTH_TOKEN"


class BrokerDeploymentError(DoNotRetryError):
    """The broker refuses our user, or has an exchange of this name with another type."""

    reason = "BROKER_DEPLOYMENT"
    failure_kind = FailureKind.DEPLOYMENT
    default_check = "broker access"


class ProgramError(DoNotRetryError):
    """An exception that nobody expected, as `__cause__`: more likely a fault of this release than of one file."""

    reason = "PROGRAM_ERROR"
    failure_kind = FailureKind.DEPLOYMENT
    default_check = "program"
    default_hint = "Send the traceback to the developers; a corrected release archives the frame"


class SupersededError(DoNotRetryError):
    """The file is gone and its S3 key holds a newer reduction; this one was never posted."""

    reason = "SUPERSEDED"
    default_check = "file before the post"
    default_hint = "There is nothing to do if the newer frame is in the archive"


class FileMissingError(RetryError):
    """The named file does not exist (yet)."""

    reason = "FILE_MISSING"
    default_check = "file"
    default_hint = "Put the file back, then publish its name again"


class FileSystemUnavailableError(RetryError):
    """The file system does not give the file: a file server that restarts, a bad disk, a code that we do not know."""

    reason = "FILE_SYSTEM_UNAVAILABLE"
    default_check = "file system"
    default_hint = (
        "Check the disk or the file server, and that it is mounted on this worker; then publish the name again"
    )


class TruncatedFrameError(RetryError):
    """The file ends before its last HDU: it is still being written, or was cut."""

    reason = "FITS_TRUNCATED"
    default_check = "file size"
    default_hint = "Copy the whole file again, then publish its name again"


class EmptyFileError(TruncatedFrameError):
    """A file of zero bytes: not written yet, or a full disk."""

    reason = "FILE_EMPTY"
    default_hint = (
        "Check for free space on the disk where it was written; copy the file again, then publish its name again"
    )


class ChecksumError(RetryError):
    """An HDU whose bytes do not agree with its CHECKSUM or DATASUM (FITS standard 4.0, section 4.4.2.7).

    Not permanent at once: a file that is written into reserved space has its full size from the beginning.
    """

    reason = "FITS_CHECKSUM"
    default_check = "checksum"
    default_hint = (
        "Copy the file again from its source; if a program changed it, let that program update the checksums. "
        "Then publish its name again"
    )


class TrailingBytesError(RetryError):
    """Bytes after the last HDU: an HDU that is still being written, or the rest of an older file."""

    reason = "FITS_TRAILING"
    default_check = "end of file"
    default_hint = "Write the file again from its source, then publish its name again"


class GzipDamagedError(RetryError):
    """Gzip's checksum or structure is wrong; as with ChecksumError, the file may still be being written."""

    reason = "GZIP_DAMAGED"
    default_check = "gzip"
    default_hint = "Copy the file again from its source, then publish its name again"


class FileChangedError(RetryError):
    """The file has changed since it was read."""

    reason = "FILE_CHANGED"
    default_check = "unchanged file"
    default_hint = "Publish the name again when the file is finished"


class ArchivedElsewhereError(RetryError):
    """The archive has these bytes, but no frame of this basename that holds them."""

    reason = "ARCHIVED_UNDER_ANOTHER_NAME"
    default_check = "frame in the archive"
    default_hint = "The same bytes were archived under another name: look the md5 up in the archive"


class StoreUnavailableError(BackoffRetryError):
    """S3 does not answer, answers 5xx, or asks us to slow down."""

    reason = "STORE_UNAVAILABLE"
    default_check = "S3"


class ArchiveUnavailableError(BackoffRetryError):
    """The Archive API does not answer, is busy or fails by its own answer, or answers something that is not JSON."""

    reason = "ARCHIVE_UNAVAILABLE"
    default_check = "Archive API"


class ArchiveFailedError(ArchiveUnavailableError):
    """The Archive API answered 5xx: it may have committed nevertheless."""

    reason = "ARCHIVE_FAILED"


class BrokerUnavailableError(BackoffRetryError):
    """The broker did not accept a message."""

    reason = "BROKER_UNAVAILABLE"
    default_check = "broker"


class OutOfResourcesError(BackoffRetryError):
    """This process or its machine has no memory or no file descriptors left."""

    reason = "OUT_OF_RESOURCES"
    default_check = "resources of the worker"
    default_hint = "Check the memory and the open files of this worker, and their limits"


class TookTooLongError(BackoffRetryError):
    """A worker's soft time limit ended the task."""

    reason = "TOOK_TOO_LONG"
    default_check = "time limit"


class AlreadyArchivedError(NonFatalDoNotRetryError):
    """The archive holds a version with this md5."""

    reason = "ALREADY_ARCHIVED"
    default_check = "archive"
