"""Calendars: what is a day off, the form that people write, and its errors."""

import json
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.errors import ScheduleInvalid
from rota.schedule.calendar import Calendar
from rota.schedule.day_list import DayList

CHINA = {
    "name": "china",
    "days_off": ["sat", "sun", "12-25", {"2026-10-01..2026-10-07": "国庆节"}],
    "working_days": [{"2026-10-10": "调休"}, "2026-12-25"],
    "ends": "2026-12-31",
}


@pytest.mark.parametrize(
    ("day", "off"),
    [
        ("2026-10-01", True),  # a date
        ("2026-10-07", True),  # the end of a range
        ("2026-10-08", False),  # a Thursday
        ("2026-10-10", False),  # a Saturday that is a working day
        ("2026-10-17", True),  # another Saturday
        ("2027-12-25", True),  # a day of every year
        ("2026-12-25", False),  # a date beats a day of every year
    ],
)
def test_a_date_beats_a_day_of_the_year_which_beats_a_weekday(day: str, off: bool) -> None:
    assert Calendar.read(CHINA).is_off(date.fromisoformat(day)) is off


def test_only_the_listed_days_are_working_days_with_other_days_off() -> None:
    calendar = Calendar.read({"name": "ends", "working_days": ["2026-01-30", "fri"], "other_days": "off"})

    assert not calendar.is_off(date(2026, 1, 30))
    assert not calendar.is_off(date(2026, 2, 6))
    assert calendar.is_off(date(2026, 2, 7))


def test_yaml_that_reads_off_as_false_and_dates_as_dates_is_understood() -> None:
    calendar = Calendar.read(
        {"name": "x", "days_off": [], "working_days": [date(2026, 1, 1), {date(2026, 1, 2): None}], "other_days": False}
    )

    assert calendar.other_days == "off"
    assert sorted(calendar.working_days.dates) == [date(2026, 1, 1), date(2026, 1, 2)]


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("2026-10-01", "2026-10-01 is a day off in calendar china: 国庆节"),
        ("2026-10-10", "2026-10-10 is a working day in calendar china: 调休"),
        ("2026-10-17", "2026-10-17 is a day off in calendar china: Saturday"),
        ("2027-12-25", "2027-12-25 is a day off in calendar china"),
        ("2026-10-12", "2026-10-12 is a working day in calendar china"),
    ],
)
def test_the_reason_names_the_day_the_calendar_and_the_label(day: str, reason: str) -> None:
    assert Calendar.read(CHINA).reason(date.fromisoformat(day)) == reason


def test_the_short_form_is_read_back() -> None:
    calendar = Calendar.read(CHINA)

    assert calendar.to_mapping() == CHINA
    assert Calendar.read(json.loads(json.dumps(calendar.to_mapping()))) == calendar


@given(
    off=st.dictionaries(st.dates(date(2020, 1, 1), date(2020, 3, 1)), st.sampled_from(["", "a", "b"])),
    weekdays=st.sets(st.integers(0, 6), max_size=6),
    years=st.dictionaries(st.sampled_from([(2, 29), (12, 25), (1, 1)]), st.sampled_from(["", "x"])),
)
def test_any_list_of_days_is_written_and_read_back(
    off: dict[date, str], weekdays: set[int], years: dict[tuple[int, int], str]
) -> None:
    days = DayList(dict.fromkeys(sorted(weekdays), ""), years, off)

    assert DayList.read(days.to_list()) == days


@pytest.mark.parametrize(
    ("items", "text"),
    [
        (["satt"], "'satt' is not a day. Did you mean 'sat'?"),
        (["fri..mo"], "'fri..mo' is not a day. Did you mean 'mon'?"),
        (["2026-13-01"], "'2026-13-01' is not a date"),
        (["20261001"], "'20261001' is not a day. Write for example sat, mon..fri, 12-25, 2026-10-01"),
        (["13-01"], "'13-01' is not a day of a year: write month and day, as in 12-25."),
        (["12-25..12-26"], "is a range of days of every year: write each of its days."),
        (["2026-02-02..2026-02-01"], "ends before it starts"),
        (["0001-01-01..9999-12-31"], "makes more than 10000 dates"),
        ([7], "7 is not a day"),
        ([{"sat": 7}], "the label 7 must be one line"),
        ([{"sat": "a\nb"}], "must be one line"),
        (3, "3 is not a day"),
    ],
)
def test_wrong_days_are_refused_with_what_to_write(items: Any, text: str) -> None:
    with pytest.raises(ScheduleInvalid) as refused:
        Calendar.read({"name": "x", "days_off": items})

    assert text in str(refused.value)
    assert str(refused.value).startswith("The calendar 'x' is wrong: days_off: ")


def test_weekdays_may_be_full_names_and_ranges_that_wrap_around() -> None:
    assert list(DayList.read(["Friday..monday", "WED"]).weekdays) == [4, 5, 6, 0, 2]
    assert list(DayList.read("mon").weekdays) == [0]


def test_all_problems_are_told_at_once_with_their_paths() -> None:
    with pytest.raises(ScheduleInvalid) as refused:
        Calendar.read({"days_of": [], "days_off": ["sat", "x1"], "ends": "soon", "other_days": "no", "remark": 3})

    assert [path for path, _ in refused.value.problems] == [
        "name",
        "remark",
        "other_days",
        "ends",
        "days_off.1",
        "days_of",
    ]
    assert "The calendar has 6 problems:\n- name is missing." in str(refused.value)
    assert "There is no field 'days_of'. Did you mean 'days_off'?" in str(refused.value)


@pytest.mark.parametrize("name", ["", " x", "a\nb", 7, "n" * 201])
def test_a_name_is_one_line_of_text(name: Any) -> None:
    with pytest.raises(ScheduleInvalid, match="name"):
        Calendar.read({"name": name})


def test_something_else_than_an_object_is_refused() -> None:
    with pytest.raises(ScheduleInvalid, match="is not a calendar: write an object with name and days_off"):
        Calendar.read([3])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({"days_off": ["mon..sun"]}, "days_off has all days of the week"),
        ({"other_days": "off"}, "other_days is off and working_days is empty"),
        ({"days_off": ["sat"], "working_days": ["sat"]}, "sat cannot be in days_off and in working_days"),
        ({"days_off": ["2026-01-01"], "working_days": ["2026-01-01"]}, "2026-01-01 cannot be in days_off and in"),
    ],
)
def test_a_calendar_without_working_days_or_with_a_contradiction_is_refused(mapping: Any, text: str) -> None:
    with pytest.raises(ScheduleInvalid, match=text):
        Calendar.read({"name": "x", **mapping})


def test_a_calendar_warns_before_its_dates_end_and_after() -> None:
    calendar = Calendar.read(CHINA)

    assert calendar.warning(date(2026, 10, 31)) is None
    assert calendar.warning(date(2026, 11, 2)) == (
        "The dates of calendar china end in 59 days, on 2026-12-31. Add the dates of the next year, and set ends."
    )
    assert "ended on 2026-12-31: schedules now fire on holidays" in str(calendar.warning(date(2027, 1, 1)))
    assert calendar.warning(date(2026, 11, 2), within=30) is None


def test_a_calendar_of_weekdays_never_ends() -> None:
    calendar = Calendar.read({"name": "weekend", "days_off": ["sat", "sun"]})

    assert calendar.warning(date(2026, 1, 1) + timedelta(days=9999)) is None
