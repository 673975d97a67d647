"""Builds the snapshots that users see from the stored record of a task, even if the record is broken."""

from datetime import datetime, timedelta
from typing import Any, TypeVar

from rota.tasks.job import TaskInfo, TaskState
from rota.wire.look_task import StoredTask
from rota.wire.proto import TaskMessage
from rota.wire.times import from_unix

InfoT = TypeVar("InfoT", bound=TaskInfo)


def read(kind: type[InfoT], stored: StoredTask, message: TaskMessage, **more: Any) -> InfoT:
    """Build a snapshot. `more` are the additional fields of this kind. No stored value makes this fail."""
    fields = stored.fields
    return kind(
        id=stored.id,
        queue=stored.queue,
        type=message.type,
        payload=message.payload,
        state=TaskState(stored.state),
        headers=dict(message.headers),
        max_retry=message.retry,
        retried=message.retried,
        last_error=message.error_msg,
        last_failed_at=from_unix(message.last_failed_at),
        timeout=_seconds(message.timeout),
        deadline=from_unix(message.deadline),
        group=message.group_key,
        next_process_at=_next(stored),
        is_orphaned=stored.state == TaskState.ACTIVE and (stored.score is None or stored.score <= stored.now),
        retention=_seconds(message.retention),
        completed_at=from_unix(message.completed_at),
        result=fields.get("result", b""),
        unique_key=message.unique_key,
        end=stored.text("rota_end") or "",
        crashes=stored.number("rota_crashes") or 0,
        progress=fields.get("rota_progress", b""),
        log=fields.get("rota_log", b""),
        traceback=_traceback(fields.get("rota_traceback", b""), message),
        **more,
    )


def _traceback(raw: bytes, message: TaskMessage) -> str:
    """Read the traceback. Its first line is the time of its error: if the task has failed later, it is stale."""
    failed_at, _, text = raw.partition(b"\n")
    return text.decode("utf-8", "replace") if failed_at == b"%d" % message.last_failed_at else ""


def _next(stored: StoredTask) -> datetime | None:
    match stored.state:
        case TaskState.SCHEDULED | TaskState.RETRY:
            return from_unix(stored.score)
        case TaskState.PENDING:
            return from_unix(stored.now)
        case _:
            return None


def _seconds(value: int) -> timedelta | None:
    try:
        return timedelta(seconds=value) if value else None
    except OverflowError:
        return timedelta.max if value > 0 else timedelta.min
