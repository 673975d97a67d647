"""Builds the snapshots that users see from the stored record of a task, even if the record is broken."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from rota.errors import PayloadError
from rota.tasks.info import TaskInfo, TaskState
from rota.wire.look_task import OneTask
from rota.wire.message import unpack
from rota.wire.proto import TaskMessage
from rota.wire.times import from_unix

InfoT = TypeVar("InfoT", bound=TaskInfo)


@dataclass(frozen=True, slots=True)
class Stored:
    """The stored record of a task: its queue and state, its score in the set of that state, its hash, Redis' time."""

    queue: str
    id: str
    state: TaskState
    now: float
    score: float | None = None
    fields: Mapping[str, bytes] = field(default_factory=dict[str, bytes])

    @classmethod
    def of(cls, look: OneTask, queue: str, task_id: str) -> "Stored | None":
        """Read one look at a task. None if the task does not exist, or only leftovers of it."""
        state = _state(look)
        return None if state is None else cls(queue, task_id, state, look.now, look.scores.get(state), look.fields)

    def message(self) -> TaskMessage:
        """Read the message. A missing or invalid message is read as a blank one."""
        try:
            return unpack(self.fields.get("msg", b""))
        except PayloadError:
            return TaskMessage()

    def text(self, name: str) -> str | None:
        """Read a field as text."""
        raw = self.fields.get(name)
        return None if raw is None else raw.decode("utf-8", "replace")

    def number(self, name: str) -> int | None:
        """Read a field as a whole number, or None if it is not one."""
        try:
            return int(self.fields.get(name, b""))
        except ValueError:
            return None


def read(kind: type[InfoT], stored: Stored, message: TaskMessage, **more: Any) -> InfoT:
    """Build a snapshot. `more` are the additional fields of this kind. No stored value makes this fail."""
    fields = stored.fields
    return kind(
        id=stored.id,
        queue=stored.queue,
        type=message.type,
        payload=message.payload,
        state=stored.state,
        headers=dict(message.headers),
        max_retry=message.retry,
        retried=message.retried,
        last_error=message.error_msg,
        last_failed_at=from_unix(message.last_failed_at),
        timeout=_seconds(message.timeout),
        deadline=from_unix(message.deadline),
        group=message.group_key,
        next_process_at=_next(stored),
        is_orphaned=stored.state is TaskState.ACTIVE and (stored.score is None or stored.score <= stored.now),
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


def _state(look: OneTask) -> TaskState | None:
    """The state in the hash. If it is missing or unknown, the state of the set in which the ID was left behind."""
    try:
        return TaskState(look.fields.get("state", b"").decode("utf-8", "replace"))
    except ValueError:
        return next((TaskState(name) for name in look.scores), None)


def _traceback(raw: bytes, message: TaskMessage) -> str:
    """Read the traceback. Its first line is the time of its error: if the task has failed later, it is stale."""
    failed_at, _, text = raw.partition(b"\n")
    return text.decode("utf-8", "replace") if failed_at == b"%d" % message.last_failed_at else ""


def _next(stored: Stored) -> datetime | None:
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
