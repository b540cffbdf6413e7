"""Checks a file without any external service: nothing is sent, and no connection is opened."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lco_ingester import steps
from lco_ingester.exceptions import IngesterError
from lco_ingester.file.checks import CheckPolicy
from lco_ingester.file.datafile import DataFile
from lco_ingester.metrics import Metrics
from lco_ingester.record.rules import RecordRules
from lco_ingester.settings import CheckName, Settings

Failure = tuple[CheckName, IngesterError]


@dataclass(frozen=True, slots=True)
class RecordingChecks(CheckPolicy):
    """A check policy that records what happens.

    `counts` says how often each check ran, `places` in which files and members, `warned` which failures were warnings.
    """

    warned: list[Failure] = field(default_factory=list)
    counts: Counter[CheckName] = field(default_factory=Counter)
    places: list[str] = field(default_factory=list)

    def warn(self, name: CheckName, error: IngesterError) -> None:
        self.warned.append((name, error))

    def ran(self, name: CheckName) -> None:
        self.counts[name] += 1
        if self.where not in self.places[-1:]:
            self.places.append(self.where)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of `validate_file`: a `report` for JSON, or the `error`; and `warnings` in both cases."""

    report: dict[str, Any] | None
    error: IngesterError | None
    warnings: list[str]


def validate_file(
    file: DataFile, settings: Settings, now: datetime, metadata: Mapping[str, Any] | None = None
) -> Verdict:
    """Do all checks that come before the upload, except asking the archive for the md5.

    `now` is in UTC without a time zone.
    """
    checks = RecordingChecks.of(settings)
    report, fault = None, None
    try:
        report = _report(file, settings, checks, now, metadata)
    except IngesterError as error:
        fault = error
    return Verdict(report, fault, [f"{error} (check {name}, only a warning)" for name, error in checks.warned])


def _report(
    file: DataFile, settings: Settings, checks: RecordingChecks, now: datetime, metadata: Mapping[str, Any] | None
) -> dict[str, Any]:
    validated = steps.read_frame(file, RecordRules.of(settings), checks, Metrics.off(), metadata)
    steps.refuse_unknown_extension(validated, checks)
    target = steps.stored_object(validated, now, settings.storage_class_old)
    return {
        "path": validated.path,
        "md5": validated.md5,
        "size": validated.fingerprint.size,
        "extension": validated.extension,
        "s3_key": target.key,
        "content_type": target.content_type,
        "storage_class": target.storage_class,
        "warnings": [name for name, _ in checks.warned],
        "record_format": settings.archive_record_format,
        "record": validated.record,
    }
