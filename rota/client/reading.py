"""From the fields of a task's hash to the snapshot that users see."""

from datetime import UTC, datetime, timedelta

from rota.info import TaskInfo, TaskState
from rota.wire.look import Seen
from rota.wire.message import unpack


def snapshot(seen: Seen, queue: str, task_id: str) -> TaskInfo:
    """Return a task as it stood when it was read."""
    fields = seen.fields
    message = unpack(fields.get(b"msg", b""))
    state = TaskState(fields[b"state"].decode()) if b"state" in fields else TaskState.PENDING
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
        next_process_at=_instant(seen.now if state is TaskState.PENDING else seen.due),
        is_orphaned=state is TaskState.ACTIVE and (seen.leased_until or 0) <= seen.now,
        retention=_duration(message.retention),
        completed_at=_instant(message.completed_at),
        result=fields.get(b"result", b""),
        unique_key=message.unique_key,
        end=fields.get(b"rota_end", b"").decode(errors="replace"),
        crashes=int(fields.get(b"rota_crashes", b"0")),
        progress=fields.get(b"rota_progress", b""),
        log=fields.get(b"rota_log", b""),
    )


def _instant(unix: float | None) -> datetime | None:
    return datetime.fromtimestamp(unix, UTC) if unix else None


def _duration(seconds: int) -> timedelta | None:
    return timedelta(seconds=seconds) if seconds else None
