"""What happens to a run while earlier runs of its schedule are not over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rota.schedule.definition import Overlap, ScheduleDefinition
from rota.schedule.overlap import may_start, next_to_start
from rota.schedule.run import RunAttempt, ScheduleRun

AT = datetime(2026, 3, 1, 2, tzinfo=UTC)


def schedule(overlap: Overlap = "skip", limit: int | None = None) -> ScheduleDefinition:
    return ScheduleDefinition(name="s", task_type="a:b", specs="@hourly", overlap=overlap, overlap_limit=limit)


def run(number: int, **words: Any) -> ScheduleRun:
    planned_at = AT + timedelta(hours=number)
    return ScheduleRun(id=f"run-{number}", schedule_id="s", schedule_version=1, planned_at=planned_at, **words)


def running(number: int) -> ScheduleRun:
    return run(number, enqueued_at=AT, started_at=AT, attempts=(RunAttempt(worker="host-b:7", started_at=AT),))


PENDING, WAITING = run(1, enqueued_at=AT), run(2)


@pytest.mark.parametrize("overlap", ["skip", "allow", "queue_one", "queue_all", "replace"])
def test_run_starts_while_none_is_open(overlap: Overlap) -> None:
    assert may_start(schedule(overlap), []).act == "start"


def test_skip_names_the_run_that_is_in_the_way() -> None:
    verdict = may_start(schedule(), [running(1)])

    assert (verdict.act, verdict.reason) == ("skip", "overlap")
    assert verdict.note == "overlap is skip, and run run-1 has been running on host-b:7 since 2026-03-01 02:00:00 UTC"


def test_skip_counts_a_run_that_no_worker_has_begun() -> None:
    assert "has been waiting for a worker since" in may_start(schedule(), [PENDING]).note


def test_skip_tells_a_run_that_has_begun_from_one_that_waits() -> None:
    assert may_start(schedule(), [PENDING], begun={PENDING.id}).note == "overlap is skip, and run run-1 is running"


def test_allow_starts_beside_others() -> None:
    assert may_start(schedule("allow"), [running(1), PENDING]).act == "start"


def test_queue_one_lets_one_run_wait_and_skips_the_next() -> None:
    assert may_start(schedule("queue_one"), [running(1)]).act == "wait"

    verdict = may_start(schedule("queue_one"), [running(1), WAITING])

    assert (verdict.act, verdict.note) == ("skip", "overlap is queue_one, and 1 run waits already")


def test_queue_all_lets_runs_wait_up_to_the_limit() -> None:
    waiting = [run(number) for number in range(2, 5)]

    assert may_start(schedule("queue_all", 4), [running(1), *waiting]).act == "wait"
    assert may_start(schedule("queue_all", 3), [running(1), *waiting]).act == "skip"


def test_replace_cancels_what_is_enqueued_and_gives_up_what_waits() -> None:
    verdict = may_start(schedule("replace"), [running(0), PENDING, WAITING])

    assert (verdict.act, verdict.cancel, verdict.give_up) == ("wait", ("run-0", "run-1"), ("run-2",))


def test_replace_starts_at_once_where_others_only_wait() -> None:
    verdict = may_start(schedule("replace"), [WAITING])

    assert (verdict.act, verdict.cancel, verdict.give_up) == ("start", (), ("run-2",))


def test_rule_of_a_run_by_hand_overrides_that_of_the_schedule() -> None:
    assert may_start(schedule("skip"), [PENDING], overlap="allow").act == "start"
    assert may_start(schedule("skip"), [PENDING], overlap="queue_all").act == "wait"


def test_earliest_waiting_run_starts_once_no_enqueued_run_is_open() -> None:
    later, earlier = run(3), run(2)

    assert next_to_start([PENDING, later, earlier]) is None
    assert next_to_start([later, earlier]) == earlier
    assert next_to_start([]) is None
