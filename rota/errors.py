"""All errors of Rota, in one class hierarchy. Each message says what happened, why, and what to do."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from rota.schedule.definition import StoredSchedule
    from rota.store.store_values import StoredCalendar
    from rota.tasks.job import Receipt


class RotaError(Exception):
    """The base class: `except RotaError` catches every error that Rota itself raises."""


class ConfigError(RotaError):
    """A setting, URL or registration is wrong. Raised before anything is written.

    `place` is the line of the program that has to be changed, as `file:line`, if it is known.
    """

    place: str = ""


class OptionError(ConfigError, ValueError):
    """An option of a task or call is unknown, out of range, or in conflict with another."""


class ScheduleInvalid(ConfigError, ValueError):
    """The definition of a schedule is wrong. `problems` has a path, such as `then.0.schedule`, and a text for each."""

    def __init__(self, message: str, *, problems: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class ScheduleError(OptionError):
    """The text of a schedule is refused. `text` is that text, `position` where the fault begins, counted from 0."""

    def __init__(self, message: str, *, text: str = "", position: int = 0) -> None:
        super().__init__(message)
        self.text = text
        self.position = position


class QueryError(OptionError):
    """A query for tasks is refused. `text` is the query; its fault is `length` characters from `position`, counted from
    0.
    """

    def __init__(self, message: str, *, text: str = "", position: int = 0, length: int = 1) -> None:
        super().__init__(message)
        self.text = text
        self.position = position
        self.length = length


class RoutingError(ConfigError):
    """A task type has a malformed name, is registered twice, or is not registered here."""


class PayloadError(RotaError, ValueError):
    """Arguments do not fit the task's parameters, or a payload does not fit its handler."""


class EnqueueError(RotaError):
    """The task was not enqueued."""


class DuplicateTask(EnqueueError):
    """A unique task with the same key exists already. `task_id` is the ID of the task that holds the lock."""

    def __init__(self, message: str, *, task_id: str = "") -> None:
        super().__init__(message)
        self.task_id = task_id


class TaskIdConflict(EnqueueError):
    """A task with this ID exists already in the queue, in any state."""


class QueueNotFound(RotaError, LookupError):
    """The queue does not exist: no task was ever enqueued to it, or it was deleted."""


class QueueStateError(RotaError):
    """The queue is in a state that does not allow the operation: its tasks run, or it is being deleted."""


class TaskNotFound(RotaError, LookupError):
    """The task does not exist, or does not exist any more."""


class TaskStateError(RotaError):
    """The task is in a state that does not allow the operation."""


