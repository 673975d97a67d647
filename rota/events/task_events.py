"""Events about tasks: runs and their outcomes, tasks whose worker died, and the requests of clients."""

import logging

from rota.core.text import counted
from rota.events.event import Event, TaskEvent


class RunEvent(TaskEvent):
    """The start or the end of a run. Happens for every task, so it is made only if it is logged or subscribed to."""

    logger = "rota.task"
    counted = False
    log_level: int

    def severity(self) -> int:
        """Return the level that the setting `task_log_level` gives."""
        return self.log_level


class TaskStarted(RunEvent):
    """A run of a task starts."""

    text = "{task_type} started ({task_id})"


class TaskEnded(RunEvent):
    """A run of a task has ended.

    `outcome` is `succeeded`, `failed`, `put off`, `handed back`, `cancelled`, `expired` or `revoked`. `final` says
    whether a failed task is archived, and not retried.
    """

    outcome: str
    seconds: float
    final: bool = False
    error: BaseException | None = None

    def message(self) -> str:
        """Return the text of the log line."""
        took = f"{self.seconds * 1000:.0f} ms" if self.seconds < 1 else f"{self.seconds:.1f} s"
        how = "" if self.outcome == "succeeded" else f"{self.outcome} after "
        return f"{self.task_type} {how}{took} ({self.task_id})"


class OutcomeEvent(TaskEvent):
    """A run of a task that was not a plain success. `trace` is the traceback without the frames of Rota."""

    text = "Task {task_id} ({task_type}) in queue {queue}: {reason}"
    reason: str
    error: BaseException | None = None
    trace: str = ""

    def cause(self) -> tuple[BaseException | None, str]:
        """Return the error with its traceback."""
        return (self.error if self.trace else None), self.trace


class TaskRetried(OutcomeEvent):
    """A run failed or was put off, and its task runs again after a delay. `counts` says whether this uses a retry."""

    delay_seconds: float
    counts: bool
    max_retry: int

    def message(self) -> str:
        """Return the text of the log line."""
        of = f", retry {self.attempt} of {self.max_retry}" if self.counts else ""
        return f"{super().message()}. Runs again in {self.delay_seconds:.1f} s{of}."


class TaskArchived(OutcomeEvent):
    """A task ended without success and is not retried.

    `ending` is `cancelled`, `expired`, or empty for a failure. `final` is false for a task that was cancelled, which
    has not failed.
    """

    ending: str
    final: bool

    def severity(self) -> int:
        """Return ERROR for a failure, and WARNING for a task that was cancelled."""
        return logging.ERROR if self.final else logging.WARNING

    def message(self) -> str:
        """Return the text of the log line."""
        return f"{super().message()}. {(self.ending or 'gave up').capitalize()}: archived."


class TaskHandedBack(OutcomeEvent):
    """A run was stopped or not begun, without a failure of the task, which is at the front of its queue again."""

    stop: str

    def message(self) -> str:
        """Return the text of the log line."""
        why = {"shutdown": "stopped by the shutdown", "lease": "stopped, since its lease was lost,"}
        reason = self.reason or why.get(self.stop, "not begun, since its lease had run out,")
        return f"{self.text.format_map({**vars(self), 'reason': reason})} and handed back to the front of the queue."


class RetryUndecided(TaskEvent):
    """The retry policy of a failed task raised an error, so the default policy was used."""

    level = logging.ERROR
    text = "The retry policy of task {task_id} ({task_type}) raised an error, so the default policy applies."
    error: BaseException
    trace: str

    def cause(self) -> tuple[BaseException | None, str]:
        """Return the error with its traceback."""
        return (self.error if self.trace else None), self.trace


class LateResultDiscarded(TaskEvent):
    """The outcome of a run came too late: another attempt has the task, or the task was moved or deleted."""

    text = "Late result of task {task_id} ({task_type}) discarded: {reason}. Attempt {token} is void."
    reason: str
    token: str


class LeaseLost(TaskEvent):
    """The lease of a running task was lost, so its run is stopped."""

    level = logging.ERROR
    text = "Lost the lease of task {task_id} ({task_type}): its run here is stopped."


