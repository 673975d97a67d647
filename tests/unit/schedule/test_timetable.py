"""Planned times: moved by a calendar, delayed by jitter, found forwards and backwards."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.schedule.definition import ScheduleDefinition
from rota.schedule.timetable import Timetable

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)


class SomeDays:
    """A calendar with these days off."""

    def __init__(self, days: frozenset[date]) -> None:
        self.days = days

    def is_off(self, day: date, /) -> bool:
        return day in self.days


class NeverOpen:
    """A calendar without a working day."""

    def is_off(self, day: date, /) -> bool:
        return True


def timetable(*, days_off: Any = None, since: datetime = START, id: str = "id", **words: Any) -> Timetable:
    definition = ScheduleDefinition.read({"name": "s", "task_type": "a:b", "specs": "0 9 * * *", **words})
    return Timetable(id, definition, since, days_off)


def forwards(planned: Timetable, until: datetime) -> list[datetime]:
    found, last = [], planned.next(planned.since)
    while last is not None and last <= until:
        found.append(last)
        last = planned.next(last)
    return found


def backwards(planned: Timetable, start: datetime) -> list[datetime]:
    found, last = [], planned.previous(start)
    while last is not None:
        found.append(last)
        last = planned.previous(last)
    return found


def moved(planned: Timetable, nominal: datetime, to: Literal[1, -1], off: frozenset[date]) -> datetime:
    """Where a nominal time moves: day by day, with the time that its clock shows."""
    local = nominal.astimezone(ZoneInfo(planned.definition.timezone))
    day = local.date()
    while day in off:
        day += to * DAY
    return datetime.combine(day, local.timetz()).astimezone(UTC)


OFF = st.frozensets(st.integers(0, 30), max_size=20).map(lambda days: frozenset(START.date() + n * DAY for n in days))


@settings(deadline=None, max_examples=60)
@given(
    OFF,
    st.sampled_from(["0 9 * * *", "0 9 */3 * *", "15 0,12,23 * * *", "0 */5 * * *", "0 8 * * 6"]),
    st.sampled_from(["UTC", "Asia/Shanghai", "America/Los_Angeles"]),
    st.sampled_from(["next_working_day", "previous_working_day"]),
)
def test_times_on_days_off_move_to_a_working_day_and_meet_there(
    off: frozenset[date], spec: str, zone: str, on_day_off: str
) -> None:
    plain = timetable(specs=spec, timezone=zone, since=START - 40 * DAY)
    planned = timetable(specs=spec, timezone=zone, days_off=SomeDays(off), calendar="c", on_day_off=on_day_off)
    to: Literal[1, -1] = 1 if on_day_off == "next_working_day" else -1
    end = START + 31 * DAY

    expected = sorted({moved(plain, each, to, off) for each in forwards(plain, end + 40 * DAY)})

    within = [each for each in expected if START < each <= end]
    assert forwards(planned, end) == within
    assert backwards(planned, end + timedelta(microseconds=1))[::-1] == within


def test_calendar_without_a_working_day_plans_nothing() -> None:
    planned = timetable(days_off=NeverOpen(), calendar="c", on_day_off="next_working_day")

    assert planned.next(START) is None
    assert planned.previous(START + 9 * DAY) is None


def test_moved_time_keeps_what_the_clock_shows_across_a_clock_change() -> None:
    sunday = frozenset([date(2026, 3, 29)])  # Berlin changes to summer time
    planned = timetable(
        specs="30 1 29 3 *",
        timezone="Europe/Berlin",
        days_off=SomeDays(sunday),
        calendar="c",
        on_day_off="next_working_day",
    )

    assert planned.next(START) == datetime(2026, 3, 29, 23, 30, tzinfo=UTC)  # Monday 01:30


def test_moved_time_that_does_not_exist_fires_after_the_gap() -> None:
    saturday = frozenset([date(2026, 3, 28)])
    planned = timetable(
        specs="30 2 28 3 *",
        timezone="Europe/Berlin",
        days_off=SomeDays(saturday),
        calendar="c",
        on_day_off="next_working_day",
    )

    assert planned.next(START) == datetime(2026, 3, 29, 1, tzinfo=UTC)  # 03:00, after the gap


def test_day_off_is_one_in_the_zone_of_the_schedule() -> None:
    planned = timetable(specs="0 1 * * *", timezone="Asia/Shanghai", days_off=SomeDays(frozenset([date(2026, 3, 3)])))

    assert planned.is_off(datetime(2026, 3, 2, 17, tzinfo=UTC))  # 3 March, 01:00 in Shanghai
    assert not planned.is_off(datetime(2026, 3, 3, 17, tzinfo=UTC))


def test_jitter_is_the_same_in_every_process_and_differs_between_times() -> None:
    planned = timetable(specs="@hourly", jitter="10m")
    times = [START + timedelta(hours=hour) for hour in range(1, 200)]

    delays = [planned.fires_at(each) - each for each in times]

    assert delays[:2] == [timedelta(milliseconds=385_828), timedelta(milliseconds=352_999)]
    assert max(delays) <= timedelta(minutes=10)
    assert min(delays) >= timedelta(0)
    assert timedelta(minutes=4) < sum(delays, timedelta(0)) / len(delays) < timedelta(minutes=6)
    assert timetable(specs="@hourly", jitter="10m", id="other").fires_at(times[0]) != planned.fires_at(times[0])


def test_without_jitter_a_run_starts_at_its_planned_time() -> None:
    assert timetable().fires_at(START) == START


def test_interval_counts_from_when_its_times_hold() -> None:
    planned = timetable(specs=["@every 168h", "0 0 * * *"], since=START + timedelta(hours=1))

    assert START + 7 * DAY + timedelta(hours=1) in forwards(planned, START + 8 * DAY)


def test_h_in_a_spec_is_seeded_by_the_schedule() -> None:
    minutes = {timetable(specs="H * * * *", id=str(number)).next(START) for number in range(20)}

    assert len(minutes) > 5


@pytest.mark.parametrize("spec", ["@hourly", "@every 90s"])
def test_ends_and_starts_hold_in_both_directions(spec: str) -> None:
    planned = timetable(specs=spec, starts_at=START + DAY, ends_at=START + 2 * DAY)

    assert planned.next(START) == START + DAY
    assert planned.previous(START + 9 * DAY) == START + 2 * DAY
    assert planned.previous(START + DAY) is None
    assert planned.next(START + 2 * DAY) is None
