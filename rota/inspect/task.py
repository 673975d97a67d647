"""One task at one moment, also where what is stored of it is broken."""

import json
from dataclasses import dataclass
from datetime import datetime

from rota.client.task_record import Stored, read
from rota.tasks.info import TaskInfo, TaskState
from rota.wire.times import from_unix, from_unix_ns


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


def read_task(stored: Stored) -> TaskSnapshot:
    """Build the snapshot. Nothing that is stored can make this fail."""
    message, raw = stored.message(), stored.fields.get("msg")
    return read(
        TaskSnapshot,
        stored,
        message,
        is_dangling=raw is None,
        is_unreadable=raw is not None and not message.type,
        pending_since=from_unix_ns(stored.number("pending_since")),
        lease_until=from_unix(stored.score) if stored.state is TaskState.ACTIVE else None,
        cancel_reason=stored.text("rota_cancel"),
    )


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
