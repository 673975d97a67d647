"""The operations of a client on a task that exists, each described once for asyncio and for blocking code.

A description is a generator that yields steps (`rota.client.requests`). `operation` makes a method of both clients from
it. A new operation touches three places:

1. `rota/wire`: its script, `edit_<act>.lua`, and the call of it in `edit.py`. Because of this name `rights.py` grants
   the commands of the script to producers too. The script checks before it writes, and may be carried out twice.
2. `rota/client`: the act as a value in `verbs.py`, with the text of its refusal (its Chinese is in `rota/cli/zh.toml`);
   and its description in `TaskOperations`, below `@operation`.
3. `rota/tasks/job.py`: its declaration in `Receipt`, below `@_verb`, if a job has it too.

`rota.inspect.bulk_acts` has the steps to offer it for many tasks and as a command of `rota task`.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar, cast

from rota.client.packing import Packer, sendable
from rota.client.steps import Act, Change, Command, Listen
from rota.client.verbs import (
    ARCHIVE,
    DELETE,
    MOST_READINGS,
    RUN,
    cancel_one,
    change,
    gone,
    payload_refusal,
    rescheduling,
    unsteady,
)
from rota.core.duration import DurationLike, parse
from rota.errors import (
    BrokerUnavailable,
    ResultError,
    ResultTimeout,
    TaskCancelled,
    TaskFailed,
    TaskNotFound,
)
from rota.tasks.job import TaskInfo, TwoFaced, not_kept
from rota.tasks.options import Options
from rota.wire import edit
from rota.wire.edit import Edited
from rota.wire.keys import Keys, QueueKeys
from rota.wire.watch import Watched, announced, watch

_FIRST_LOOK_SECONDS = 0.1
# A task may disappear a moment before the announcement of its end arrives, because they use different connections.
_LAST_WORD_SECONDS = 0.25
OUT_OF_SIGHT = "unknown"
"""The state of a task in the error of a wait, if the broker does not answer."""


P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)


def operation(description: Callable[Concatenate[Any, P], Act[T_co]]) -> TwoFaced[P, T_co]:
    """Make a method of both clients from a description: the client carries out the steps that it yields."""

    @wraps(description)
    def method(client: "TaskOperations", *args: P.args, **kwargs: P.kwargs) -> Any:
        return client.carry_out(description(client, *args, **kwargs))

    return cast("TwoFaced[P, T_co]", method)


class TaskOperations(ABC):
    """The operations on one task, by its queue and ID."""

    def __init__(self, keys: Keys, packer: Packer) -> None:
        self._keys = keys
        self._packer = packer

    @abstractmethod
    def carry_out(self, act: Act[Any]) -> Any:
        """Run each step of an operation. The client for asyncio returns an awaitable, the other one the result."""

    def _queue_keys(self, queue: str, task_id: str) -> QueueKeys:
        """Return the keys of a queue. Raises OptionError if no task can have this queue and ID."""
        sendable("queue name", queue)
        sendable("task ID", task_id)
        Options(queue=queue, task_id=task_id)
        return self._keys.queue(queue)

    @operation
    def info(self, queue: str, task_id: str) -> Act[TaskInfo]:
        """Return a snapshot of a task. Raises TaskNotFound if it does not exist any more."""
        from rota.client.task_record import read
        from rota.wire.look_task import StoredTask, task

        keys = self._queue_keys(queue, task_id)
        stored: StoredTask = yield task(keys, task_id)
        if not stored.state or not stored.fields:
            raise gone(queue, task_id)
        return read(TaskInfo, stored, stored.message())

    @operation
    def cancel(self, queue: str, task_id: str, reason: str = "") -> Act[None]:
        """End a task without a retry: a waiting task at once, a running task by its worker.

        A task that has ended stays as it is.
        """
        yield from cancel_one(self._keys, self._queue_keys(queue, task_id), task_id, reason)

    @operation
    def delete(self, queue: str, task_id: str) -> Act[None]:
        """Delete a task that does not run, and release its unique lock."""
        yield from change(DELETE, self._queue_keys(queue, task_id), task_id)

    @operation
    def archive(self, queue: str, task_id: str) -> Act[None]:
        """Archive a task that does not run, with the error that it has, if any. It does not count as a failure."""
        yield from change(ARCHIVE, self._queue_keys(queue, task_id), task_id)

    @operation
    def run_now(self, queue: str, task_id: str) -> Act[None]:
        """Make a scheduled, retried, grouped, archived or completed task pending, so that it runs next."""
        yield from change(RUN, self._queue_keys(queue, task_id), task_id)

    @operation
    def reschedule(self, queue: str, task_id: str, when: datetime | DurationLike) -> Act[None]:
        """Move a scheduled, retried or pending task to an instant, or to a duration from now by the server's clock."""
        yield from change(rescheduling(when), self._queue_keys(queue, task_id), task_id)

    @operation
    def update_payload(self, queue: str, task_id: str, payload: bytes) -> Act[None]:
        """Replace the payload of a task that does not run. Its unique lock moves to the key of the new payload."""
        # `rota.inspect.new_payloads` has this loop for many tasks. There a lost answer is asked for again for a fixed
        # time, as in each act on many; the steps here obey the client's `retry_for`.
        payload = self._packer.checked_payload(task_id, payload)
        keys = self._queue_keys(queue, task_id)
        for _ in range(MOST_READINGS):
            message = yield Command(("HGET", keys.task(task_id), "msg"), keys.pending)
            if message is None:
                raise gone(queue, task_id)
            edited: Edited = yield Change(edit.update_payload(keys, task_id, message, payload))
            if edited.reply != "changed":
                if error := payload_refusal(queue, task_id, edited):
                    raise error
                return
        raise unsteady(queue, task_id)


