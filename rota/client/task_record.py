"""Builds the snapshots that users see from the stored record of a task, even if the record is broken."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from rota.tasks.job import TaskAttempt, TaskInfo, TaskState
from rota.wire.attempts import records
from rota.wire.look_task import StoredTask
from rota.wire.proto import TaskMessage
from rota.wire.times import from_unix, from_unix_ns

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
        traceback=traceback_of(fields.get("rota_traceback", b""), message),
        attempts=tuple(map(_attempt, records(fields.get("rota_attempts", b"")))),
        **more,
    )


def _attempt(record: Mapping[str, Any]) -> TaskAttempt:
    return TaskAttempt(
        number=record["n"],
        outcome=_word(record.get("outcome")),
        worker=_word(record.get("worker")),
        host=_word(record.get("host")),
        pid=_whole(record.get("pid")),
        started_at=_moment(record.get("started")),
        ended_at=_moment(record.get("ended")),
        error=_word(record.get("error")),
        traceback=_word(record.get("traceback")),
    )


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _moment(value: object) -> datetime | None:
    milliseconds = _whole(value)
    return None if milliseconds is None else from_unix_ns(milliseconds * 1_000_000)


def traceback_of(raw: bytes, message: TaskMessage) -> str:
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
