"""Events of a worker: its life, its event loop, and its way to the broker."""

import logging
from collections.abc import Sequence

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
    text = "Worker {worker} could not hand back all of its tasks: they run again when their leases have expired."
    shows_traceback = True
    worker: str
    error: Exception


class WorkerOrderObeyed(Event):
    """A worker obeys an order that an operator has given over Redis. `order` says in words what it does."""

    level = logging.INFO
    worker: str
    order: str
    by: str
    reason: str

    def message(self) -> str:
        """Return the text of the log line."""
        by = f" by {self.by}" if self.by else ""
        reason = f" ({self.reason})" if self.reason else ""
        return f"Worker {self.worker} obeys an order{by}{reason}: {self.order}."


class WorkerOrderRefused(Event):
    """A worker refuses an order that an operator has given over Redis."""

    text = "Worker {worker} refuses an order: {order}. {why}"
    worker: str
    order: str
    by: str
    why: str


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
    text = "The {part} failed; it tries again at its next interval."
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


# The way to the broker


class BrokerAway(Event):
    """A call to the broker failed, and is repeated until it works. The first of an outage."""

    text = "{act} failed, trying again until it works: {error}"
    log_level: int
    act: str
    error: Exception
    unexpected: bool

    def severity(self) -> int:
        """Return the level that the caller chose."""
        return self.log_level

    def cause(self) -> tuple[BaseException | None, str]:
        """Return an error that is not one of the broker, so that its traceback is logged."""
        return (self.error if self.unexpected else None), ""


class BrokerStillAway(Event):
    """A call to the broker still fails. Once a minute."""

    level = logging.ERROR
    act: str
    attempts: int
    error: Exception
    unexpected: bool

    def message(self) -> str:
        """Return the text of the log line."""
        return f"{self.act} still fails, after {counted(self.attempts, 'attempt')}: {self.error}"

    def cause(self) -> tuple[BaseException | None, str]:
        """Return an error that is not one of the broker, so that its traceback is logged."""
        return (self.error if self.unexpected else None), ""


class BrokerBack(Event):
    """The broker answers again."""

    level = logging.INFO
    failures: int

    def message(self) -> str:
        """Return the text of the log line."""
        return f"The broker answers again after {counted(self.failures, 'failed attempt')}."


class HeartbeatLost(Event):
    """The heartbeat does not reach the broker. If this lasts as long as a lease, the tasks run again elsewhere."""

    text = "The heartbeat does not reach the broker, trying again: {error}"
    error: Exception


class HeartbeatBack(Event):
    """The heartbeat reaches the broker again."""

    level = logging.INFO
    text = "The heartbeat reaches the broker again."


class ServerRecordLeft(Event):
    """A worker that stops could not delete its record in the listings."""

    level = logging.INFO
    text = "This server stays in the listings until its record expires: {error}"
    error: Exception


class TaskTypesNotPublished(Event):
    """A worker could not publish the task types that it handles, and tries again."""

    text = "The task types of this worker cannot be published, trying again: {error}"
    error: Exception


class OutcomesRefused(Event):
    """The server refuses a batch of outcomes."""

    level = logging.ERROR
    text = "The server refuses a batch of outcomes; each outcome is now sent alone until the server accepts it: {error}"
    error: Exception


class LastOutcomesLost(Event):
    """A worker that stops could not record its last outcomes."""

    level = logging.ERROR
    text = "The last outcomes could not be recorded: the broker does not answer. Those tasks run again."


class FetchLost(Event):
    """The reply to a fetch was lost, and the tasks of this fetch can only come back by their leases."""

    level = logging.ERROR
    text = "Tasks of a lost fetch from queue {queue} will be redelivered when their leases expire: {error}"
    queue: str
    error: object


class LastFetchLost(Event):
    """The reply to the last fetch of a worker that stops was lost."""

    level = logging.ERROR
    text = "A reply was lost and the broker does not answer: its tasks run again when their leases have expired."


class FetchFound(Event):
    """The tasks of a fetch whose reply was lost were found, and run."""

    level = logging.INFO
    queue: str
    tasks: int

    def message(self) -> str:
        """Return the text of the log line."""
        return f"Found {counted(self.tasks, 'task')} of a fetch from queue {self.queue} whose reply was lost."


class TrackingTurnedOff(Event):
    """Tracking was turned off on a connection, perhaps by a proxy, and is turned on again."""

    text = "Tracking was turned off on the connection to {endpoint}; it is turned on again."
    endpoint: str


class TrackingRefused(Event):
    """The server refuses tracking, so the worker polls."""

    text = "The server refuses CLIENT TRACKING ({error}); the worker polls instead, at least once a second."
    error: Exception


class ServerWarning(Event):
    """Something about the server, the environment or the app is unsafe or unusual, as found at the start."""

    text = "{advice}"
    advice: str


class SubscriptionFailed(Event):
    """The connection for subscriptions met an internal fault, and is made again."""

    level = logging.ERROR
    logger = "rota.broker"
    text = "The connection for subscriptions cannot be opened again; the worker keeps trying."
    shows_traceback = True
    error: Exception
