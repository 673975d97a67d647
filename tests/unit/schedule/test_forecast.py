"""Forecasts count the fires that a simulation lists, and intervals of seconds without a list."""

import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rota.errors import OptionError
from rota.schedule import fire_counts
from rota.schedule.calendar import Calendar
from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.schedule.fire_counts import FireCounter
from rota.schedule.forecast import Forecast, make_forecast
from rota.schedule.simulation import simulate

START = datetime(2026, 3, 2, 10, 0, 0, 123_000, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)
CALENDARS = {"week": Calendar.read({"name": "week", "days_off": ["sat", "sun"]})}


def stored(name: str = "s", **words: Any) -> StoredSchedule:
    definition = ScheduleDefinition.read({"name": name, "task_type": "a:b", **words})
    return StoredSchedule(id=name, definition=definition, created_at=START, updated_at=START)


def forecast(*schedules: StoredSchedule, days: int = 7, limit: int = 10) -> Forecast:
    return make_forecast(schedules, START, START + days * DAY, limit=limit, calendars=CALENDARS)


@pytest.mark.parametrize("spec", ["every 45s", "@every 45s", "*/45 * * * * *", "every 7m", "@every 59s"])
@pytest.mark.parametrize(
    "words",
    [
        {},
        {"calendar": "week", "timezone": "America/New_York"},
        {"calendar": "week", "on_day_off": "next_working_day"},
        {"max_runs": 100},
        {"ends_at": "2026-03-04T00:00:00.123Z"},
        {"pause_until": "2026-03-08T07:00:00Z", "calendar": "week"},
        {"starts_at": "2026-03-05T07:00:10.5Z"},
        {"enabled": False},
    ],
)
def test_counted_minutes_are_those_of_the_listed_fires(spec: str, words: dict[str, Any]) -> None:
    schedule, until = stored(specs=spec, **words), START + 6 * DAY
    listed = Counter(
        each.at.replace(second=0, microsecond=0) for each in simulate(schedule, START, until, calendars=CALENDARS)
    )

    assert Counter(dict(FireCounter(START, until, CALENDARS).by_minute(schedule))) == listed


def test_week_of_a_schedule_that_fires_every_two_seconds_is_counted_in_little_memory() -> None:
    busy = [stored(name, specs=spec) for name, spec in (("a", "every 2s"), ("b", "@every 2s"))]
    tracemalloc.start()
    found = forecast(*busy)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert list(found.days.values())[1:-1] == [2 * 43_200] * 6
    assert most < 20e6


def test_proposals_are_for_schedules_that_fire_rarely() -> None:
    nightly = [stored(f"n{number}", specs="0 3 * * *") for number in range(3)]
    found = forecast(*nightly, stored("often", specs="every 1s"), days=2, limit=3)

    assert list(found.crowded.values()) == [4, 4]
    assert [each.partition(":")[0] for each in found.proposals] == ["n0", "n1", "n2"]


def test_too_many_fires_that_have_to_be_found_one_by_one_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fire_counts, "MOST_FOUND", 1000)
    with pytest.raises(OptionError, match="More than 1,000 fires lie between"):
        forecast(stored("busy", specs="* * * * * *"))
