"""Events of a worker: its life, its event loop, its queues and its housekeeping."""

import logging
from collections.abc import Mapping, Sequence

from rota.core.text import counted
from rota.events.event import Event

# The life of a worker


class WorkerStarted(Event):
    """A worker begins to run: it connects, and enters the lifespan of the app."""

    level = logging.DEBUG
    text = "Worker {worker} starts."
    worker: str


class WorkerReady(Event):
    """A worker takes tasks from now on."""

    level = logging.INFO
    worker: str
    slots: int
    queues: Sequence[str]

    def message(self) -> str:
        """Return the text of the log line."""
        queues = ", ".join(self.queues) or "no queue so far"
        return f"Worker {self.worker} is ready with {counted(self.slots, 'slot')} for {queues}."


class WorkerStopped(Event):
    """A worker has stopped, and every outcome is recorded or was given up."""

    level = logging.INFO
    text = "Worker {worker} has stopped."
    worker: str


class WorkerCancelled(Event):
    """The program cancelled a worker instead of stopping it."""

    text = "Worker {worker} was cancelled: it stops its handlers and hands their tasks back."
    worker: str


class WorkerFaulted(Event):
    """A worker has met an internal fault and ends."""

    level = logging.CRITICAL
    text = "Worker {worker} has met an internal fault and ends."
    shows_traceback = True
    worker: str
    error: BaseException


class WorkerRestarts(Event):
    """An embedded worker starts again after a fault."""

    level = logging.ERROR
    text = "Worker {worker} starts again in {seconds:g} s: {error}"
    worker: str
    seconds: float
    error: Exception


class TasksNotHandedBack(Event):
    """A worker that ended after a fault could not hand back its tasks."""

    level = logging.ERROR
    text = "Worker {worker} could not hand back all of its tasks: their leases give them back."
    shows_traceback = True
    worker: str
    error: Exception


class BurstEnded(Event):
    """A worker in burst mode found its queues empty and stops."""

    level = logging.INFO
    later: int

    def message(self) -> str:
        """Return the text of the log line."""
        later = f"; {counted(self.later, 'task')} for later or in paused queues" if self.later else ""
        return f"Nothing is left to run now{later}. The worker stops."


class PartFailed(Event):
    """A background part of a worker raised an error, and goes on."""

    level = logging.ERROR
    text = "The {part} failed; it goes on with its next turn."
    shows_traceback = True
    part: str
    error: BaseException


class RequestFailed(Event):
    """A request to a worker, such as a cancel or a change of its queues, raised an error."""

    level = logging.ERROR
    text = "{error}"
    shows_traceback = True
    error: BaseException


class ProcessPoolNotWarm(Event):
    """No pool process for tasks with `run="process"` could be started at the start of the worker."""

    level = logging.ERROR
    text = "No pool process could be started; each task with run='process' will try again. {error}"
    error: Exception


# The event loop


class LoopBlocked(Event):
    """Code blocks the event loop of a worker. `trace` is its stack."""

    text = (
        "The event loop has been blocked for {seconds:.1f} s by {blocked_by}. Nothing else runs in this worker "
        "meanwhile. Await what takes long, make the function a plain def (it runs in a thread then), or give it "
        'run="process". It is here:'
    )
    seconds: float
    blocked_by: str
    trace: str

    def stack(self) -> str | None:
        """Return the stack of the code that blocks the loop."""
        return self.trace


class LoopTurnsAgain(Event):
    """The event loop was blocked, and turns again."""

    text = "The event loop turns again, after {seconds:.1f} s."
    seconds: float


# Queues


class QueueNotServed(Event):
    """A key of a queue has a wrong type, so the queue is not served."""

    level = logging.ERROR
    text = (
        "Queue {queue} is not served: its key {key} is of another type, so some other program has written it. Delete "
        "or rename the key; the other queues are served meanwhile."
    )
    queue: str
    key: str


class QueueServedAgain(Event):
    """The wrong key of a queue is gone."""

    text = "Queue {queue} is served again."
    queue: str


class PatternMatchesNothing(Event):
    """A pattern of queues matches no queue yet. Once for each pattern."""

    text = (
        "No queue matches {pattern!r} yet: a queue exists from its first task on. The worker looks again every {every}."
    )
    pattern: str
    every: str


class DanglingTasksDropped(Event):
    """A queue listed tasks that do not exist."""

    text = "Queue {queue} listed tasks that no longer exist, dropped: {task_ids}"
    queue: str
    task_ids: Sequence[object]


# Housekeeping


class SweepRefused(Event):
    """The server refuses a step of the sweep. Once for each reason."""

    level = logging.ERROR
    text = "The sweep goes on without something that the server refuses: {error}"
    error: Exception


class ClockJumped(Event):
    """The clock of the server has jumped ahead, so leases are not taken for expired for a while."""

    text = "The server's clock has jumped ahead: the leases of those who live are waited for."


class ArchiveTrimmed(Event):
    """Archived tasks were deleted for good."""

    tasks: int

    def message(self) -> str:
        """Return the text of the log line."""
        return f"Deleted {counted(self.tasks, 'failed task')} for good: the archive was full, or this was too old."


class QueueRepaired(Event):
    """Inconsistent keys of a queue were repaired. `repairs` has the number of each kind."""

    text = "Repaired in queue {queue}: {what}."
    queue: str
    repairs: Mapping[str, int]
    meanings: Mapping[str, str]

    def message(self) -> str:
        """Return the text of the log line."""
        what = ", ".join(f"{number} × {self.meanings[kind]}" for kind, number in self.repairs.items())
        return self.text.format_map({"queue": self.queue, "what": what})


class AggregationReclaimed(Event):
    """The tasks of an aggregation whose worker died are in their group again."""

    queue: str
    tasks: int

    def message(self) -> str:
        """Return the text of the log line."""
        wait = "waits in its" if self.tasks == 1 else "wait in their"
        return f"{counted(self.tasks, 'task')} of a dead aggregation in queue {self.queue} {wait} group again."
