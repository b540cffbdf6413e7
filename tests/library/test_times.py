"""When a frame was observed: times in another time scale, and times beside the date."""

import io
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lco_ingester.exceptions import HeaderValueError
from lco_ingester.file.datafile import StreamFile
from lco_ingester.preview.explain import explain
from lco_ingester.record.build import build_record, end_of_exposure, header_of
from lco_ingester.record.cleanup import FrameName
from lco_ingester.record.times import RULES
from lco_ingester.settings import Settings, load_settings
from tests.support.synthetic import ABSENT, BASENAME, header, image, record_of, rules

NOW = datetime.fromisoformat("2026-02-01")
IN_TAI = {"DATE-OBS": "2026-01-02T03:04:42.678", "TIMESYS": "TAI", "DAY-OBS": "20260101"}


def cleaned(**cards: Any) -> dict[str, Any]:
    """The header after the rules of dates and times."""
    made = {keyword.replace("_", "-"): value for keyword, value in cards.items()}
    for rule in RULES:
        rule(made, FrameName("a", ".fits"), rules())
    return made


def explained(cards: dict[str, Any]) -> list[str]:
    return list(explain(StreamFile(io.BytesIO(image(cards)), "a-e00.fits"), load_settings(Settings), NOW))


# TIMESYS


@pytest.mark.parametrize("form", ["lco", "ocs"])
def test_a_date_in_tai_is_archived_in_utc_and_the_public_date_follows(form: str) -> None:
    record = record_of({**IN_TAI, "DAY-OBS": ABSENT}, archive_record_format=form)
    made = header_of(record)
    assert (made["DATE-OBS"], made["TIMESYS"]) == ("2026-01-02T03:04:05.678", "UTC")
    assert record.get("observation_date", made["DATE-OBS"]) == made["DATE-OBS"]
    assert made["L1PUBDAT"] == "2027-01-02T03:04:05.678000"


def test_the_night_is_that_of_the_converted_date() -> None:
    record = record_of({**IN_TAI, "DATE-OBS": "2026-01-02T00:00:10", "DAY-OBS": ABSENT})
    assert (record["DATE-OBS"], record["DAY-OBS"]) == ("2026-01-01T23:59:33", "20260101")


@pytest.mark.parametrize("name", ["UTC", "utc", "UT", "UT1", "GMT", "UTC(NIST)", "", None, "N/A", "UNKNOWN", ABSENT])
def test_universal_time_stays_as_it_is_written(name: Any) -> None:
    record = record_of({"TIMESYS": name})
    assert record["DATE-OBS"] == "2020-01-02T03:04:05.678"
    if name in ("UT", "UTC(NIST)"):
        assert record["TIMESYS"] == name


@pytest.mark.parametrize("name", ["LOCAL", "local", "CST", "noon", "TAI+1", 5, True])
@pytest.mark.parametrize("form", ["lco", "ocs"])
def test_a_time_scale_that_cannot_be_converted_is_refused(name: Any, form: str) -> None:
    with pytest.raises(HeaderValueError) as raised:
        record_of({"TIMESYS": name}, archive_record_format=form)
    assert raised.value.check == "TIMESYS"


@pytest.mark.parametrize("zone", ["Z", "+02:00"])
def test_a_time_zone_contradicts_another_time_scale(zone: str) -> None:
    with pytest.raises(HeaderValueError) as raised:
        record_of({**IN_TAI, "DATE-OBS": f"2026-01-02T03:04:05{zone}"})
    assert raised.value.check == "DATE-OBS"


def test_a_date_alone_is_of_a_day_and_no_scale_changes_it() -> None:
    assert cleaned(DATE_OBS="2026-01-02", TIMESYS="TAI") == {"DATE-OBS": "2026-01-02", "TIMESYS": "UTC"}


