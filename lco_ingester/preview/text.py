"""The sections of an explanation, as lines of text."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from lco_ingester.exceptions import FailureKind, IngesterError
from lco_ingester.file.datafile import DataFile, split_name
from lco_ingester.file.package import FRAME_MARKS, is_frame, read_package
from lco_ingester.file.types import FileType, OurType
from lco_ingester.frame import Record, Validated
from lco_ingester.preview.inspection import RecordingChecks
from lco_ingester.preview.sketch import sketch
from lco_ingester.printable import printable
from lco_ingester.record.cleanup import UNCHANGED, Doubt
from lco_ingester.record.dates import parse_date
from lco_ingester.record.footprint import Outline
from lco_ingester.record.rules import RecordRules
from lco_ingester.record.stored_object import OLD, StoredObject
from lco_ingester.settings import CheckName, Settings
from lco_ingester.steps import Contents

_ABSENT = "(absent)"
_LONGEST_VALUE = 80  # characters
_FORMATS = {
    "lco": "flat (ARCHIVE_RECORD_FORMAT=lco): the cleaned header itself",
    "ocs": "nested (ARCHIVE_RECORD_FORMAT=ocs): the cleaned header under `headers`, and fields for the archive",
}


def of_file(
    file: DataFile, kind: FileType | OurType, contents: Contents | None, checks: RecordingChecks
) -> Iterator[str]:
    """Name, size, md5 and kind."""
    basename, extension = split_name(file.path)
    yield printable(file.path)
    yield f"  basename {basename!r}, extension {extension!r}"
    if contents is not None:
        yield f"  {contents.fingerprint.size} bytes, md5 {contents.md5}"
    yield f"  read as {_kind(kind)}"
    members = (place[len(file.path) + 1 :] for place in checks.places)
    if member := next(filter(is_frame, members), ""):
        yield f"  header from {member}, its first member named *{', *'.join(FRAME_MARKS)}"


def _kind(kind: FileType | OurType) -> str:
    if kind.read_headers is None:
        return f"a companion without a header ({kind.content_type}), with metadata"
    if isinstance(kind, FileType):
        return "a site's own type of file"
    return "a package" if kind.read_headers is read_package else "FITS, unpacked if gzipped"


def of_checks(checks: RecordingChecks, was_read: bool) -> Iterator[str]:
    """Every check and its result; `was_read`: the file was read to its end."""
    yield ""
    yield f"Checks (VALIDATION={checks.validation})"
    for name in get_args(CheckName):
        errors = [error for each, error in checks.warned if each == name]
        if not errors:
            yield f"  {name:<10} {_without_error(checks, name, was_read)}"
        for error in errors:
            result = "only a warning" if name in checks.validation_warn_only else "failed"
            yield f"  {name:<10} {result}: {error}"


def _without_error(checks: RecordingChecks, name: CheckName, was_read: bool) -> str:
    if not checks.is_enabled(name):
        return f"not made, because VALIDATION={checks.validation}"
    if checks.counts[name]:
        return f"passed, {checks.counts[name]} times" if checks.counts[name] > 1 else "passed"
    is_short = any(each == "size" for each, _ in checks.warned)
    return "does not apply to this file" if was_read and not is_short else "not reached"


def of_assumption(failure: IngesterError | None) -> Iterator[str]:
    """A notice that the rest is hypothetical."""
    if failure is not None:
        yield ""
        yield "The rest shows what would happen if this check did not fail."


def of_headers(names: Sequence[str], lists: Sequence[tuple[str, ...]], rules: RecordRules) -> Iterator[str]:
    """Which HDU gives the header, and what the HDUs before it lack."""
    yield ""
    yield "Header: the first HDU with all of " + ", ".join(rules.required_headers)
    is_found = False
    for number, (extension, missing) in enumerate(zip(names, lists, strict=True)):
        name = f"  HDU {number} {extension}".rstrip()
        if is_found:
            yield f"{name}: not needed"
        elif missing:
            yield f"{name}: lacks {', '.join(missing)}"
        else:
            yield f"{name}: has all of them, and gives the record's header"
            is_found = True


def of_blacklist(keywords: Sequence[str]) -> Iterator[str]:
    """The first rule: keywords that are left out."""
    yield ""
    yield "Rules that changed the header (docs/record.md, Clean-up)"
    if keywords:
        yield f"  blacklist: left out by HEADER_BLACKLIST: {', '.join(keywords)}"


def of_rule(name: str, why: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What a rule has changed: old and new values, and the reason. Nothing, if it changed nothing."""
    changed = [keyword for keyword in {**before, **after} if _value(before, keyword) != _value(after, keyword)]
    if not changed and why != UNCHANGED and not isinstance(why, Doubt):
        return
    yield f"  {name}: {why}{' (logged as a warning)' if isinstance(why, Doubt) else ''}"
    for keyword in changed:
        yield f"    {keyword}: {_value(before, keyword)} → {_value(after, keyword)}"


def _value(header: Mapping[str, Any], keyword: str) -> str:
    if keyword not in header:
        return _ABSENT
    written = json.dumps(header[keyword])
    return written if len(written) <= _LONGEST_VALUE else f"{written[:_LONGEST_VALUE]}…"


def of_public_date(value: Any, now: datetime) -> Iterator[str]:
    """When the frame becomes public; the rule above gives the reason."""
    yield ""
    try:
        date = parse_date(str(value))
    except ValueError:
        yield f"Public: {value!r}, which is not a readable date"
        return
    yield f"Public: {'since' if date <= now else 'from'} {value} UTC" + (
        "" if date <= now else f", in {(date - now).days} days"
    )


def of_area(area: Outline) -> Iterator[str]:
    """A sketch of the polygon, or the reason why there is none."""
    yield ""
    warned = " (logged as a warning)" if area.is_invalid else ""
    yield f"Area: {'none: ' if area.polygon is None else ''}{area.why}{warned}"
    for line in sketch(area.polygon) if area.polygon else ():
        yield f"  {line}".rstrip()


def of_format(record: Record, form: str) -> Iterator[str]:
    """The format of the record."""
    yield ""
    yield f"Record: {_FORMATS[form]}; {len(record)} fields, and version_set after the upload"


def of_object(target: StoredObject, validated: Validated, bucket: str, now: datetime) -> Iterator[str]:
    """The object in S3."""
    days = (now - datetime.fromisoformat(validated.facts.observed)).days
    yield ""
    yield "S3 object"
    yield f"  bucket              {bucket}"
    yield f"  key                 {target.key}"
    yield f"                      from {', '.join(validated.facts.key_prefix)}, then {validated.facts.folder}"
    yield f"  content type        {target.content_type or 'none for this extension'}"
    yield f"  content disposition {target.content_disposition}"
    yield f"  storage class       {target.storage_class or 'none'}: observed {days} days ago, the limit is {OLD.days}"


def of_services(settings: Settings) -> Iterator[str]:
    """What an ingest would do with the file."""
    announced = f"announced on {settings.processed_exchange_name}" if settings.postprocess_files else "not announced"
    yield ""
    yield f"It would be uploaded, posted to {settings.api_root} and {announced}, unless the archive has this md5."
    yield "Nothing was sent, and the archive was not asked."


def of_failure(error: IngesterError) -> Iterator[str]:
    """What the service would do after this error."""
    then = {
        FailureKind.FILE_NOT_READY: "retried, because it may still be being written, and then becomes a dead letter",
        FailureKind.FRAME: "not retried, and becomes a dead letter",
    }
    yield ""
    yield f"It would not be archived, {error.reason}. In the service it is {then.get(error.failure_kind, 'kept')}."
    yield "Nothing was sent."
