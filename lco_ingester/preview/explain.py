"""What the ingester would do with a file, and why, for a person to read. Nothing is sent.

It calls the functions of the service: `steps` reads the file, and the cleanup rules of the record's format change its
header one after the other. Each change is printed with its reason.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, get_args

from astropy.io import fits

from lco_ingester import steps
from lco_ingester.exceptions import IngesterError
from lco_ingester.file.datafile import DataFile, split_name
from lco_ingester.file.headers.frame_header import FrameHeader, Header, json_value
from lco_ingester.file.types import file_type
from lco_ingester.frame import Record, Validated
from lco_ingester.metrics import Metrics
from lco_ingester.preview import text
from lco_ingester.preview.inspection import RecordingChecks
from lco_ingester.record.build import FORMATS, cards_of, doubt_of_area, header_of, lacking
from lco_ingester.record.cleanup import CleanupRule, FrameName, with_pointing
from lco_ingester.record.footprint import Outline, outline
from lco_ingester.record.rules import RecordRules
from lco_ingester.settings import CheckName, Settings
from lco_ingester.steps import Contents


def explain(
    file: DataFile, settings: Settings, now: datetime, metadata: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """The explanation, line by line, as far as possible. `now` is in UTC without a time zone.

    Raises, after the last line, the error that the service would end with.
    """
    rules, checks = RecordRules.of(settings), RecordingChecks.of(settings)
    contents, failure = None, None
    try:
        contents = steps.read_contents(file, rules, checks, Metrics.off(), metadata)
    except IngesterError as error:
        failure = error
        lenient = RecordingChecks.of(settings.model_copy(update={"validation_warn_only": get_args(CheckName)}))
        with suppress(IngesterError):
            contents = steps.read_contents(file, rules, lenient, Metrics.off(), metadata)
        checks = replace(lenient, validation_warn_only=checks.validation_warn_only)
    with steps.named(file.path):
        kind = file_type(split_name(file.path)[1])
    yield from text.of_file(file, kind, contents, checks)
    yield from text.of_checks(checks, contents is not None)
    try:
        if contents is not None:
            yield from text.of_assumption(failure)
            yield from _of_record(contents, file, settings, rules, checks, now)
    except IngesterError as error:
        failure = failure or error
    if failure is not None:
        yield from text.of_failure(failure)
        raise failure
    yield from text.of_services(settings)


def _of_record(
    contents: Contents, file: DataFile, settings: Settings, rules: RecordRules, checks: RecordingChecks, now: datetime
) -> Iterator[str]:
    keyword = rules.keys.observation_date
    dates = [_written(header, keyword) for header in contents.headers]  # `steps` may add it
    validated, failure = None, None
    try:
        validated = steps.make_record(contents, file.path, rules, checks)
    except IngesterError as error:
        failure = error
    missing = [lacking(header, rules.required_headers) for header in contents.headers]
    yield from text.of_headers([str(_written(each, "EXTNAME") or "") for each in contents.headers], missing, rules)
    doubt = ""
    if () in missing:
        chosen = missing.index(())
        doubt = doubt_of_area(contents.headers[chosen], rules.keys)
        yield from _of_rules(contents.headers[chosen], dates[chosen], file, rules)
    if validated is None:
        assert failure is not None  # noqa: S101  # one of the two is there
        raise failure
    yield from _of_what_is_sent(validated, doubt, settings, rules, checks, now)


def _of_rules(header: Header, date: Any, file: DataFile, rules: RecordRules) -> Iterator[str]:
    """What each rule changes, by running it. Ends at a rule that fails, as the record does."""
    name = FrameName(*split_name(file.path))
    with suppress(IngesterError):
        full = dict(cards_of(header, ()))
        cleaned: Record = dict(cards_of(header, rules.header_blacklist))
        written = {key: date if key == rules.keys.observation_date else value for key, value in full.items()}
        yield from text.of_blacklist([keyword for keyword in full if keyword not in cleaned])
        cards = header.repaired if isinstance(header, FrameHeader) else {}
        yield from text.of_rule("cards", "the card breaks the FITS standard", {**full, **cards}, full)
        yield from text.of_rule(
            "numbers", "JSON has neither NaN nor infinity", {**full, **_not_json(header, full)}, full
        )
        yield from text.of_rule("date", "MJD-OBS has it (DATE_FROM_MJD)", written, full)
        for rule in FORMATS[rules.archive_record_format].rules:
            before = dict(cleaned)
            why = rule(cleaned, name, rules)
            yield from text.of_rule(_name(rule), why, before, cleaned)


def _of_what_is_sent(
    validated: Validated, doubt: str, settings: Settings, rules: RecordRules, checks: RecordingChecks, now: datetime
) -> Iterator[str]:
    header = header_of(validated.record)
    yield from text.of_public_date(header.get(rules.keys.public_date), now)
    area = outline(with_pointing(header, rules.keys))
    yield from text.of_area(Outline(None, doubt, is_invalid=True) if doubt and area.polygon else area)
    yield from text.of_format(validated.record, rules.archive_record_format)
    steps.refuse_unknown_extension(validated, checks)
    target = steps.stored_object(validated, now, rules.storage_class_old)
    yield from text.of_object(target, validated, settings.bucket, now)


def _name(rule: CleanupRule) -> str:
    return str(getattr(rule, "__name__", rule)).strip("_").replace("_", " ")


def _not_json(header: Header, cards: Mapping[str, Any]) -> dict[str, str]:
    """The values of a header that JSON cannot hold, as text."""
    found = {}
    for keyword in (keyword for keyword, value in cards.items() if value is None):
        try:
            value = header.get(keyword)
        except fits.VerifyError:
            value = math.nan  # or infinity, without quotes
        if isinstance(value, float):
            found[keyword] = str(value)
    return found


def _written(header: Header, keyword: str) -> Any:
    """The JSON value of a keyword; None if there is none that can be read."""
    try:
        return json_value(header.get(keyword))
    except fits.VerifyError:
        return None