class Wait(NamedTuple):
    """How long to wait for the end of a task: `seconds` from the monotonic instant `since`. None is without limit."""

    seconds: float | None
    since: float

    @classmethod
    def of(cls, timeout: DurationLike | None) -> "Wait":
        """Begin to wait now."""
        return cls(None if timeout is None else parse(timeout, "timeout").total_seconds(), time.monotonic())

    @property
    def deadline(self) -> float | None:
        """The monotonic instant at which the wait is over."""
        return None if self.seconds is None else self.since + self.seconds

    @property
    def left_seconds(self) -> float | None:
        """The rest of the wait, 0 if it is over."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


def result(keys: QueueKeys, task_id: str, wait: Wait, poll_seconds: float = 1.0) -> Act[bytes]:
    """Wait for the end of a task and return its stored result. Polls often at first, later every `poll_seconds`."""
    deadline = wait.deadline
    watched: Watched = yield watch(keys, task_id)
    asked, pause = bool(watched.state), min(_FIRST_LOOK_SECONDS, poll_seconds)
    while not watched.ended:
        if not watched.kept:
            raise not_kept(keys.queue, task_id)
        if not watched.state:
            last_word = (yield Listen(_LAST_WORD_SECONDS)) if asked else None
            if last_word is None:
                raise _without_result(keys, task_id)
            watched = announced(last_word)
            break
        left = pause if deadline is None else min(pause, deadline - time.monotonic())
        if left <= 0:
            raise out_of_time(keys.queue, task_id, wait.seconds, watched.state)
        message = yield Listen(left)
        watched = (yield from _look(keys, task_id, deadline)) if message is None else announced(message)
        pause = min(pause * 1.5, poll_seconds)
    return _read(keys, task_id, watched)


def _look(keys: QueueKeys, task_id: str, deadline: float | None) -> Act[Watched]:
    # A fail-over must not end a wait that has a time limit. Without a time limit the error is raised, because otherwise
    # the caller would wait forever for a broker that does not come back.
    try:
        watched: Watched = yield watch(keys, task_id)
    except BrokerUnavailable:
        if deadline is None:
            raise
        return Watched(OUT_OF_SIGHT)
    return watched


def _read(keys: QueueKeys, task_id: str, watched: Watched) -> bytes:
    if watched.state == "completed":
        return watched.result
    what = f"Task {task_id} in queue {keys.queue!r}"
    kind: type[ResultError] = TaskFailed
    said = f"failed for good: {watched.error or 'it left no error text'}"
    if watched.state == "cancelled" or watched.end == "cancelled":
        kind, said = TaskCancelled, f"was cancelled: {watched.error.removeprefix('cancelled: ')}"
    elif watched.state == "revoked":
        kind, said = ResultError, "was revoked by its handler, so it has no result."
    raise kind(f"{what} {said}", reason=watched.error, task_id=task_id, queue=keys.queue)


def out_of_time(queue: str, task_id: str, seconds: float | None, state: str) -> ResultTimeout:
    """Make the error for a wait that has timed out."""
    stands = f" (it is {state})"
    if state == OUT_OF_SIGHT:
        stands = " (its state is not known, because the broker does not answer)"
    advice = "It goes on: wait again with app.job(task_id, queue=...).result(), or give a longer timeout."
    if state == "pending":
        advice = "No worker has taken it yet: is one running that serves this queue, on the same server?"
    text = f"Task {task_id} in queue {queue!r} did not end within {seconds:g} s{stands}. {advice}"
    return ResultTimeout(text, task_id=task_id, queue=queue)


def _without_result(keys: QueueKeys, task_id: str) -> TaskNotFound:
    return TaskNotFound(
        f"Task {task_id} in queue {keys.queue!r} is gone, so its result cannot be read: it succeeded and was not kept, "
        "was revoked by its handler, or it was deleted. Give the task a retention, for example retention='1h', to "
        "read its result later."
    )
