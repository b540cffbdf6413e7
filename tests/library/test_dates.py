"""Dates in all forms that headers have."""

import io
import os
import re
import subprocess
import sys
import warnings
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from astropy.io import fits
from astropy.time import Time
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lco_ingester.exceptions import HeaderMissingError, HeaderValueError
from lco_ingester.file.datafile import StreamFile
from lco_ingester.metrics import Metrics
from lco_ingester.record.dates import (
    add_date_of_mjd,
    date_of_mjd,
    parse_date,
    parse_night,
    parse_time,
    plain,
    time_scale,
    to_utc,
)
from lco_ingester.steps import read_frame
from tests.support.synthetic import ABSENT, checks, image, rules


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-02-29", "2024-02-29"),
        (" 2024-02-29T12:34:56 ", "2024-02-29T12:34:56"),
        ("2024-02-29 12:34:56.7", "2024-02-29T12:34:56.7"),
        ("2024-02-29T12:34:56.123456789", "2024-02-29T12:34:56.123456"),
        ("2024-02-29T12:34:56Z", "2024-02-29T12:34:56"),
        ("2024-02-29T00:34:56+01:00", "2024-02-28T23:34:56"),
        ("2024-02-29T22:34:56-0330", "2024-03-01T02:04:56"),
        ("+02024-02-29T12:34:56", "2024-02-29T12:34:56"),
        ("2024-02-29T24:00:00", "2024-03-01"),
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
        "", "yesterday", "2024", "2024-13-01", "2023-02-29", "2024-01-01T24:00:01", "2024-01-01T25:00:00",
        "2024-01-01T12:60:00", "2024-01-01T12:00:61", "05/06/21", "32/01/98", "10000-01-01", "+10000-01-01",
        "-0001-01-01", "-00001-01-01", "0000-01-01", "9999-12-31T24:00:00", "None", "9999-12-31T23:59:60",
        "0001-01-01T00:00:00+14:00", "\ud800", "2024-01-01.1234", "2024-01-01+05:00", "20240101", "20240101T101112",
        "2024-W01-5", "2024-W01", "2024-001", "2024-01-01T24:00", "2024-01-01T12", "2024-01-01T12:34",
        "2024-01-01T12:34:56,5", "2024-01-01t12:34:56", "2024-01-01T12:34:56z", "2024-01-01T12:34:56+01",
        "2024-01-01T12:34:56+24:00", "2024-01-01T12:34:56+01:60", "2024-01-01T12:34:56 Z", "2024-01-01T12:34:56.",
        "2024-01-01T12:34:56 UTC", "2024-01-01_12:34:56", "2024-01-01\t12:34:56", "2024-01-01T12-34-56",
        "2024/01/01", "01/02/2024", "2024-1-1", "24-01-01", "２０２４-01-01", "2024-01-01T", "2024-01-01T12:34:5",
        "2024-01-01\n", "60310.5", "2024.5",
    ],
)  # fmt: skip
def test_a_text_that_is_not_a_date_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the message may be Python's own
        parse_date(text)


# The grammar once more, by other means: as a generator of texts with the instant that each means …
DAYS = st.datetimes(datetime.fromisoformat("0002-01-01"), datetime.fromisoformat("9998-01-01")).map(
    lambda date: date.replace(hour=0, minute=0, second=0, microsecond=0)
)
CLOCKS = st.tuples(
    st.integers(0, 23), st.integers(0, 59), st.integers(0, 60), st.text("0123456789", max_size=9)
) | st.tuples(st.just(24), st.just(0), st.just(0), st.text("0", max_size=3))
ZONES = st.sampled_from(["", "Z", "+00:00", "-00:00", "+05:30", "-0330", "+23:59"])


@st.composite
def dated(draw: st.DrawFn) -> tuple[str, datetime]:
    day = draw(DAYS)
    written = draw(st.sampled_from(["", "+0"])) + day.isoformat()[:10]
    if draw(st.booleans()):
        return written, day
    text, since = draw(timed())
    return written + draw(st.sampled_from("T ")) + text, day + since


@st.composite
def timed(draw: st.DrawFn) -> tuple[str, timedelta]:
    (hour, minute, second, fraction), zone = draw(CLOCKS), draw(ZONES)
    text = f"{hour:02}:{minute:02}:{second:02}" + (f".{fraction}" if fraction else "") + zone
    ahead = zone.replace(":", "").replace("Z", "") or "+0000"
    minutes = int(ahead[0] + "1") * (int(ahead[1:3]) * 60 + int(ahead[3:5]))
    micros = int(fraction[:6].ljust(6, "0") or 0)
    return text, timedelta(hours=hour, minutes=minute - minutes, seconds=second, microseconds=micros)


