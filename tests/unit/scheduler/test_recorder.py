"""How a run ends with its tasks."""

from datetime import UTC, datetime, timedelta

import pytest

from rota.schedule.run import ScheduleRun
from rota.scheduler.recorder import followed
from rota.wire.look_task import StoredTask
from rota.wire.message import pack

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
