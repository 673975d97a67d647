"""Simulations: they end, also where a calendar leaves nothing to fire."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

from rota.schedule.calendar import Calendar
from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.schedule.simulation import simulate

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)


def stored(**words: Any) -> StoredSchedule:
    definition = ScheduleDefinition.read({"name": "s", "task_type": "a:b", "calendar": "c", **words})
    return StoredSchedule(id="id", definition=definition, created_at=START, updated_at=START)


def calendar(**words: Any) -> dict[str, Calendar]:
    return {"c": Calendar.read({"name": "c", **words})}


def test_simulation_without_an_end_stops_where_no_working_day_is_left() -> None:
    closed = calendar(other_days="off", working_days=["2026-03-03"])

    found = [each.at for each in simulate(stored(specs="0 */12 * * *"), START, calendars=closed)]

    assert found == [START + DAY, START + 1.5 * DAY]
    assert list(simulate(stored(specs="@every 1s"), START + 2 * DAY, calendars=closed)) == []


def test_days_off_are_passed_over_and_the_times_after_them_are_found() -> None:
    found = list(islice(simulate(stored(specs="0 9 * * *"), START, calendars=calendar(days_off=["sat", "sun"])), 7))

    assert [each.at.date() for each in found[4:6]] == [date(2026, 3, 6), date(2026, 3, 9)]


def test_simulation_without_an_end_shows_times_that_are_eight_years_apart() -> None:
    found = list(islice(simulate(stored(specs="0 0 29 2 *", calendar=None), datetime(2090, 1, 1, tzinfo=UTC)), 3))

    assert [each.at.year for each in found] == [2092, 2096, 2104]
