"""Dates in all forms that headers have."""

import io
from datetime import datetime, timedelta

import pytest
from astropy.io import fits
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from lco_ingester.exceptions import HeaderMissingError
from lco_ingester.file.datafile import StreamFile
from lco_ingester.metrics import Metrics
from lco_ingester.record.dates import date_of_mjd, make_dates_usable, parse_date
from lco_ingester.steps import read_frame
from tests.support.synthetic import ABSENT, checks, image, rules


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-02-29", "2024-02-29"),
        ("2024-02-29T12", "2024-02-29T12:00"),
        ("2024-02-29T12:34", "2024-02-29T12:34"),
        (" 2024-02-29T12:34:56 ", "2024-02-29T12:34:56"),
        ("2024-02-29 12:34:56.7", "2024-02-29T12:34:56.7"),
        ("2024-02-29T12:34:56.123456789", "2024-02-29T12:34:56.123456"),
        ("2024-02-29T12:34:56,5", "2024-02-29T12:34:56.5"),
        ("2024-02-29T12:34:56Z", "2024-02-29T12:34:56"),
        ("2024-02-29t12:34:56z", "2024-02-29T12:34:56"),
        ("2024-02-29T00:34:56+01:00", "2024-02-28T23:34:56"),
        ("2024-02-29T22:34:56-0330", "2024-03-01T02:04:56"),
        ("20240229T123456", "2024-02-29T12:34:56"),
        ("2024-W09-4", "2024-02-29"),
        ("+02024-02-29T12:34:56", "2024-02-29T12:34:56"),
        ("2024-02-29T24:00", "2024-03-01"),
        ("2024-02-29T24:00:00.000Z", "2024-03-01"),
        ("2016-12-31T23:59:60", "2017-01-01"),
        ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.5"),
        ("31/12/98", "1998-12-31"),
    ],
)
def test_a_date_of_this_form_is_read(text: str, date: str) -> None:
    assert parse_date(text) == datetime.fromisoformat(date)


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "2024", "2024-13-01", "2023-02-29", "2024-01-01T24:01", "2024-01-01T25:00", "2024-01-01T12:60",
        "2024-01-01T12:00:61", "05/06/21", "10000-01-01", "-0001-01-01", "9999-12-31T24:00", "None",
        "9999-12-31T23:59:60", "0001-01-01T00:00:00+14:00", "\ud800",
    ],
)  # fmt: skip
def test_a_text_that_is_not_a_date_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the message is Python's own
        parse_date(text)


@given(st.datetimes(datetime.fromisoformat("1950-01-01"), datetime.fromisoformat("2100-01-01")))
@settings(deadline=None, derandomize=True)
def test_a_date_of_an_mjd_is_that_of_astropy(date: datetime) -> None:
    mjd = float((date - datetime.fromisoformat("1858-11-17")) / timedelta(days=1))
    assert abs(date_of_mjd(mjd) - Time(mjd, format="mjd", scale="tai").to_datetime()) <= timedelta(milliseconds=0.6)


@given(st.floats())
@settings(deadline=None, derandomize=True)
def test_any_number_is_a_date_or_a_value_error(mjd: float) -> None:
    try:
        assert isinstance(date_of_mjd(mjd), datetime)
    except ValueError:
        return


def usable(from_mjd: bool = False, **cards: object) -> object:
    header = fits.Header(list(cards.items()))
    make_dates_usable(header, "DATE-OBS", from_mjd)
    return header.get("DATE-OBS")


@pytest.mark.parametrize("text", ["2024-02-29", "2024-02-29T12:34:56.789", "2024-02-29T12:34:56Z", "yesterday", ""])
def test_a_date_that_others_can_read_or_nobody_is_left_as_it_is(text: str) -> None:
    assert usable(False, **{"DATE-OBS": text}) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [("2016-12-31T23:59:60.5", "2017-01-01T00:00:00.500000"), ("31/12/98", "1998-12-31T00:00:00")],
)
def test_a_date_that_few_programs_can_read_is_rewritten(text: str, written: str) -> None:
    assert usable(False, **{"DATE-OBS": text}) == written


@pytest.mark.parametrize(
    ("cards", "date"),
    [
        ({"MJD-OBS": 60369.524259259}, "2024-02-29T12:34:56.000"),
        ({"MJD-OBS": "60369.524259259"}, "2024-02-29T12:34:56.000"),
        ({"MJD-OBS": 60369, "TIMESYS": "utc"}, "2024-02-29T00:00:00.000"),
        ({"MJD-OBS": 60369, "DATE-OBS": "2020-01-01"}, "2020-01-01"),
        ({"MJD-OBS": 60369, "TIMESYS": "TDB"}, None),
        ({"MJD-OBS": "soon"}, None),
        ({"MJD-OBS": 1e99}, None),
        ({"MJD-OBS": None}, None),
        ({}, None),
    ],
)
def test_the_date_is_that_of_mjd_obs_if_there_is_no_other(cards: dict[str, object], date: str | None) -> None:
    assert usable(from_mjd=True, **cards) == date


def test_mjd_obs_stands_in_for_date_obs_only_if_a_setting_says_so() -> None:
    content = image({"DATE-OBS": ABSENT, "DAY-OBS": ABSENT, "MJD-OBS": 60369.524259259})
    file = StreamFile(io.BytesIO(content), "a-e00.fits")
    record = read_frame(file, rules(), checks(date_from_mjd=True), Metrics.off()).record
    assert (record["DATE-OBS"], record["DAY-OBS"]) == ("2024-02-29T12:34:56.000", "20240229")
    with pytest.raises(HeaderMissingError, match="DATE-OBS"):
        read_frame(file, rules(), checks(), Metrics.off())


def test_a_leap_second_reaches_the_archive_as_the_second_after() -> None:
    file = StreamFile(io.BytesIO(image({"DATE-OBS": "2016-12-31T23:59:60.000"})), "a-e00.fits")
    record = read_frame(file, rules(), checks(), Metrics.off()).record
    assert (record["DATE-OBS"], record["L1PUBDAT"]) == ("2017-01-01T00:00:00", "2018-01-01T00:00:00")
