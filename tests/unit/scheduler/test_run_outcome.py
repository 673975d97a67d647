"""How a run ends with its tasks."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rota.schedule.run import ScheduleRun
from rota.scheduler.run_outcome import MOST_LOG_BYTES, followed, log_lines
from rota.wire.look_task import StoredTask
from rota.wire.message import pack
from rota.wire.proto import TaskMessage

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUN = ScheduleRun(
    id="s-1", schedule_id="s", schedule_version=1, planned_at=NOW, enqueued_at=NOW, queue="q", task_ids=("a", "b")
)
LATER = NOW + timedelta(minutes=1)


def task(state: str, **fields: bytes) -> StoredTask:
    return StoredTask("q", "a", state, LATER.timestamp(), None, {"msg": pack("t", b"{}", "a", queue="q"), **fields})


GONE = StoredTask("q", "a", "", LATER.timestamp())


@pytest.mark.parametrize("state", ["pending", "active", "scheduled", "retry", "aggregating"])
def test_run_is_open_while_one_of_its_tasks_is(state: str) -> None:
    assert followed(RUN, [task("completed"), task(state)], LATER) == RUN


def test_worst_end_of_the_tasks_is_the_outcome() -> None:
    assert followed(RUN, [task("completed"), task("completed", result=b"1")], LATER).outcome == "succeeded"
    assert followed(RUN, [task("completed"), task("archived")], LATER).outcome == "failed"
    assert followed(RUN, [task("archived", rota_end=b"cancelled"), task("completed")], LATER).outcome == "cancelled"
    assert followed(RUN, [task("archived"), GONE], LATER).outcome == "lost"


def test_task_that_is_not_there_yet_is_not_lost() -> None:
    assert followed(RUN, [GONE], NOW + timedelta(seconds=5)) == RUN
    assert followed(RUN, [GONE], LATER).outcome == "lost"


def test_attempts_of_a_worker_are_kept() -> None:
    line = b'{"n":1,"host":"h","pid":7,"started":1772366400000,"ended":1772366401000,"error":"E"}\nrubbish\n'
    run = followed(RUN, [task("archived", rota_attempts=line)], LATER)
    [attempt] = run.attempts
    assert (attempt.worker, attempt.started_at, attempt.error) == ("h:7", NOW, "E")
    assert run.started_at == NOW


def attempt(start: float, seconds: float, **members: object) -> bytes:
    """The record of an attempt that started so many seconds after `NOW`."""
    ms = round((NOW.timestamp() + start) * 1000)
    return json.dumps({"n": 1, "worker": "w", "started": ms, "ended": ms + round(seconds * 1000), **members}).encode()


def ended_at(second: int, **fields: bytes) -> StoredTask:
    """A task that has succeeded, as its message tells: in whole seconds."""
    end = TaskMessage(completed_at=int(NOW.timestamp()) + second).SerializeToString()
    found = task("completed", **fields)
    return replace(found, fields={**found.fields, "msg": found.fields["msg"] + end})


def test_end_is_told_to_the_millisecond_where_a_worker_noted_it() -> None:
    run = followed(RUN, [ended_at(1, rota_attempts=attempt(1.25, 0.5))], LATER)
    assert (run.started_at, run.ended_at) == (NOW + timedelta(seconds=1.25), NOW + timedelta(seconds=1.75))


def test_end_is_not_before_the_enqueue_where_a_go_server_ran_the_task() -> None:
    late = replace(RUN, enqueued_at=NOW + timedelta(seconds=3.5))
    run = followed(late, [ended_at(3)], LATER)
    assert (run.started_at, run.ended_at, run.log) == (None, late.enqueued_at, ())


def test_go_server_that_ended_a_task_after_an_attempt_of_ours_tells_the_end() -> None:
    run = followed(RUN, [ended_at(30, rota_attempts=attempt(1, 2, error="boom"))], LATER)
    assert (run.started_at, run.ended_at) == (NOW + timedelta(seconds=1), NOW + timedelta(seconds=30))


def test_run_of_several_tasks_lasts_from_the_first_start_to_the_last_end() -> None:
    first, last = ended_at(1, rota_attempts=attempt(1, 0.5)), ended_at(9, rota_attempts=attempt(4, 5.5))
    failed = task("archived", rota_attempts=attempt(2, 3, error="boom"))
    run = followed(RUN, [first, failed, last], NOW)
    assert (run.started_at, run.ended_at) == (NOW + timedelta(seconds=1), NOW + timedelta(seconds=9.5))
    assert [each.error for each in run.attempts] == ["boom"]


def test_attempt_whose_worker_was_killed_is_kept_as_it_is() -> None:
    killed = attempt(1, 30, host="h", pid=7, outcome="crashed", error="worker died: it was ended by SIGKILL")
    run = followed(RUN, [ended_at(40, rota_attempts=killed + b"\n" + attempt(32, 8.5, n=2))], LATER)
    first, second = run.attempts
    assert (first.worker, first.error) == ("h:7", "worker died: it was ended by SIGKILL")
    assert first.ended_at == second.started_at - timedelta(seconds=1)
    assert (run.outcome, run.started_at, run.ended_at) == ("succeeded", first.started_at, second.ended_at)


def test_log_lines_are_those_of_the_task() -> None:
    log = "2026-03-01T12:00:00.001Z zwölf\n2026-03-01T12:00:00.002Z \n".encode()
    run = followed(replace(RUN, task_ids=("a",)), [task("completed", rota_log=log)], LATER)
    assert run.log == ("2026-03-01T12:00:00.001Z zwölf", "2026-03-01T12:00:00.002Z ")


def test_log_lines_of_several_tasks_are_in_order_of_time_with_their_shards() -> None:
    tasks = [
        task("completed", rota_log=b"2026-03-01T12:00:00.001Z a\n2026-03-01T12:00:00.003Z c\n"),
        task("archived", rota_log=b"2026-03-01T12:00:00.002Z b\nrubbish\n"),
    ]
    assert followed(RUN, tasks, LATER).log == (
        "2026-03-01T12:00:00.001Z [0] a",
        "2026-03-01T12:00:00.002Z [1] b",
        "2026-03-01T12:00:00.003Z [0] c",
        "rubbish [1]",
    )


def test_newest_log_lines_are_kept_up_to_the_limit() -> None:
    lines = [f"{number:06} {'ü' * 500}" for number in range(1000)]
    kept = log_lines(["\n".join(lines).encode()])
    assert kept == tuple(lines[-len(kept) :])
    assert MOST_LOG_BYTES - 1100 < sum(len(line.encode()) + 1 for line in kept) <= MOST_LOG_BYTES
    [cut] = log_lines(["😀".encode() * MOST_LOG_BYTES])
    assert len(cut.encode()) < MOST_LOG_BYTES
