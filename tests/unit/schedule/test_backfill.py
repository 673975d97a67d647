"""The planned times that a backfill runs."""

from datetime import UTC, date, datetime, timedelta

import pytest

from rota.errors import OptionError
from rota.schedule.backfill import backfill_order_id, plan_backfill
from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.schedule.run import RunOutcome, ScheduleRun, run_id

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(hours=4)


def schedule(spec: str = "0 * * * *", **words: object) -> StoredSchedule:
    definition = ScheduleDefinition.read({"name": "s", "task_type": "t", "specs": [spec], **words})
    changed = datetime(2026, 5, 1, 12, 34, tzinfo=UTC)
    return StoredSchedule(id="s", definition=definition, created_at=changed, updated_at=changed)


def run(hour: float, outcome: RunOutcome | None, id: str = "") -> ScheduleRun:
    at = START + timedelta(hours=hour)
    return ScheduleRun(id=id or run_id("s", at), schedule_id="s", schedule_version=1, planned_at=at, outcome=outcome)


RUNS = [run(0, "succeeded"), run(1, "failed"), run(2, "skipped")]


@pytest.mark.parametrize(("what", "hours"), [("missing", [2, 3]), ("failed", [1, 2, 3]), ("all", [0, 1, 2, 3])])
def test_times_are_those_that_are_asked_for(what: str, hours: list[int]) -> None:
    found = plan_backfill(schedule(), RUNS, start=START, end=END, what=what)  # type: ignore[arg-type] # parametrized
    assert list(found.times) == [START + timedelta(hours=hour) for hour in hours]


def test_open_run_is_not_missing_and_not_failed() -> None:
    found = plan_backfill(schedule(), [run(0, None)], start=START, end=START + timedelta(hours=1), what="failed")
    assert found.times == ()


def test_time_that_was_backfilled_is_left_out() -> None:
    done = run(3, "failed", f"s-{backfill_order_id(START + timedelta(hours=3))}")
    found = plan_backfill(schedule(), [*RUNS, done], start=START, end=END, what="all")
    assert (len(found.times), found.done) == (3, 1)


def test_interval_counts_from_a_recorded_run() -> None:
    found = plan_backfill(schedule("@every 1h"), [run(0.5, "succeeded")], start=START, end=END)
    assert found.times[0] == START + timedelta(hours=1.5)


def test_days_off_are_left_out() -> None:
    class Sunday:
        def is_off(self, day: date, /) -> bool:
            return day.weekday() == 6

    found = plan_backfill(
        schedule("0 0 * * *", calendar="c"), [], start=START, end=START + timedelta(days=2), calendar=Sunday()
    )
    assert found.times == (START + timedelta(days=1),)  # the first of March is a Sunday


@pytest.mark.parametrize("spec", ["every 5m after end", "* * * * * *"])
def test_schedule_without_fixed_times_or_with_too_many_is_refused(spec: str) -> None:
    with pytest.raises(OptionError, match=r"lie fixed|in parts"):
        plan_backfill(schedule(spec), [], start=START, end=START + timedelta(days=30))
