"""What would become of a file and why, for a person to read. Nothing is sent.

The functions are those of the service itself: `steps` reads the file, and the cleanup rules of the record's format
change its header one after the other. Each change is shown with its reason.
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
from lco_ingester.record.build import RULES, cards_of, doubt_of_area, header_of, lacking
from lco_ingester.record.cleanup import CleanupRule, FrameName, with_pointing
from lco_ingester.record.footprint import Outline, outline
from lco_ingester.record.rules import RecordRules
from lco_ingester.settings import CheckName, Settings
from lco_ingester.steps import Contents


def explain(
    file: DataFile, settings: Settings, now: datetime, metadata: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """The explanation, line by line, as far as it comes. `now` is in UTC without a time zone.

    Raises, at its end, the error that the service would end with.
    """
    rules, checks = RecordRules.of(settings), RecordingChecks.of(settings)
    contents, failure = None, None
    try:
        contents = steps.read_contents(file, rules, checks, Metrics.off(), metadata)
    except IngesterError as error:
        failure = error
        forgiving = RecordingChecks.of(settings.model_copy(update={"validation_warn_only": get_args(CheckName)}))
        with suppress(IngesterError):
            contents = steps.read_contents(file, rules, forgiving, Metrics.off(), metadata)
        checks = replace(forgiving, validation_warn_only=checks.validation_warn_only)
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
    yield from text.of_neighbours(settings)


def _of_record(
    contents: Contents, file: DataFile, settings: Settings, rules: RecordRules, checks: RecordingChecks, now: datetime
) -> Iterator[str]:
    keyword = rules.keys.observation_date
    dates = [_written(header, keyword) for header in contents.headers]  # `steps` writes some forms of it anew
    validated, failure = None, None
    try:
        validated = steps.make_record(contents, file.path, rules, checks)
    except IngesterError as error:
        failure = error
    looked = [lacking(header, rules.required_headers) for header in contents.headers]
    yield from text.of_headers([str(_written(each, "EXTNAME") or "") for each in contents.headers], looked, rules)
    doubt = ""
    if () in looked:
        chosen = looked.index(())
        doubt = doubt_of_area(contents.headers[chosen])
        yield from _of_rules(contents.headers[chosen], dates[chosen], file, rules)
    if validated is None:
        assert failure is not None  # noqa: S101  # one of the two is there
        raise failure
    yield from _of_what_is_sent(validated, doubt, settings, rules, checks, now)


def _of_rules(header: Header, date: Any, file: DataFile, rules: RecordRules) -> Iterator[str]:
    """Each mend of the header by the mends themselves. Ends where one fails, as the record then has."""
    name = FrameName(*split_name(file.path))
    with suppress(IngesterError):
        full = dict(cards_of(header, ()))
        cleaned: Record = dict(cards_of(header, rules.header_blacklist))
        written = {key: date if key == rules.keys.observation_date else value for key, value in full.items()}
        yield from text.of_blacklist([keyword for keyword in full if keyword not in cleaned])
        cards = header.repaired if isinstance(header, FrameHeader) else {}
        yield from text.of_rule("cards", "the card breaks the FITS standard", {**full, **cards}, full)
        yield from text.of_rule("numbers", "JSON has neither NaN nor infinity", {**full, **_odd(header, full)}, full)
        yield from text.of_rule("date", "the archive reads it in this form", written, full)
        for mend in RULES[rules.archive_record_format]:
            before = dict(cleaned)
            why = mend(cleaned, name, rules)
            yield from text.of_rule(_name(mend), why, before, cleaned)


def _of_what_is_sent(
    validated: Validated, doubt: str, settings: Settings, rules: RecordRules, checks: RecordingChecks, now: datetime
) -> Iterator[str]:
    header = header_of(validated.record)
    yield from text.of_public_date(header.get(rules.keys.public_date), now)
    area = outline(with_pointing(header, rules.keys))
    yield from text.of_area(Outline(None, doubt, odd=True) if doubt and area.polygon else area)
    yield from text.of_format(validated.record, rules.archive_record_format)
    steps.refuse_unknown_extension(validated, checks)
    yield from text.of_object(steps.stored_object(validated, now), validated, settings.bucket, now)


def _name(mend: CleanupRule) -> str:
    return str(getattr(mend, "__name__", mend)).strip("_").replace("_", " ")


def _odd(header: Header, cards: Mapping[str, Any]) -> dict[str, str]:
    """What stands in the header under keywords that JSON has no value for, though there is one."""
    odd = {}
    for keyword in (keyword for keyword, value in cards.items() if value is None):
        try:
            value = header.get(keyword)
        except fits.VerifyError:
            value = math.nan  # or infinity, as a bare word
        if isinstance(value, float):
            odd[keyword] = str(value)
    return odd


def _written(header: Header, keyword: str) -> Any:
    """The JSON value under a keyword, None if there is none that can be read."""
    try:
        return json_value(header.get(keyword))
    except fits.VerifyError:
        return None
