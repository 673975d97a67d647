"""A snapshot of a task on the server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from rota.tasks.options import NO_HEADERS


class TaskState(StrEnum):
    """The state of a task. The values are Asynq's, as stored in Redis."""

    ACTIVE = "active"
    PENDING = "pending"
    SCHEDULED = "scheduled"
    RETRY = "retry"
    ARCHIVED = "archived"
    COMPLETED = "completed"
    AGGREGATING = "aggregating"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """A snapshot of one task: Asynq's fields, then those that only Rota's workers write.

    Times are aware, in UTC; None means never or not set.
    """

    id: str
    queue: str
    type: str
    payload: bytes
    state: TaskState
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS, hash=False)
    max_retry: int = 25
    retried: int = 0
    last_error: str = ""
    last_failed_at: datetime | None = None
    timeout: timedelta | None = None
    deadline: datetime | None = None
    group: str = ""
    next_process_at: datetime | None = None
    is_orphaned: bool = False
    retention: timedelta | None = None
    completed_at: datetime | None = None
    result: bytes = b""
    unique_key: str = ""
    end: str = ""
    """Why an archived task is there: `cancelled`, `expired`, `quarantined`, or empty for spent retries."""
    crashes: int = 0
    progress: bytes = b""
    log: bytes = b""
    traceback: str = ""
    """The traceback of the last error, if a Rota worker ran the task. Filled only when a task is read by its ID."""
