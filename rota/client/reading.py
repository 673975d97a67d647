"""From the fields of a task's hash to the snapshot that users see."""

from datetime import UTC, datetime, timedelta

from rota.info import TaskInfo, TaskState
from rota.wire.look_task import OneTask
from rota.wire.message import unpack


def snapshot(look: OneTask, queue: str, task_id: str) -> TaskInfo:
    """Return a task as it stood when it was looked at."""
    fields = look.fields
    message = unpack(fields.get("msg", b""))
    # A hash without a state is a stub that somebody else left behind.
    state = TaskState(fields["state"].decode()) if "state" in fields else TaskState.PENDING
    due = look.now if state is TaskState.PENDING else look.scores.get(state) if state in _DUE else None
    return TaskInfo(
        id=task_id,
        queue=queue,
        type=message.type,
        payload=message.payload,
        state=state,
        headers=dict(message.headers),
        max_retry=message.retry,
        retried=message.retried,
        last_error=message.error_msg,
        last_failed_at=_instant(message.last_failed_at),
        timeout=_duration(message.timeout),
        deadline=_instant(message.deadline),
        group=message.group_key,
        next_process_at=_instant(due),
        is_orphaned=state is TaskState.ACTIVE and look.scores.get("active", 0) <= look.now,
        retention=_duration(message.retention),
        completed_at=_instant(message.completed_at),
        result=fields.get("result", b""),
        unique_key=message.unique_key,
        end=fields.get("rota_end", b"").decode(errors="replace"),
        crashes=int(fields.get("rota_crashes", b"0")),
        progress=fields.get("rota_progress", b""),
        log=fields.get("rota_log", b""),
    )


_DUE = (TaskState.SCHEDULED, TaskState.RETRY)


def _instant(unix: float | None) -> datetime | None:
    return datetime.fromtimestamp(unix, UTC) if unix else None


def _duration(seconds: int) -> timedelta | None:
    return timedelta(seconds=seconds) if seconds else None
