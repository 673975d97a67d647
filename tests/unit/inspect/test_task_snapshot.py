from datetime import UTC, datetime, timedelta

import pytest

from rota.inspect.task_snapshot import ProgressReport, read_task
from rota.tasks.job import TaskState
from rota.wire.look_task import StoredTask
from rota.wire.proto import TaskMessage

NOW = 1700000000.5


def stored(state: TaskState = TaskState.PENDING, score: float | None = None, **fields: bytes) -> StoredTask:
    message = TaskMessage(type="t", id="a", queue="q").SerializeToString()
    return StoredTask("q", "a", state, NOW, score, {"msg": message, **fields})


def test_a_pending_task_is_due_now():
    assert read_task(stored()).next_process_at == datetime.fromtimestamp(NOW, UTC)


@pytest.mark.parametrize("state", [TaskState.ACTIVE, TaskState.ARCHIVED, TaskState.COMPLETED, TaskState.AGGREGATING])
def test_a_task_that_waits_for_no_time_is_due_never(state: TaskState):
    assert read_task(stored(state, NOW + 10)).next_process_at is None


@pytest.mark.parametrize(("lease", "orphaned"), [(NOW + 1, False), (NOW, True), (None, True)])
def test_an_active_task_is_orphaned_without_a_living_lease(lease: float | None, orphaned: bool):
    assert read_task(stored(TaskState.ACTIVE, lease)).is_orphaned is orphaned


def test_only_active_tasks_can_be_orphaned():
    assert not read_task(stored(TaskState.RETRY, NOW - 10)).is_orphaned


def test_archived_task_tells_when_it_was_archived():
    assert read_task(stored(TaskState.ARCHIVED, NOW)).archived_at == datetime.fromtimestamp(NOW, UTC)
    assert read_task(stored(TaskState.COMPLETED, NOW)).archived_at is None


@pytest.mark.parametrize("message", [b"", b"\xff\xff", b"\x0a\x01\xff"])
def test_a_message_that_is_none_makes_a_blank_task(message: bytes):
    task = read_task(stored(msg=message))
    assert (task.is_unreadable, task.is_dangling, task.type, task.id) == (True, False, "", "a")


def test_fields_with_nonsense_in_them_do_not_hide_the_task():
    task = read_task(stored(pending_since=b"soon", rota_crashes=b"", rota_end=b"\xff", rota_progress=b"{"))
    assert (task.pending_since, task.crashes, task.end, task.last_report) == (None, 0, "\ufffd", None)


def test_times_that_no_calendar_holds_are_shown_as_never():
    message = TaskMessage(type="t", deadline=2**62, timeout=2**62, retention=-(2**62)).SerializeToString()
    task = read_task(stored(msg=message, pending_since=str(2**90).encode()))
    assert (task.deadline, task.pending_since) == (None, None)
    assert (task.timeout, task.retention) == (timedelta.max, timedelta.min)


@pytest.mark.parametrize(
    ("progress", "report"),
    [
        (b"", None),
        (b"[3,10]", None),
        (b'{"done":"many","total":null}', None),
        (b'{"done":1,"total":null}', ProgressReport(1, None, "", None)),
        (
            b'{"done":2.5,"total":10,"text":"rows","at":1.5}',
            ProgressReport(2.5, 10, "rows", datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)),
        ),
    ],
)
def test_progress_is_read_where_it_is_one(progress: bytes, report: ProgressReport | None):
    assert read_task(stored(rota_progress=progress)).last_report == report
