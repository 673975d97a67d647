"""What Go shows of tasks, queues and servers, as Python values. The Go half is internal/shape."""

import base64
from dataclasses import dataclass, fields
from typing import Any, Self

STATES = ("active", "pending", "aggregating", "scheduled", "retry", "archived", "completed")


def data(text: str | None) -> bytes:
    """Read Go's JSON form of bytes. Go's nil becomes b"": the wire does not tell them apart."""
    return base64.b64decode(text or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoTask:
    """`asynq.TaskInfo`: times are Unix seconds and 0 for none."""

    id: str
    queue: str
    type: str
    payload: bytes
    headers: dict[str, str]
    state: str
    max_retry: int
    retried: int
    last_error: str
    last_failed_at: int
    timeout_s: float
    deadline: int
    group: str
    next_process_at: int
    is_orphaned: bool
    retention_s: float
    completed_at: int
    result: bytes

    @classmethod
    def read(cls, raw: dict[str, Any]) -> Self:
        bare = raw | {
            "payload": data(raw["payload"]),
            "result": data(raw["result"]),
            "headers": raw["headers"] or {},
        }
        return cls(**bare)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoQueue:
    """`asynq.QueueInfo` with the history, groups and tasks of the queue."""

    queue: str
    memory_usage: int
    latency_s: float
    size: int
    groups: int
    pending: int
    active: int
    scheduled: int
    retry: int
    archived: int
    completed: int
    aggregating: int
    processed: int
    failed: int
    processed_total: int
    failed_total: int
    paused: bool
    days: dict[str, tuple[int, int]]
    group_sizes: dict[str, int]
    tasks: dict[str, list[GoTask]]

    @classmethod
    def read(cls, raw: dict[str, Any]) -> Self:
        return cls(
            **raw["info"],
            days={day["date"]: (day["processed"], day["failed"]) for day in raw["history"]},
            group_sizes=raw["groups"],
            tasks={state: [GoTask.read(task) for task in raw["tasks"][state]] for state in STATES},
        )

    def ids(self, state: str) -> list[str]:
        """The IDs in one state, in the order in which Go lists them."""
        return [task.id for task in self.tasks[state]]

    def task(self, task_id: str) -> GoTask:
        """The one task with this ID, in whatever state."""
        (found,) = [task for tasks in self.tasks.values() for task in tasks if task.id == task_id]
        return found

    def counts(self) -> dict[str, int]:
        """How many tasks each state has; states without tasks are left out."""
        return {state: number for state in STATES if (number := getattr(self, state))}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoRunning:
    """`asynq.WorkerInfo`: one task that runs."""

    task_id: str
    task_type: str
    payload: bytes
    queue: str
    started: int
    deadline: int

    @classmethod
    def read(cls, raw: dict[str, Any]) -> Self:
        return cls(**raw | {"payload": data(raw["payload"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class GoServerInfo:
    """`asynq.ServerInfo`."""

    id: str
    host: str
    pid: int
    concurrency: int
    queues: dict[str, int]
    strict: bool
    started: int
    status: str
    workers: list[GoRunning]

    @classmethod
    def read(cls, raw: dict[str, Any]) -> Self:
        return cls(**raw | {"workers": [GoRunning.read(worker) for worker in raw["workers"]]})


@dataclass(frozen=True, slots=True)
class GoDump:
    """Everything Go's Inspector sees at one moment."""

    queues: dict[str, GoQueue]
    servers: list[GoServerInfo]
    schedulers: list[dict[str, Any]]

    @classmethod
    def read(cls, raw: dict[str, Any]) -> Self:
        queues = {name: GoQueue.read(queue) for name, queue in raw["queues"].items()}
        return cls(queues, [GoServerInfo.read(server) for server in raw["servers"]], raw["schedulers"])


@dataclass(frozen=True, slots=True, kw_only=True)
class GoEvent:
    """One line of the Go server: `start`, `end` or `error` of a task, `aggregate` of a group, `ready`, `stopped`."""

    event: str
    at_ns: int
    id: str = ""
    type: str = ""
    queue: str = ""
    payload: bytes = b""
    headers: dict[str, str] | None = None
    retried: int = 0
    max_retry: int = 0
    deadline: int = 0
    error: str = ""
    group: str = ""
    members: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, raw: dict[str, Any]) -> Self:
        members = tuple(data(member) for member in raw.get("members") or ())
        return cls(**raw | {"payload": data(raw.get("payload")), "members": members})

    def says(self, wanted: dict[str, object]) -> bool:
        """Whether every named field has the wanted value."""
        assert wanted.keys() <= {field.name for field in fields(self)}
        return all(getattr(self, name) == value for name, value in wanted.items())
