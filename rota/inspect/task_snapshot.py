"""Snapshots of tasks, including tasks whose stored data is damaged."""

import json
from dataclasses import dataclass
from datetime import datetime

from rota.client.task_record import read
from rota.tasks.job import TaskInfo, TaskState
from rota.wire.look_task import StoredTask
from rota.wire.times import from_unix, from_unix_ns


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """The progress that a handler reported, and when. `total` is None if the handler did not give it."""

    done: float
    total: float | None
    text: str
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSnapshot(TaskInfo):
    """A task with its lease and its condition.

    `is_orphaned`: the task is active, but its lease has expired or is missing. `is_dangling`: only the ID is left, and
    the hash is gone (an eviction, a deletion by hand). `is_unreadable`: the message cannot be decoded. In the last two
    cases the fields of the message are blank.
    """

    is_dangling: bool = False
    is_unreadable: bool = False
    pending_since: datetime | None = None
    lease_until: datetime | None = None
    archived_at: datetime | None = None
    """When an archived task was archived: by its last failure, or by hand."""
    cancel_reason: str | None = None
    """The reason of a request to cancel the task; None without such a request."""

    @property
    def log_lines(self) -> list[str]:
        """The lines that the handler logged, oldest first. Empty in a `TaskList`; `Inspector.task` reads them."""
        return self.log.decode("utf-8", "replace").splitlines()

    @property
    def last_report(self) -> ProgressReport | None:
        """The latest progress that the handler reported; None if it reported none."""
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
    """One page of tasks. `total` is the number of tasks on all pages.

    `next` is the cursor of the next page, None after the last one.
    """

    tasks: tuple[TaskSnapshot, ...]
    total: int
    next: str | None = None


def read_task(stored: StoredTask) -> TaskSnapshot:
    """Build the snapshot. No stored data, however damaged, makes this fail."""
    message, raw = stored.message(), stored.fields.get("msg")
    return read(
        TaskSnapshot,
        stored,
        message,
        is_dangling=raw is None,
        is_unreadable=raw is not None and not message.type,
        pending_since=from_unix_ns(stored.number("pending_since")),
        lease_until=from_unix(stored.score) if stored.state == TaskState.ACTIVE else None,
        archived_at=from_unix(stored.score) if stored.state == TaskState.ARCHIVED else None,
        cancel_reason=stored.text("rota_cancel"),
    )


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
