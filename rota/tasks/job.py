"""Plans, which describe tasks before the enqueue, jobs, which are handles to enqueued tasks, and snapshots of tasks."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, Protocol, TypeVar, cast, overload

from pydantic_core import from_json

from rota.core.duration import DurationLike
from rota.core.text import unstopped
from rota.errors import PayloadError, ResultNotKept
from rota.tasks.options import NO_HEADERS, NO_OPTIONS, Options

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)
Decode = Callable[[bytes], Any]


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
class TaskAttempt:
    """An attempt at a task by a Rota worker. A value is None or empty where it is not known."""

    number: int
    """Counts the recorded attempts from 1. Numbers are missing where records were dropped for space."""
    outcome: str = ""
    """`succeeded`, `failed`, `put off`, `cancelled`, `expired`, `handed back` or `crashed`."""
    worker: str = ""
    host: str = ""
    pid: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    """When the run ended; for a `crashed` attempt, when the death of its worker was noticed."""
    error: str = ""
    traceback: str = ""


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
    attempts: tuple[TaskAttempt, ...] = ()
    """The attempts that Rota workers began, oldest first. Filled only when a task is read by its ID."""


class Plan(NamedTuple, Generic[R_co]):
    """A task that is ready to be enqueued: its type, its payload and its options.

    `decode` reads the stored result; None means JSON.
    """

    # A tuple, because creating a frozen dataclass takes three times as long, and bulk enqueueing creates one per task.

    type: str
    payload: bytes
    options: Options = NO_OPTIONS
    decode: Decode | None = None

    def updated(self, **words: Any) -> "Plan[R_co]":
        """Return a copy of this plan with some options replaced."""
        return self._replace(options=self.options.updated(**words))

    def with_headers(self, headers: Mapping[str, str]) -> "Plan[R_co]":
        """Return a copy of this plan with further headers. A new value replaces the old value of the same header."""
        merged = MappingProxyType({**self.options.headers, **headers})
        return self._replace(options=replace(self.options, headers=merged))


class AsyncFace:
    """Marks a class for asyncio code: the methods that are described once are awaited."""

    __slots__ = ()


class SyncFace:
    """Marks a class for blocking code: the methods that are described once return their results."""

    __slots__ = ()


class TwoFaced(Protocol[P, T_co]):
    """The type of a method that is described once for both faces: type checkers see an awaitable or a plain result."""

    @overload
    def __get__(self, face: AsyncFace, owner: type) -> Callable[P, Coroutine[Any, Any, T_co]]: ...
    @overload
    def __get__(self, face: SyncFace, owner: type) -> Callable[P, T_co]: ...


def _verb(method: Callable[Concatenate[Any, P], T_co]) -> TwoFaced[P, T_co]:
    """Declare a method of `Job` and `SyncJob` that returns what the client returns: an awaitable or a plain result."""
    return cast("TwoFaced[P, T_co]", method)


class Receipt:
    """A task right after its enqueue, or a handle to a task that was enqueued earlier.

    `created` is true if this enqueue added the task. It is false if a unique task existed already, which the receipt
    then describes, and for a handle. `state` is the state right after the enqueue, and None for a handle.
    """

    __slots__ = ("_client", "_decode", "created", "id", "kept", "queue", "state", "type")

    def __init__(
        self,
        id: str,
        queue: str,
        type: str,
        state: TaskState | None,
        *,
        created: bool = True,
        client: Any = None,
        decode: Decode | None = None,
        kept: bool = True,
    ) -> None:
        """`kept` is false if the task is known to keep no result. `client` carries out the verbs."""
        self.id, self.queue, self.type = id, queue, type
        self.state, self.created, self.kept = state, created, kept
        self._client = client
        self._decode = decode

    @_verb
    def info(self) -> TaskInfo:
        """Return a snapshot of the task. Raises TaskNotFound if it does not exist any more."""
        return cast("TaskInfo", self._client.info(self.queue, self.id))

    @_verb
    def cancel(self, reason: str = "") -> None:
        """End the task without a retry: a waiting task at once, a running task by cancelling its handler."""
        return cast("None", self._client.cancel(self.queue, self.id, reason))

    @_verb
    def run_now(self) -> None:
        """Make a scheduled, retried, grouped, archived or completed task pending, so that it runs next."""
        return cast("None", self._client.run_now(self.queue, self.id))

    @_verb
    def reschedule(self, when: datetime | DurationLike) -> None:
        """Move a scheduled, retried or pending task to an instant, or to a duration from now."""
        return cast("None", self._client.reschedule(self.queue, self.id, when))

    @_verb
    def update_payload(self, payload: bytes) -> None:
        """Replace the payload of a task that has not started."""
        return cast("None", self._client.update_payload(self.queue, self.id, payload))

    def __repr__(self) -> str:
        known = f"<{type(self).__name__} {self.type or 'task'} {self.id} in {self.queue}"
        if self.state is None:
            return f"{known}>"
        return f"{known}: {self.state}{'' if self.created else ' (existed)'}>"


class Job(Receipt, AsyncFace, Generic[R_co]):
    """An enqueued task, for asyncio code.

    `id`, `queue`, `type` and `state` are those at the moment of the enqueue. `created` is False if a unique task
    existed already; the other attributes are then those of the existing task. A handle that was made by `task.job()` or
    `app.job()` does not know whether its task exists: its `state` is None, and `info()` asks the server.
    """

    __slots__ = ()

    async def result(self, timeout: DurationLike | None = None) -> R_co:  # noqa: ASYNC109
        """Wait for the end of the task and return the value that its function returned.

        Raises TaskFailed, TaskCancelled, or ResultTimeout after `timeout`, at most a second later if the server does
        not answer. A result is kept for the retention of the task; without a retention this raises ResultNotKept at
        once.
        """
        check_kept(self)
        return cast("R_co", read_result(self, await self._client.result(self.queue, self.id, timeout), self._decode))


class SyncJob(Receipt, SyncFace, Generic[R_co]):
    """An enqueued task, for blocking code. It has the attributes of `Job`."""

    __slots__ = ()

    def result(self, timeout: DurationLike | None = None) -> R_co:
        """Wait for the end of the task and return the value that its function returned.

        Raises TaskFailed, TaskCancelled, or ResultTimeout after `timeout`, at most a second later if the server does
        not answer. A result is kept for the retention of the task; without a retention this raises ResultNotKept at
        once.
        """
        check_kept(self)
        return cast("R_co", read_result(self, self._client.result(self.queue, self.id, timeout), self._decode))


def check_kept(job: Receipt) -> None:
    """Raise ResultNotKept if the task is known to keep no result."""
    if not job.kept:
        raise not_kept(job.queue, job.id)


def not_kept(queue: str, task_id: str) -> ResultNotKept:
    """Make the error for waiting for a result that will not be stored."""
    return ResultNotKept(
        f"Task {task_id} in queue {queue!r} keeps no result, because it was enqueued without a retention. Ask for the "
        "result: @app.task(..., retention='10m') for every run, task.options(retention='10m') for one, or "
        "await task.call(...), which enqueues, waits and returns the result.",
        task_id=task_id,
        queue=queue,
    )


def read_result(job: Receipt, stored: bytes, decode: Decode | None) -> Any:
    """Read the stored result of a task. Raises PayloadError, which names the task."""
    try:
        return (decode or _json)(stored)
    except PayloadError as error:
        raise PayloadError(
            f"Task {job.id} in queue {job.queue!r} has succeeded, but its result cannot be read. {error} Its worker "
            "may have another version of the program, be written in Go, or return bytes: "
            f"`await app.client.result({job.queue!r}, {job.id!r})` returns them as they are."
        ) from error


def _json(stored: bytes) -> Any:
    # An empty result is None, because a function without a result stores nothing.
    try:
        return from_json(stored) if stored else None
    except ValueError as error:
        raise PayloadError(f"The stored result is not valid JSON: {unstopped(error)}.") from error
