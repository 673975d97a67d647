from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from rota.schedule.run import RunAttempt, ScheduleRun
from rota.store.run_merge import covers, extended, merged
from rota.store.run_statistics import percentile, statistics_of
from rota.store.then_chains import problem_of_chain

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLAIMED = ScheduleRun(id="s-1", schedule_id="s", schedule_version=3, planned_at=NOON, queue="q")
FIRED = replace(CLAIMED, enqueued_at=NOON, task_ids=("s-1",))
STARTED = replace(FIRED, started_at=NOON, attempts=(RunAttempt(worker="w", started_at=NOON),))
ENDED = replace(STARTED, ended_at=NOON, outcome="succeeded", result=b"1")
LOST = replace(FIRED, outcome="lost", error="no trace")


@pytest.mark.parametrize("order", list(permutations([CLAIMED, FIRED, STARTED, ENDED])))
def test_records_of_a_run_give_one_result_in_any_order(order: tuple[ScheduleRun, ...]) -> None:
    stored, *later = order
    for record in (*later, *order):
        stored = merged(stored, record)

    assert stored == ENDED


def test_lost_run_takes_the_outcome_that_is_found_later_and_no_other_run_does() -> None:
    assert merged(LOST, ENDED).outcome == "succeeded"
    assert merged(ENDED, LOST).outcome == "succeeded"
    assert merged(ENDED, replace(ENDED, outcome="failed")).outcome == "succeeded"


def skip(first: int, last: int, reason: str = "paused") -> ScheduleRun:
    start, end = (NOON + timedelta(minutes=minute) for minute in (first, last))
    planned = replace(CLAIMED, id=f"s-{first}", planned_at=start)
    return replace(planned, outcome="skipped", skip_reason=reason, skip_count=last - first + 1, skip_until=end)  # type: ignore[arg-type]


def test_skip_extends_the_one_before_it_for_the_same_reason_alone() -> None:
    longer = extended(skip(0, 3), skip(4, 5))

    assert longer is not None
    assert (longer.id, longer.skip_count, longer.skip_until) == ("s-0", 6, NOON + timedelta(minutes=5))
    assert extended(skip(0, 3), skip(4, 5, "overlap")) is None
    assert extended(skip(0, 3), skip(2, 3)) is None
    assert extended(FIRED, skip(4, 5)) is None


def test_counted_skip_is_covered() -> None:
    assert covers(skip(0, 9), skip(3, 4))
    assert not covers(skip(0, 9), skip(3, 10))
    assert not covers(skip(0, 9), skip(3, 4, "overlap"))


@pytest.mark.parametrize(("percent", "seconds"), [(50, 5), (95, 10), (1, 1), (100, 10)])
def test_percentile_is_a_value_that_occurred(percent: int, seconds: int) -> None:
    assert percentile([timedelta(seconds=each) for each in range(1, 11)], percent) == timedelta(seconds=seconds)


def test_statistics_without_runs_say_nothing() -> None:
    found = statistics_of([])

    assert (found.runs, found.streak, found.success_rate, found.duration_p50) == (0, 0, None, None)


def test_chain_without_a_circle_is_right_also_where_it_meets_again() -> None:
    diamond = {"a": frozenset("bc"), "b": frozenset("d"), "c": frozenset("d"), "d": frozenset[str]()}

    assert problem_of_chain("a", diamond) == ""
    assert "d → a" in problem_of_chain("d", {**diamond, "d": frozenset("a")})


def test_circle_of_other_schedules_does_not_hang() -> None:
    found = {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("b")}

    assert "chain of" in problem_of_chain("a", found)
