"""Cron expressions: what their fields select, and which days a month has."""

import calendar
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import date
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.schedule.cron import CronExpression
from rota.schedule.cron_field import DAY, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, CronPart


def bits(mask: int) -> list[int]:
    return [value for value in range(mask.bit_length()) if mask >> value & 1]


@pytest.mark.parametrize(
    ("text", "field", "values"),
    [
        ("5 * * * *", MINUTE, [5]),
        ("5,10,5 * * * *", MINUTE, [5, 10]),
        ("10-12 * * * *", MINUTE, [10, 11, 12]),
        ("*/15 * * * *", MINUTE, [0, 15, 30, 45]),
        ("?/20 * * * *", MINUTE, [0, 20, 40]),
        ("5/20 * * * *", MINUTE, [5, 25, 45]),
        ("10-40/15 * * * *", MINUTE, [10, 25, 40]),
        ("58-2 * * * *", MINUTE, [0, 1, 2, 58, 59]),
        ("50-10/5 * * * *", MINUTE, [0, 5, 10, 50, 55]),
        ("007 * * * *", MINUTE, [7]),
        ("* 22-2 * * *", HOUR, [0, 1, 2, 22, 23]),
        ("* 22-2/2 * * *", HOUR, [0, 2, 22]),
        ("* * 28-3 * *", DAY, [1, 2, 3, 28, 29, 30, 31]),
        ("* * * nov-FEB *", MONTH, [1, 2, 11, 12]),
        ("* * * JAN,Jul *", MONTH, [1, 7]),
        ("* * * * 0", WEEKDAY, [0]),
        ("* * * * 7", WEEKDAY, [0]),
        ("* * * * 0-7", WEEKDAY, [0, 1, 2, 3, 4, 5, 6]),
        ("* * * * 5-7", WEEKDAY, [0, 5, 6]),
        ("* * * * 7-2", WEEKDAY, [0, 1, 2]),
        ("* * * * FRI-MON", WEEKDAY, [0, 1, 5, 6]),
        ("* * * * sun-tue", WEEKDAY, [0, 1, 2]),
        ("* * * * MON-SUN/2", WEEKDAY, [0, 1, 3, 5]),
        ("* * * * 1/2", WEEKDAY, [1, 3, 5]),
        ("*/30 * * * * *", SECOND, [0, 30]),
        ("* * * * *", SECOND, [0]),
        ("0 0 1 1 ?", WEEKDAY, [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_field_selects_its_values(text: str, field: int, values: list[int]) -> None:
    assert bits(CronExpression.parse(text).fields[field].mask) == values


@pytest.mark.parametrize(
    ("text", "field", "parts"),
    [
        ("*/15 * * * *", MINUTE, [CronPart("*/15", "any", 0, 59, 15)]),
        ("5/20 * * * *", MINUTE, [CronPart("5/20", "range", 5, 59, 20)]),
        ("* 22-2,12 * * *", HOUR, [CronPart("22-2", "range", 22, 2), CronPart("12", "value", 12, 12)]),
        ("* * L-3,LW * *", DAY, [CronPart("L-3", "last", 3, 3), CronPart("LW", "nearest_weekday", 0, 0)]),
        ("* * 15W,l * *", DAY, [CronPart("15W", "nearest_weekday", 15, 15), CronPart("l", "last", 0, 0)]),
        ("* * L-3W * *", DAY, [CronPart("L-3W", "nearest_weekday", -3, -3)]),
        ("* * * * MON#2", WEEKDAY, [CronPart("MON#2", "nth", 1, 2)]),
        ("* * * * 7#1", WEEKDAY, [CronPart("7#1", "nth", 0, 1)]),
        ("* * * * FRIL", WEEKDAY, [CronPart("FRIL", "last_of_weekday", 5, 5)]),
        ("* * * * 5#L", WEEKDAY, [CronPart("5#L", "last_of_weekday", 5, 5)]),
        ("H(0-29)/10 * * * *", MINUTE, [CronPart("H(0-29)/10", "hash", 0, 29, 10)]),
    ],
)
def test_field_keeps_its_parts_as_written(text: str, field: int, parts: list[CronPart]) -> None:
    assert list(CronExpression.parse(text).fields[field].parts) == parts


@pytest.mark.parametrize(
    ("text", "elapsed"),
    [
        ("0 * * * *", True),
        ("*/30 2 * * *", True),
        ("30 1-9 * * *", True),
        ("15,45 2-4 * * *", True),
        ("? 2 * * *", True),
        ("H/20 2 * * *", True),
        ("*/30 0 2 * * *", True),
        ("30 2 * * *", False),
        ("0,30 2 * * *", False),
        ("30 2 1-15 * *", False),
        ("30 2 * * MON-FRI", False),
        ("H H * * *", False),
        ("10,20 30 2 * * *", False),
    ],
)
def test_only_stars_ranges_and_steps_of_times_follow_elapsed_time(text: str, elapsed: bool) -> None:
    assert CronExpression.parse(text).elapsed is elapsed


# --- the days of a month, found again with the calendar of the standard library ---

Rule = Callable[[date, list[date]], bool]


def nearest(day: date, days: list[date]) -> date:
    """The working day nearest to a day, in the same month."""
    return min(
        (each for each in days if each.weekday() < 5),
        key=lambda each: (abs(each - day), each > day if day.weekday() == 5 else each < day),
    )


def of_weekday(weekday: int, days: list[date]) -> list[date]:
    return [each for each in days if each.isoweekday() % 7 == weekday]


DAYS: dict[str, Rule] = {
    "*": lambda _day, _days: True,
    "13": lambda day, _days: day.day == 13,
    "*/10": lambda day, _days: day.day in (1, 11, 21, 31),
    "28-2": lambda day, _days: day.day >= 28 or day.day <= 2,
    "L": lambda day, days: day == days[-1],
    "L-3": lambda day, days: day == days[-4],
    "LW": lambda day, days: day == nearest(days[-1], days),
    "L-2W": lambda day, days: day == nearest(days[-3], days),
    "1W": lambda day, days: day == nearest(days[0], days),
    "15W": lambda day, days: day == nearest(days[14], days),
    "31W": lambda day, days: len(days) == 31 and day == nearest(days[30], days),
    "31": lambda day, _days: day.day == 31,
}
WEEKDAYS: dict[str, Rule] = {
    "*": lambda _day, _days: True,
    "FRI": lambda day, _days: day.isoweekday() == 5,
    "6-1": lambda day, _days: day.isoweekday() in (6, 7, 1),
    "MON#2": lambda day, days: day == of_weekday(1, days)[1],
    "SUN#5": lambda day, days: day in of_weekday(0, days)[4:],
    "FRIL": lambda day, days: day == of_weekday(5, days)[-1],
    "7#L,WED": lambda day, days: day == of_weekday(0, days)[-1] or day.isoweekday() == 3,
}


@given(st.sampled_from(list(DAYS)), st.sampled_from(list(WEEKDAYS)), st.integers(1, 9999), st.integers(1, 12))
def test_days_of_a_month_are_those_of_the_calendar(day: str, weekday: str, year: int, month: int) -> None:
    days = [date(year, month, number) for number in range(1, calendar.monthrange(year, month)[1] + 1)]
    either = day != "*" and weekday != "*"
    expected = [
        each.day for each in days if (any if either else all)((DAYS[day](each, days), WEEKDAYS[weekday](each, days)))
    ]
    assert bits(CronExpression.parse(f"0 0 {day} * {weekday}").days(year, month)) == expected


@pytest.mark.parametrize(
    ("day", "restricts"), [("*/1", False), ("?", False), ("*,5", False), ("1-31", True), ("*/2", True)]
)
def test_star_decides_whether_both_day_fields_restrict(day: str, restricts: bool) -> None:
    # September 2024 starts on a Sunday.
    found = bits(CronExpression.parse(f"0 0 {day} * MON").days(2024, 9))
    mondays = [2, 9, 16, 23, 30]
    assert (found != mondays) is restricts


# --- times of a day ---


@cache
def matching_times(text: str) -> list[int]:
    """All times of a day that match, in seconds, found one after the other."""
    second, minute, hour, *_ = (set(bits(field.mask)) for field in CronExpression.parse(text).fields)
    return [
        time for time in range(86_400) if time % 60 in second and time // 60 % 60 in minute and time // 3600 in hour
    ]


@given(
    st.sampled_from(["* * * * * *", "*/7 3,50 * * * *", "0 0 9-17 * * *", "59 59 23 * * *", "5,10 */30 2,3 * * *"]),
    st.integers(0, 86_399),
)
def test_times_of_a_day_are_found_in_both_directions(text: str, time: int) -> None:
    cron, times = CronExpression.parse(text), matching_times(text)
    later, earlier = bisect_left(times, time), bisect_right(times, time)
    assert cron.time_from(time) == (times[later] if later < len(times) else -1)
    assert cron.time_until(time) == (times[earlier - 1] if earlier else -1)


# --- H ---


def hashed(text: str, seed: str) -> list[int]:
    return bits(CronExpression.parse(text, seed=seed).minutes)


def test_hashed_values_are_the_same_in_every_release() -> None:
    cron = CronExpression.parse("H H H H H H", seed="01970b6e-0000-7000-8000-000000000001")
    assert [bits(field.mask) for field in cron.fields] == [[42], [9], [15], [3], [5], [0]]


def test_hashed_values_spread_over_the_range() -> None:
    seeds = [f"schedule-{number}" for number in range(600)]
    assert {hashed("H * * * *", seed)[0] for seed in seeds} == set(range(60))
    assert {hashed("H(10-19) * * * *", seed)[0] for seed in seeds} == set(range(10, 20))
    assert {tuple(hashed("H/15 * * * *", seed)) for seed in seeds} == {
        (first, first + 15, first + 30, first + 45) for first in range(15)
    }
    assert {tuple(hashed("H(0-29)/10 * * * *", seed)) for seed in seeds} == {
        (first, first + 10, first + 20) for first in range(10)
    }


def test_hashed_day_exists_in_every_month() -> None:
    days = {bits(CronExpression.parse("0 0 H * *", seed=str(seed)).fields[DAY].mask)[0] for seed in range(500)}
    assert days == set(range(1, 29))


def test_fields_are_hashed_apart() -> None:
    pairs = {
        (cron.minutes, cron.seconds)
        for cron in (CronExpression.parse("H H * * * *", seed=str(seed)) for seed in range(200))
    }
    assert len({minute.bit_length() - second.bit_length() for minute, second in pairs}) > 40
