"""Plans, which describe tasks before the enqueue, and jobs, which are handles to enqueued tasks."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

from pydantic_core import from_json

from rota.core.duration import DurationLike
from rota.core.text import unstopped
from rota.errors import PayloadError, ResultNotKept
from rota.tasks.info import TaskInfo, TaskState
from rota.tasks.options import NO_OPTIONS, Options

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Decode = Callable[[bytes], Any]


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


class TaskActions(Protocol):
    """The part of a client that a `Job` uses."""

    async def result(self, queue: str, task_id: str, timeout: DurationLike | None = None) -> bytes:  # noqa: ASYNC109
        """Wait for the end of a task and return its stored result."""
        ...

    async def info(self, queue: str, task_id: str) -> TaskInfo:
        """Look the task up."""
        ...

    async def cancel(self, queue: str, task_id: str, reason: str = "") -> None:
        """End the task, wherever it is."""
        ...

    async def run_now(self, queue: str, task_id: str) -> None:
        """Let a waiting task run now."""
        ...

    async def reschedule(self, queue: str, task_id: str, when: datetime | DurationLike) -> None:
        """Move a waiting task to another time."""
        ...

    async def update_payload(self, queue: str, task_id: str, payload: bytes) -> None:
        """Replace the payload of a task that has not started."""
        ...


class SyncTaskActions(Protocol):
    """The part of a blocking client that a `SyncJob` uses."""

    def result(self, queue: str, task_id: str, timeout: DurationLike | None = None) -> bytes:
        """Wait for the end of a task and return its stored result."""
        ...

    def info(self, queue: str, task_id: str) -> TaskInfo:
        """Look the task up."""
        ...

    def cancel(self, queue: str, task_id: str, reason: str = "") -> None:
        """End the task, wherever it is."""
        ...

    def run_now(self, queue: str, task_id: str) -> None:
        """Let a waiting task run now."""
        ...

    def reschedule(self, queue: str, task_id: str, when: datetime | DurationLike) -> None:
        """Move a waiting task to another time."""
        ...

    def update_payload(self, queue: str, task_id: str, payload: bytes) -> None:
        """Replace the payload of a task that has not started."""
        ...


class Receipt:
    """A task right after its enqueue. If `created` is False, a unique task existed already, and this describes it."""

    __slots__ = ("created", "id", "queue", "state", "type")

    def __init__(self, id: str, queue: str, type: str, state: TaskState, *, created: bool = True) -> None:
        self.id = id
        self.queue = queue
        self.type = type
        self.state = state
        self.created = created

    def __repr__(self) -> str:
        kind = "" if self.created else " (existed)"
        return f"<{type(self).__name__} {self.type} {self.id} in {self.queue}: {self.state}{kind}>"


class Job(Receipt, Generic[R_co]):
    """An enqueued task, for asyncio code.

    `id`, `queue`, `type` and `state` are those at the moment of the enqueue. `created` is False if a unique task
    existed already; the other attributes are then those of the existing task.
    """

    __slots__ = ("_actions", "_decode", "_kept")

    def __init__(
        self,
        id: str,
        queue: str,
        type: str,
        state: TaskState,
        *,
        created: bool = True,
        actions: TaskActions,
        decode: Decode | None = None,
        kept: bool = True,
    ) -> None:
        self.id, self.queue, self.type = id, queue, type
        self.state, self.created = state, created
        self._actions = actions
        self._decode = decode
        self._kept = kept

    async def result(self, timeout: DurationLike | None = None) -> R_co:  # noqa: ASYNC109
        """Wait for the end of the task and return the value that its function returned.

        Raises TaskFailed, TaskCancelled, or ResultTimeout after `timeout`. A result is kept for the retention of the
        task; without a retention this raises ResultNotKept at once.
        """
        if not self._kept:
            raise not_kept(self.queue, self.id)
        stored = await self._actions.result(self.queue, self.id, timeout)
        return cast("R_co", read_result(stored, self._decode))

    async def info(self) -> TaskInfo:
        """Return a snapshot of the task. Raises TaskNotFound if it does not exist any more."""
        return await self._actions.info(self.queue, self.id)

    async def cancel(self, reason: str = "") -> None:
        """End the task without a retry: a waiting task at once, a running task by cancelling its handler."""
        await self._actions.cancel(self.queue, self.id, reason)

    async def run_now(self) -> None:
        """Make a scheduled, retried, grouped, archived or completed task pending, so that it runs next."""
        await self._actions.run_now(self.queue, self.id)

    async def reschedule(self, when: datetime | DurationLike) -> None:
        """Move a scheduled, retried or pending task to an instant, or to a duration from now."""
        await self._actions.reschedule(self.queue, self.id, when)

    async def update_payload(self, payload: bytes) -> None:
        """Replace the payload of a task that has not started."""
        await self._actions.update_payload(self.queue, self.id, payload)


class SyncJob(Receipt, Generic[R_co]):
    """An enqueued task, for blocking code. It has the attributes of `Job`."""

    __slots__ = ("_actions", "_decode", "_kept")

    def __init__(
        self,
        id: str,
        queue: str,
        type: str,
        state: TaskState,
        *,
        created: bool = True,
        actions: SyncTaskActions,
        decode: Decode | None = None,
        kept: bool = True,
    ) -> None:
        self.id, self.queue, self.type = id, queue, type
        self.state, self.created = state, created
        self._actions = actions
        self._decode = decode
        self._kept = kept

    def result(self, timeout: DurationLike | None = None) -> R_co:
        """Wait for the end of the task and return the value that its function returned.

        Raises TaskFailed, TaskCancelled, or ResultTimeout after `timeout`. A result is kept for the retention of the
        task; without a retention this raises ResultNotKept at once.
        """
        if not self._kept:
            raise not_kept(self.queue, self.id)
        return cast("R_co", read_result(self._actions.result(self.queue, self.id, timeout), self._decode))

    def info(self) -> TaskInfo:
        """Return a snapshot of the task. Raises TaskNotFound if it does not exist any more."""
        return self._actions.info(self.queue, self.id)

    def cancel(self, reason: str = "") -> None:
        """End the task without a retry: a waiting task at once, a running task by cancelling its handler."""
        self._actions.cancel(self.queue, self.id, reason)

    def run_now(self) -> None:
        """Make a scheduled, retried, grouped, archived or completed task pending, so that it runs next."""
        self._actions.run_now(self.queue, self.id)

    def reschedule(self, when: datetime | DurationLike) -> None:
        """Move a scheduled, retried or pending task to an instant, or to a duration from now."""
        self._actions.reschedule(self.queue, self.id, when)

    def update_payload(self, payload: bytes) -> None:
        """Replace the payload of a task that has not started."""
        self._actions.update_payload(self.queue, self.id, payload)


def not_kept(queue: str, task_id: str) -> ResultNotKept:
    """Make the error for waiting for a result that will not be stored."""
    return ResultNotKept(
        f"Task {task_id} in queue {queue!r} keeps no result, because it was enqueued without a retention. Annotate "
        "what its function returns, or give it a retention: @app.task(..., retention='10m') for every run, or "
        "task.options(retention='10m') for one."
    )


def read_result(stored: bytes, decode: Decode | None) -> Any:
    """Read a stored result. An empty one is None, because a function without a result stores nothing."""
    if decode is not None:
        return decode(stored)
    try:
        return from_json(stored) if stored else None
    except ValueError as error:
        raise PayloadError(
            f"The stored result is not valid JSON: {unstopped(error)}. The task's worker may be written in Go or "
            "return bytes: read them as they are with `app.client.result(queue, task_id)`."
        ) from error