@given(dated())
@settings(deadline=None, derandomize=True)
def test_every_date_of_the_grammar_is_read_to_its_instant(case: tuple[str, datetime]) -> None:
    text, instant = case
    assert parse_date(text) == instant
    written = plain(text)
    assert parse_date(written) == instant
    assert datetime.fromisoformat(written).replace(tzinfo=None) == instant, "every archive reads it so"
    assert plain(written) == written


@given(timed())
@settings(deadline=None, derandomize=True)
def test_every_time_of_day_of_the_grammar_is_read(case: tuple[str, timedelta]) -> None:
    assert parse_time(case[0]) == case[1]


# … and as a table of what may stand where in a text, for all others.
DIGITS = dict.fromkeys("0123456789", "9")


def skeleton(text: str) -> str:
    return re.sub(r"\.9+", ".", "".join(DIGITS.get(each, each) for each in text.strip(" ")))


CLOCK_FORMS = {
    f"99:99:99{fraction}{zone}" for fraction in ("", ".") for zone in ("", "Z", "+99:99", "-99:99", "+9999", "-9999")
}
DAY_FORMS = {"9999-99-99", "+99999-99-99"}
WHOLE_FORMS = {f"{day}{between}{clock}" for day in DAY_FORMS for between in "T " for clock in CLOCK_FORMS}
DATE_FORMS = {"99/99/99"} | DAY_FORMS | WHOLE_FORMS
NEAR = st.text("0123456789-+:T ZW./,tz_", max_size=30) | st.builds(
    lambda text, at, piece: text[:at] + piece + text[at + 1 :],
    dated().map(lambda case: case[0]),
    st.integers(0, 30),
    st.text("0123456789-+:T ZW./,tz\n\t", max_size=3),
)


@given(NEAR)
@example("2026-01-02.1234")
@example("2026-01-02+05:00")
@settings(deadline=None, derandomize=True, max_examples=1000)
def test_no_date_and_no_time_is_read_that_the_grammar_does_not_know(text: str) -> None:
    for read, forms in ((parse_date, DATE_FORMS), (parse_time, CLOCK_FORMS)):
        try:
            read(text)
        except ValueError:
            continue
        assert skeleton(text) in forms


@pytest.mark.parametrize(
    "text", ["", "3:04:05", "030405", "03:04", "03", "24:00:01", "25:00:00", "03:04:61", "3.5", "x"]
)
def test_what_is_not_a_time_of_day_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a time of day"):
        parse_time(text)


@pytest.mark.parametrize("value", ["20240229", "2024-02-29", " 20240229 ", 20240229])
def test_a_night_is_a_day_in_one_of_two_forms(value: object) -> None:
    assert parse_night(value) == "20240229"


@given(st.text("0123456789-", max_size=11) | st.integers() | st.floats() | st.booleans() | st.none())
@settings(deadline=None, derandomize=True)
def test_a_night_is_eight_digits_that_are_a_day_or_a_value_error(value: object) -> None:
    try:
        night = parse_night(value)
    except ValueError:
        return
    assert night == str(value).replace("-", "").strip()
    assert datetime.strptime(night, "%Y%m%d")  # noqa: DTZ007


# Time scales


@pytest.mark.parametrize("name", ["UTC", "utc ", "UT", "UT1", "GMT", "UTC(NIST)", "UT()", "UTC (BIPM)"])
def test_universal_time_needs_no_conversion(name: str) -> None:
    assert time_scale(name) is None


@pytest.mark.parametrize(
    ("name", "utc"),
    [
        ("TAI", "2026-01-02T03:04:05.678"),
        ("tai", "2026-01-02T03:04:05.678"),
        ("IAT", "2026-01-02T03:04:05.678"),
        ("TAI(NIST)", "2026-01-02T03:04:05.678"),
        ("GPS", "2026-01-02T03:04:24.678"),
        ("TT", "2026-01-02T03:03:33.494"),
        ("TT(TAI)", "2026-01-02T03:03:33.494"),
        ("TDT", "2026-01-02T03:03:33.494"),
        ("ET", "2026-01-02T03:03:33.494"),
        ("TDB", "2026-01-02T03:03:33.494"),
        ("TCG", "2026-01-02T03:03:32.429"),
        ("TCB", "2026-01-02T03:03:09.517"),
    ],
)
def test_an_instant_in_another_scale_is_converted(name: str, utc: str) -> None:
    scale = time_scale(name)
    assert scale is not None
    instant = datetime.fromisoformat("2026-01-02T03:04:42.678")
    assert abs(to_utc(instant, scale) - datetime.fromisoformat(utc)) < timedelta(seconds=0.02)


@pytest.mark.parametrize("name", ["LOCAL", "MST", "local time", "", "TAI(", "TAI)", "UTC+1", "UT2", 7, True, None])
def test_an_unknown_scale_is_a_value_error(name: object) -> None:
    with pytest.raises(ValueError, match="time scale"):
        time_scale(name)