def test_all_times_in_the_scale_are_converted_alike() -> None:
    made = cleaned(
        DATE_OBS="2026-01-02T03:04:42.678", DATE_BEG="2026-01-02T03:04:42.678", DATE_AVG="2026-01-02 00:00:07",
        DATE_END="2026-01-02", TIME_OBS="00:00:07", UTSTOP="03:05:00", MJD_OBS=61042.5, MJD_END="late", MJD_AVG=None,
        L1PUBDAT="2026-01-02T03:04:42", TIMESYS="TAI(NIST) ",
    )  # fmt: skip
    assert made.pop("MJD-OBS") == pytest.approx(61042.5 - 37 / 86400, abs=1e-9)
    assert made == {
        "DATE-OBS": "2026-01-02T03:04:05.678", "DATE-BEG": "2026-01-02T03:04:05.678",
        "DATE-AVG": "2026-01-01T23:59:30", "DATE-END": "2026-01-02", "TIME-OBS": "23:59:30", "UTSTOP": "03:05:00",
        "MJD-END": "late", "MJD-AVG": None, "L1PUBDAT": "2026-01-02T03:04:42", "TIMESYS": "UTC",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("keyword", "written"), [("DATE-END", "2026-01-02T03:05:12"), ("TIME-END", "03:05:12"), ("UTSTOP", "03:04:35")]
)
def test_the_end_of_the_exposure_is_in_utc_too(keyword: str, written: str) -> None:
    rules_ = rules(observation_end_time_key=keyword)
    record = build_record([header({**IN_TAI, keyword: written})], BASENAME, ".fits", rules_)
    assert end_of_exposure(record, rules_.keys) == datetime.fromisoformat("2026-01-02T03:04:35")


def test_a_site_may_have_its_own_keyword_of_the_date() -> None:
    rules_ = rules(observation_date_key="SHUTTER", required_headers=())
    made = build_record([header({"SHUTTER": "2026-01-02T00:00:37", "TIMESYS": "TAI"})], BASENAME, ".fits", rules_)
    assert (made["SHUTTER"], made["DATE-OBS"]) == ("2026-01-02T00:00:00", "2026-01-02T00:00:00")


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00", "soon", ""])
def test_a_date_that_has_no_utc_is_refused(date: str) -> None:
    with pytest.raises(HeaderValueError) as raised:
        cleaned(DATE_OBS=date, TIMESYS="TAI")
    assert raised.value.check == "DATE-OBS"


def test_a_conversion_is_explained() -> None:
    text = "\n".join(explained(IN_TAI))
    assert "universal time: the archive's times are in UTC, and TIMESYS was TAI" in text
    assert 'DATE-OBS: "2026-01-02T03:04:42.678" → "2026-01-02T03:04:05.678"' in text
    assert 'TIMESYS: "TAI" → "UTC"' in text


# A date alone, and its time of day


@pytest.mark.parametrize(
    ("date", "times", "joined"),
    [
        ("2026-01-02", {"TIME-OBS": "03:04:05.678"}, "2026-01-02T03:04:05.678"),
        ("2026-01-02", {"UT": "03:04:05"}, "2026-01-02T03:04:05"),
        ("2026-01-02", {"UTSTART": "03:04:05.6"}, "2026-01-02T03:04:05.6"),
        ("2026-01-02", {"UTSTART": "2026-01-02T03:04:05.6"}, "2026-01-02T03:04:05.6"),
        ("2026-01-02", {"TIME-OBS": "03:04:05", "UT": "03:04:05.678", "UTSTART": ""}, "2026-01-02T03:04:05.678"),
        ("2026-01-02", {"TIME-OBS": "03:04:05", "UT": None}, "2026-01-02T03:04:05"),
        ("2026-01-02", {"TIME-OBS": "03:04:05Z"}, "2026-01-02T03:04:05Z"),
        ("2026-01-02", {"TIME-OBS": "23:59:60"}, "2026-01-03T00:00:00"),
        ("2026-01-02 ", {"TIME-OBS": " 03:04:05"}, "2026-01-02T03:04:05"),
        ("31/12/98", {"TIME-OBS": "03:04:05"}, "1998-12-31T03:04:05"),
        ("2026-01-02", {"TIME-OBS": "00:00:47", "TIMESYS": "TAI"}, "2026-01-02T00:00:10"),
        ("2026-01-02", {}, "2026-01-02"),
        ("2026-01-02T00:00:00", {"TIME-OBS": "03:04:05"}, "2026-01-02T00:00:00"),
    ],
)
def test_a_time_of_day_is_joined_to_a_date_that_has_none(date: str, times: dict[str, Any], joined: str) -> None:
    assert cleaned(**{"DATE-OBS": date, **times})["DATE-OBS"] == joined