class ResultError(RotaError):
    """A task ended without a result. `reason` is its last error, `task_id` and `queue` say which task it is."""

    def __init__(self, message: str, *, reason: str = "", task_id: str = "", queue: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.task_id = task_id
        self.queue = queue


class ResultNotKept(ResultError):
    """The result of the task is not stored, because the task was enqueued without a retention."""


class TaskFailed(ResultError):
    """The task failed for good."""


class TaskCancelled(ResultError):
    """The task was cancelled."""


class ResultTimeout(RotaError, TimeoutError):
    """The task did not end within the timeout, and goes on. `task_id` and `queue` say which task it is."""

    def __init__(self, message: str, *, task_id: str = "", queue: str = "") -> None:
        super().__init__(message)
        self.task_id = task_id
        self.queue = queue


class BrokerError(RotaError):
    """The broker refused a request or could not be reached.

    `maybe_applied` is true if the request may have been carried out although no answer came. If the request was an
    enqueue, `task_id` is the ID that the task has in that case.
    """

    def __init__(self, message: str, *, maybe_applied: bool = False, task_id: str = "") -> None:
        super().__init__(message)
        self.maybe_applied = maybe_applied
        self.task_id = task_id


class BrokerUnavailable(BrokerError, ConnectionError):
    """No connection, or a temporary state of the server (loading, fail-over, out of memory). A retry may succeed."""


class BrokerRefused(BrokerError):
    """The server refuses permanently: wrong password, missing permission, too old, a replica."""


class QueuePaused(EnqueueError, BrokerRefused):
    """The queue takes no tasks for now: an operator has paused it for producers, drains it, or deletes it.

    `queue` is its name, `kind` is `pause`, `drain` or `delete`. `by` is who did it, `reason` why, `since` when. Tasks
    that the queue has accepted before are not affected.
    """

    def __init__(
        self,
        message: str,
        *,
        queue: str = "",
        kind: str = "pause",
        by: str = "",
        reason: str = "",
        since: datetime | None = None,
    ) -> None:
        super().__init__(message)
        self.queue = queue
        self.kind = kind
        self.by = by
        self.reason = reason
        self.since = since


class NotReplicated(BrokerError):
    """The task is enqueued, but fewer than `wait_replicas` replicas have it so far.

    Enqueueing it again would create a duplicate. `enqueued` is the receipt, `acknowledged` the number of replicas that
    have the task.
    """

    def __init__(self, message: str, *, enqueued: "Receipt", acknowledged: int) -> None:
        super().__init__(message, maybe_applied=True)
        self.enqueued = enqueued
        self.acknowledged = acknowledged


class SchedulerAway(RotaError):
    """No scheduler leads, so an order about a schedule was not sent."""


class OrderRefused(RotaError):
    """The scheduler that leads refuses an order about a schedule, and says why."""


class OrderTimeout(RotaError, TimeoutError):
    """The scheduler that leads has not answered an order in time. The order may still be carried out."""


class StoreError(RotaError):
    """The store, which is the database of schedules and runs, could not carry out a request. Nothing was changed."""


class StoreUnavailable(StoreError, ConnectionError):
    """The database is away, locked or full. A retry may succeed.

    `maybe_applied` is true if the connection was lost during the commit, so that the change may have been made.
    """

    def __init__(self, message: str, *, maybe_applied: bool = False) -> None:
        super().__init__(message)
        self.maybe_applied = maybe_applied


class StoreRefused(StoreError):
    """The database refuses permanently: wrong password, missing permission, read-only, no such database, damaged."""


class StoreSchemaError(StoreError):
    """The tables of the store do not fit this version of Rota: they are missing, older or newer."""


class StoreConflict(StoreError):
    """The content of the store contradicts the request: a name is taken, or a deleted schedule would have to change."""


class StaleVersion(StoreConflict):
    """An edit was made on a version that is not the present one, so it would undo an edit of another user.

    `expected` is the version that the edit was made on, `present` the schedule or calendar that the store has now, with
    its `version`; None if it has none.
    """

    def __init__(self, message: str, *, expected: int, present: "StoredSchedule | StoredCalendar | None") -> None:
        super().__init__(message)
        self.expected = expected
        self.present = present


class StoreNotFound(StoreError, LookupError):
    """The store has no schedule, version, run or calendar of this ID or name."""


class WorkerNotFound(RotaError, LookupError):
    """No live worker or Go server has this ID or name, or none handles this task type."""


class WorkerOrderFailed(RotaError):
    """A worker did not get or did not answer an order. It may have obeyed if only the answer is missing."""


class WorkerFault(RotaError):
    """A worker inside this program has ended because of an internal fault (`__cause__`). Its tasks were handed back."""


class RetryLater(Exception):  # an instruction to the worker, not a fault
    """Raised by a handler: run this task again after `delay` (`"30s"`, seconds or timedelta).

    With `counts=False` the run does not count as a failure and does not use up a retry.
    """

    def __init__(self, delay: str | float | timedelta, *, counts: bool = True, reason: str = "") -> None:
        super().__init__(reason or f"asked to run again in {delay}")
        self.delay = delay
        self.counts = counts


class SkipRetry(Exception):
    """Raised by a handler: archive this task at once, even if retries are left."""


class Revoke(Exception):
    """Raised by a handler: end this task without a failure. It is neither retried nor archived."""


class TimeLimitExceeded(RotaError, TimeoutError):
    """The time limit or the deadline of a task passed while it ran. Raised inside handlers that run in a thread."""


class ProcessDied(RotaError):
    """The process that ran a task ended before the task: killed, out of memory, crashed, or by `os._exit`.

    `exit_code` is the exit code of the process. A negative one is the number of the signal that killed the process.
    """

    def __init__(self, message: str, *, exit_code: int = 0) -> None:
        super().__init__(message)
        self.exit_code = exit_code


INSTRUCTIONS = (SkipRetry, Revoke, RetryLater)
"""The errors by which a handler tells the worker what to do next, the most final first."""


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in a group and in its nested groups, or the error itself if it is not a group."""
    left = [error]
    while left:
        each = left.pop()
        if isinstance(each, BaseExceptionGroup):
            inside: Sequence[BaseException] = cast("BaseExceptionGroup[BaseException]", each).exceptions
            left += reversed(inside)
        else:
            yield each


def instruction(error: BaseException) -> SkipRetry | Revoke | RetryLater | None:
    """Return the instruction to the worker that this error is, or that this group contains.

    Of several instructions in a group the most final one applies: SkipRetry before Revoke before RetryLater.
    """
    errors = list(leaves(error))
    for kind in INSTRUCTIONS:
        for each in errors:
            if isinstance(each, kind):
                return each
    return None