@given(
    st.datetimes(datetime.fromisoformat("1973-01-01"), datetime.fromisoformat("2060-01-01")),
    st.sampled_from(["TAI", "TT", "TDB", "TCB", "TCG"]),
)
@settings(deadline=None, derandomize=True)
def test_a_conversion_comes_back(instant: datetime, scale: str) -> None:
    utc = to_utc(instant, scale)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the years to come
        back = getattr(Time(utc, scale="utc"), scale.lower()).to_datetime()
    assert abs(back - instant) <= timedelta(seconds=1 if utc.second == 0 else 0, microseconds=2)


@pytest.mark.parametrize("scale", ["TAI", "GPS", "TT", "TDB", "TCB", "TCG"])
@pytest.mark.parametrize("text", ["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"])
def test_a_conversion_at_the_ends_of_the_calendar_is_a_date_or_a_value_error(scale: str, text: str) -> None:
    try:
        assert isinstance(to_utc(datetime.fromisoformat(text), scale), datetime)
    except ValueError:
        return


def test_a_leap_second_in_another_scale_is_the_second_after() -> None:
    instant = datetime.fromisoformat("2017-01-01T00:00:36.5")
    assert to_utc(instant, "TAI") == datetime.fromisoformat("2017-01-01T00:00:00.5")


# MJD-OBS


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


@pytest.mark.parametrize("text", ["2024-02-29", "2024-02-29T12:34:56.789", "2024-02-29T12:34:56Z"])
def test_a_date_that_others_can_read_is_left_as_it_is(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2016-12-31T23:59:60.5", "2017-01-01T00:00:00.500000"),
        ("31/12/98", "1998-12-31T00:00:00"),
        ("2024-02-29 12:34:56", "2024-02-29T12:34:56"),
    ],
)
def test_a_date_that_few_programs_can_read_is_rewritten(text: str, written: str) -> None:
    assert plain(text) == written


@pytest.mark.parametrize(
    ("cards", "date"),
    [
        ({"MJD-OBS": 60369.524259259}, "2024-02-29T12:34:56.000"),
        ({"MJD-OBS": "60369.524259259"}, "2024-02-29T12:34:56.000"),
        ({"MJD-OBS": 60369, "TIMESYS": "utc"}, "2024-02-29T00:00:00.000"),
        ({"MJD-OBS": 60369, "DATE-OBS": "2020-01-01"}, "2020-01-01"),
        ({"MJD-OBS": 60369, "TIMESYS": "TDB"}, "2024-02-29T00:00:00.000"),
        ({"MJD-OBS": "soon"}, None),
        ({"MJD-OBS": 1e99}, None),
        ({"MJD-OBS": None}, None),
        ({}, None),
    ],
)
def test_the_date_is_that_of_mjd_obs_if_there_is_no_other(cards: dict[str, object], date: str | None) -> None:
    header = fits.Header(list(cards.items()))
    add_date_of_mjd(header, "DATE-OBS")
    assert header.get("DATE-OBS") == date


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


def test_a_date_of_mjd_obs_is_in_the_time_scale_of_the_header() -> None:
    cards = {"DATE-OBS": ABSENT, "DAY-OBS": ABSENT, "MJD-OBS": 60369.0, "TIMESYS": "TAI"}
    file = StreamFile(io.BytesIO(image(cards)), "a-e00.fits")
    record = read_frame(file, rules(), checks(date_from_mjd=True), Metrics.off()).record
    assert (record["DATE-OBS"], record["DAY-OBS"], record["TIMESYS"]) == ("2024-02-28T23:59:23", "20240228", "UTC")
    assert record["MJD-OBS"] == pytest.approx(60369 - 37 / 86400, abs=1e-9)
    file = StreamFile(io.BytesIO(image({**cards, "TIMESYS": "LOCAL"})), "a-e00.fits")
    with pytest.raises(HeaderValueError, match="TIMESYS"):
        read_frame(file, rules(), checks(date_from_mjd=True), Metrics.off())


OFFLINE = """
import socket, sys
from datetime import datetime

def refuse(*_):
    raise SystemExit("a network was asked for")

socket.socket.connect = socket.getaddrinfo = refuse
from astropy.utils.iers import LeapSeconds
from lco_ingester.record.dates import to_utc
LeapSeconds._today = classmethod(lambda cls: __import__("astropy.time").time.Time("2100-01-01", scale="tai"))
print(to_utc(datetime(2026, 1, 2, 0, 0, 37), "TAI"))
"""


def test_a_conversion_asks_no_network_even_if_the_leap_seconds_are_old(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert (done.stdout.strip(), done.returncode) == ("2026-01-02 00:00:00", 0), done.stderr
