"""Events on the way to the broker: of a worker, and of clients and connections."""

import logging

from rota.core.text import counted
from rota.events.event import Event

# A worker


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
    text = "The server refuses outcomes, each is sent by itself until it is taken: {error}"
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
    text = "A reply was lost and the broker does not answer: tasks it brought come back by their leases."


class FetchFound(Event):
    """The tasks of a fetch whose reply was lost were found, and run."""

    level = logging.INFO
    queue: str
    tasks: int

    def message(self) -> str:
        """Return the text of the log line."""
        return f"Found {counted(self.tasks, 'task')} whose fetch went unanswered in queue {self.queue}."


class TrackingTurnedOff(Event):
    """Tracking was turned off on a connection, perhaps by a proxy, and is turned on again."""

    text = "Tracking was turned off on the connection to {endpoint}; it is turned on again."
    endpoint: str


class TrackingRefused(Event):
    """The server refuses tracking, so the worker polls."""

    text = "The server refuses CLIENT TRACKING ({error}); the worker polls instead, up to every second."
    error: Exception


class ServerWarning(Event):
    """Something about the server, the environment or the app is unsafe or unusual, as found at the start."""

    text = "{advice}"
    advice: str


# Clients and connections


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
        return f"{self.failed} of {of} {were} not enqueued, or may not have been: {self.error}"


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


class DevServerUsed(Event):
    """A program uses the server of `rota dev` in its folder. Once for each server."""

    logger = "rota"
    text = "Using the server of `rota dev` in this folder, {url}. Set ROTA_URL to use another one."
    url: str


class QueueNameSkipped(Event):
    """A name in the set of all queues cannot be read. Once for each name."""

    logger = "rota.broker"
    text = (
        "Skipped the queue name {name!r} in the set of all queues: it is not UTF-8, so no client of Asynq or Rota can "
        "have written it. SREM removes it."
    )
    name: bytes


class SubscriptionFailed(Event):
    """The connection for subscriptions met an internal fault, and is made again."""

    level = logging.ERROR
    logger = "rota.broker"
    text = "The connection that listens cannot be made again; trying on."
    shows_traceback = True
    error: Exception
