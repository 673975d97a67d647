"""All errors of Rota, in one small tree. Each message says what happened, why, and what to do."""

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rota.tasks.job import Receipt


class RotaError(Exception):
    """The root: `except RotaError` catches whatever Rota itself raises."""


class ConfigError(RotaError):
    """A setting, URL or registration is wrong. Raised before anything is written.

    `place` is the line of the program that has to be changed, as `file:line`, where that is known.
    """

    place: str = ""


class OptionError(ConfigError, ValueError):
    """An option of a task or call is unknown, out of range, or in conflict with another."""


class RoutingError(ConfigError):
    """A task type has a bad name, is registered twice, or is not registered here."""


class PayloadError(RotaError, ValueError):
    """Arguments do not fit the task's parameters, or a payload is not what the handler expects."""


class EnqueueError(RotaError):
    """The task was not enqueued."""


class DuplicateTask(EnqueueError):
    """A unique task with the same key exists already. `task_id` is the holder of the lock."""

    def __init__(self, message: str, *, task_id: str = "") -> None:
        super().__init__(message)
        self.task_id = task_id


class TaskIdConflict(EnqueueError):
    """A task with this ID exists already in the queue, in some state."""


class QueueNotFound(RotaError, LookupError):
    """No task was ever put into a queue of this name, or the queue was removed."""


class TaskNotFound(RotaError, LookupError):
    """The task does not exist (any more)."""


class TaskStateError(RotaError):
    """The task is in a state that does not allow what was asked."""


class ResultError(RotaError):
    """A task ended without a result. `reason` is its last error."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class ResultNotKept(ResultError):
    """The task leaves no result, because it was enqueued without a retention."""


class TaskFailed(ResultError):
    """The task failed for good."""


class TaskCancelled(ResultError):
    """The task was cancelled."""


class ResultTimeout(RotaError, TimeoutError):
    """The task did not end within the time given."""


class BrokerError(RotaError):
    """The broker refused or could not be reached.

    `maybe_applied` is true where the request may have been carried out although no answer came. If it was an enqueue,
    `task_id` is the ID under which the task is then.
    """

    def __init__(self, message: str, *, maybe_applied: bool = False, task_id: str = "") -> None:
        super().__init__(message)
        self.maybe_applied = maybe_applied
        self.task_id = task_id


class BrokerUnavailable(BrokerError, ConnectionError):
    """No connection, or a passing state of the server (loading, fail-over, out of memory): worth trying again."""


class BrokerRefused(BrokerError):
    """The server refuses for good: wrong password, missing permission, too old, a replica."""


class NotReplicated(BrokerError):
    """The task is enqueued, but fewer replicas than asked (`wait_replicas`) have it yet.

    Enqueueing it again would double it. `enqueued` is the receipt, `acknowledged` the number of replicas that have it.
    """

    def __init__(self, message: str, *, enqueued: "Receipt", acknowledged: int) -> None:
        super().__init__(message, maybe_applied=True)
        self.enqueued = enqueued
        self.acknowledged = acknowledged


class WorkerFault(RotaError):
    """A worker inside this program has ended by a fault of its own, `__cause__`. Its tasks were handed back."""


class RetryLater(Exception):  # an instruction to the worker, not a fault
    """Raised by a handler: run this task again after `delay` (`"30s"`, seconds or timedelta).

    With `counts=False` neither a retry nor a failure is counted.
    """

    def __init__(self, delay: str | float | timedelta, *, counts: bool = True, reason: str = "") -> None:
        super().__init__(reason or f"asked to run again in {delay}")
        self.delay = delay
        self.counts = counts


class SkipRetry(Exception):
    """Raised by a handler: archive this task at once, whatever retries are left."""


class Revoke(Exception):
    """Raised by a handler: end this task quietly. It is neither retried nor archived."""


class TimeLimitExceeded(RotaError, TimeoutError):
    """The time limit or the deadline of a task passed while it ran. Handlers that run in a thread see it raised."""


class ProcessDied(RotaError):
    """The process that ran a task ended before the task did: killed, out of memory, crashed, or left by `os._exit`.

    `exit_code` is that of the process; negative is the number of the signal that killed it.
    """

    def __init__(self, message: str, *, exit_code: int = 0) -> None:
        super().__init__(message)
        self.exit_code = exit_code