class TaskDoesNotEnd(TaskEvent):
    """A handler ignored the shutdown of its worker."""

    level = logging.ERROR
    text = (
        "Task {task_id} ({task_type}) ignores the stop of its worker. Another worker starts it again when its lease "
        "has expired."
    )


class HookFailed(TaskEvent):
    """A success, failure or exhausted hook raised an error. The outcome of the task stands."""

    level = logging.ERROR
    logger = "rota"
    text = "The {hook_event} hook of task {task_id} ({task_type}) failed: {hook}"
    shows_traceback = True
    hook_event: str
    hook: str
    error: BaseException


class HooksCancelled(TaskEvent):
    """The hooks of a task were cancelled. The outcome of the task stands."""

    text = "The {hook_event} hooks of task {task_id} ({task_type}) were cancelled: {reason}."
    hook_event: str
    reason: str


class LastReportLost(TaskEvent):
    """The last progress and log lines of a task could not be written."""

    level = logging.ERROR
    text = "The last progress and log lines of task {task_id} ({task_type}) could not be written."
    error: BaseException
    trace: str

    def cause(self) -> tuple[BaseException | None, str]:
        """Return the error with its traceback."""
        return self.error, self.trace


class UnknownTypesHandedBack(Event):
    """Tasks were handed back because this worker has no handler for their types. At most once a minute."""

    text = "Handed back {what}, because this worker has no handler for the type: {names}. {advice}"
    tasks: int
    names: str
    advice: str

    def message(self) -> str:
        """Return the text of the log line."""
        return self.text.format_map({**vars(self), "what": counted(self.tasks, "task")})


class TaskRecovered(Event):
    """A task whose worker died was taken over. `kind` is `crash`, `retry` or `archive`."""

    task_id: str
    queue: str
    kind: str
    delay_seconds: float
    max_crashes: int

    def message(self) -> str:
        """Return the text of the log line."""
        then = f"it runs again in {self.delay_seconds:.0f} s"
        if self.kind == "crash":
            crashes = counted(self.max_crashes, "crash", "crashes")
            then = f"it is at the front of its queue again, or in quarantine after {crashes}"
        elif self.kind == "archive":
            then = "it is archived"
        return f"Task {self.task_id} in queue {self.queue} lost its worker; {then}."


class TaskTooLarge(Event):
    """A task is archived, because no reply with its message arrives."""

    level = logging.ERROR
    text = "Task {task_id} in queue {queue} is archived: {reason}."
    task_id: str
    queue: str
    reason: str


class GroupedTaskUnreadable(Event):
    """A task of a group is archived, because its message cannot be read."""

    level = logging.ERROR
    text = "Task {task_id} in group {group} is archived: its message cannot be read ({error})."
    task_id: str
    group: str
    error: Exception


# Clients


class RequestsRepeated(Event):
    """A client sends requests again, because no answer came."""

    level = logging.INFO
    logger = "rota.client"
    requests: int
    error: object

    def message(self) -> str:
        """Return the text of the log line."""
        return f"Sending {counted(self.requests, 'request')} again, because no answer came: {self.error}"


class EnqueuesFailed(Event):
    """Some tasks of an `enqueue_many` were not enqueued, or may not have been."""

    level = logging.ERROR
    logger = "rota.client"
    failed: int
    tasks: int
    error: Exception

    def message(self) -> str:
        """Return the text of the log line."""
        were = "was" if self.failed == 1 else "were"
        of = counted(self.tasks, "task")
        return f"{self.failed:,} of {of} {were} not enqueued, or may not have been: {self.error}"


class EnqueueMiddlewareFailed(Event):
    """An enqueue middleware raised an error after its task was sent."""

    level = logging.ERROR
    logger = "rota.client"
    text = "An enqueue middleware raised an error after its task was sent."
    shows_traceback = True
    error: Exception


class ReplicasMissing(Event):
    """A task was enqueued, but not enough replicas have it."""

    logger = "rota.client.replicas"
    text = "A task was enqueued, but {error}"
    error: Exception
