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
from rota.schedule.search import Occurrence
from rota.schedule.simulation import simulate
from rota.schedule.trigger import Trigger

START = datetime(2026, 3, 2, 10, 0, 0, 123_000, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)
CALENDARS = {"week": Calendar.read({"name": "week", "days_off": ["sat", "sun"]})}


def stored(name: str = "s", **words: Any) -> StoredSchedule:
    definition = ScheduleDefinition.read({"name": name, "task_type": "a:b", **words})
    return StoredSchedule(id=name, definition=definition, created_at=START, updated_at=START)


def forecast(*schedules: StoredSchedule, days: int = 7, limit: int = 10) -> Forecast:
    return make_forecast(schedules, START, START + days * DAY, limit=limit, calendars=CALENDARS)


@pytest.mark.parametrize(
    "spec",
    [
        "every 45s",
        "@every 45s",
        "*/45 */4 * * * *",
        "every 7m",
        "@every 59s",
        ["every 7m", "30,59 */10 7-20 * * *", "0 7 * * *"],
        ["every 10m from 07:00 to 07:30", "every 2 days at 07:00", "*/20 7 * * *"],
    ],
)
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


@pytest.mark.parametrize(
    ("timezone", "day"),
    [
        ("America/New_York", "2026-03-07"),
        ("America/New_York", "2026-10-31"),
        ("Australia/Lord_Howe", "2026-04-04"),
        ("Australia/Lord_Howe", "2026-10-03"),
        ("Asia/Kathmandu", "2026-10-03"),
    ],
)
@pytest.mark.parametrize(
    "spec",
    [
        "*/20 */7 * * * *",
        "15,45 10,40 1-3 * * *",
        "0 30 2 * * *",
        "59 59 1 * * *",
        ["every 45s", "*/15 * * * *", "5 30 1 * * *"],
        ["30 2 * * *", "0 3 * * *"],
    ],
)
@pytest.mark.parametrize("words", [{}, {"repeated_hour": "twice", "skipped_hour": "skip"}])
def test_counts_around_a_clock_change_are_those_of_the_listed_fires(
    timezone: str, day: str, spec: str | list[str], words: dict[str, Any]
) -> None:
    start = datetime.fromisoformat(f"{day}T03:17:05.5+00:00")
    schedule, until = stored(specs=spec, timezone=timezone, **words), start + 2 * DAY
    listed = Counter(each.at.replace(second=0, microsecond=0) for each in simulate(schedule, start, until))

    assert Counter(dict(FireCounter(start, until).by_minute(schedule))) == listed


def test_month_of_cron_expressions_with_seconds_is_counted_with_few_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    searches = 0
    occurrence = Trigger.occurrence

    def counted(trigger: Trigger, after: datetime) -> Occurrence | None:
        nonlocal searches
        searches += 1
        return occurrence(trigger, after)

    monkeypatch.setattr(Trigger, "occurrence", counted)
    found = forecast(stored("busy", specs=["* * * * * *", "*/5 * * * *", "every 5s"]), days=31)

    assert sum(found.days.values()) == pytest.approx(31 * 86_400 * 1.2, rel=0.001)
    assert searches < 2 * 31 * 25


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
        forecast(stored("busy", specs="every 1m from 00:00 to 23:59"))
