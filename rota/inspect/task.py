"""One task as it is stored, also where what is stored is broken."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rota.errors import PayloadError
from rota.info import TaskInfo, TaskState
from rota.inspect.instant import from_unix, from_unix_ns
from rota.wire.message import unpack
from rota.wire.proto import TaskMessage


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """How far a running task said it was, and when it said so. `total` is None where it did not know."""

    done: float
    total: float | None
    text: str
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSnapshot(TaskInfo):
    """A task, and how it stands with its worker.

    `is_orphaned`: it is active but nobody keeps its lease. `is_dangling`: only its ID is there, the rest is gone (an
    eviction, a deletion by hand). `is_unreadable`: its message is no message. In the last two cases the fields
    of the message are blank.
    """

    is_dangling: bool = False
    is_unreadable: bool = False
    pending_since: datetime | None = None
    lease_until: datetime | None = None
    cancel_reason: str | None = None
    """Why it was asked to stop; None as long as it was not."""

    @property
    def log_lines(self) -> list[str]:
        """The lines its handler logged, the oldest first. Only a task looked at by its ID brings them."""
        return self.log.decode("utf-8", "replace").splitlines()

    @property
    def last_report(self) -> ProgressReport | None:
        """The newest progress its handler reported; None without one."""
        try:
            match json.loads(self.progress or b"null"):
                case {"done": int() | float() as done, "total": int() | float() | None as total, **rest}:
                    return ProgressReport(done, total, str(rest.get("text", "")), from_unix(_float(rest.get("at"))))
                case _:
                    return None
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class TaskList:
    """One page of tasks. `total` is how many there are on all pages."""

    tasks: tuple[TaskSnapshot, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Stored:
    """What was found of a task: where, its score there, its hash, and Redis' time."""

    queue: str
    id: str
    state: TaskState
    now: float
    score: float | None = None
    fields: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


def read_task(stored: Stored) -> TaskSnapshot:
    """Build the snapshot. Nothing that is stored can make this fail."""
    fields, raw = stored.fields, stored.fields.get("msg")
    message = _message(raw)
    active = stored.state is TaskState.ACTIVE
    return TaskSnapshot(
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
        is_orphaned=active and (stored.score is None or stored.score <= stored.now),
        retention=_seconds(message.retention),
        completed_at=from_unix(message.completed_at),
        result=fields.get("result", b""),
        unique_key=message.unique_key,
        end=_text(fields.get("rota_end")) or "",
        crashes=_number(fields.get("rota_crashes")) or 0,
        progress=fields.get("rota_progress", b""),
        log=fields.get("rota_log", b""),
        is_dangling=raw is None,
        is_unreadable=raw is not None and not message.type,
        pending_since=from_unix_ns(_number(fields.get("pending_since"))),
        lease_until=from_unix(stored.score) if active else None,
        cancel_reason=_text(fields.get("rota_cancel")),
    )


def _message(raw: bytes | None) -> TaskMessage:
    try:
        return unpack(raw or b"")
    except PayloadError:
        return TaskMessage()


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


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "replace")


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _number(raw: bytes | None) -> int | None:
    try:
        return None if raw is None else int(raw)
    except ValueError:
        return None