@pytest.mark.parametrize("form", ["lco", "ocs"])
def test_what_follows_from_the_date_follows_from_the_joined_one(form: str) -> None:
    cards = {"DATE-OBS": "2026-01-02", "TIME-OBS": "03:04:05.678", "DAY-OBS": ABSENT}
    record = record_of(cards, archive_record_format=form)
    made = header_of(record)
    assert record.get("observation_date", made["DATE-OBS"]) == "2026-01-02T03:04:05.678"
    assert (made["L1PUBDAT"], made["DAY-OBS"]) == ("2027-01-02T03:04:05.678000", "20260102")


@pytest.mark.parametrize(
    "times",
    [
        {"TIME-OBS": "03:04:05", "UT": "03:04:06"},
        {"TIME-OBS": "03:04:05", "UT": "soon"},
        {"UT": 3.0},
        {"UT": True},
        {"UTSTART": "03:04"},
        {},
        {"UTSTART": "2026-01-02.03:04:05"},
        {"UTSTART": "2026-01-02X03:04:05"},
        {"UTSTART": "03:04:05+05:00"},
        {"UTSTART": "2026-01-03T03:04:05"},
        {"UT": "03:04:05", "TIMESYS": "TT"},
    ],
)
def test_a_time_of_day_that_is_in_doubt_is_a_warning(times: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    cards = {"DATE-OBS": "2026-01-02", **times}
    assert record_of(cards)["DATE-OBS"] == "2026-01-02"
    [message] = caplog.messages
    assert message.startswith(f"{BASENAME}.fits: DATE-OBS has no time of day, and ")
    assert f"{message.partition(': ')[2]} (logged as a warning)" in "\n".join(explained(cards))


def test_a_joined_time_is_explained() -> None:
    text = "\n".join(explained({"DATE-OBS": "2026-01-02", "TIME-OBS": "03:04:05", "UT": "03:04:05"}))
    assert "start time: DATE-OBS has no time of day; it is taken from TIME-OBS and UT" in text
    assert 'DATE-OBS: "2026-01-02" → "2026-01-02T03:04:05"' in text


def test_a_date_with_its_time_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    record_of({"TIME-OBS": "soon", "UT": 3.0})
    assert caplog.messages == []


ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.text("0123456789-+:TZ .", max_size=25)
TIMES = st.sampled_from(["03:04:05", "03:04:05.6", "2026-01-02T03:04:05", "2026-01-02", "61042.1", "TAI", "TT", "GPS"])


@given(
    st.dictionaries(
        st.sampled_from(["TIME-OBS", "UT", "UTSTART", "UTSTOP", "TIMESYS", "DATE-END", "MJD-OBS"]), ODD | TIMES
    ),
    st.sampled_from(["2026-01-02", "2026-01-02T03:04:05.678", "31/12/98"]),
)
@settings(deadline=None, derandomize=True)
def test_whatever_is_beside_the_date_it_stays_within_a_day_or_is_refused(beside: dict[str, Any], date: str) -> None:
    try:
        made = cleaned(**{"DATE-OBS": date, **beside})
    except HeaderValueError:
        return
    day = datetime.fromisoformat("1998-12-31" if "/" in date else "2026-01-02")
    found = datetime.fromisoformat(made["DATE-OBS"]).replace(tzinfo=None)
    assert abs((found - day).total_seconds()) <= 2 * 86400
    assert len(beside.keys() | {"DATE-OBS"}) == len(made), "no keyword is lost or added"
