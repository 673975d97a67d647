"""Events of queues: which are served, their housekeeping, and their groups."""

import logging
from collections.abc import Mapping, Sequence

from rota.core.text import counted
from rota.events.event import Event

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


class QueueNameSkipped(Event):
    """A name in the set of all queues cannot be read. Once for each name."""

    logger = "rota.broker"
    text = (
        "Skipped the queue name {name!r} in the set of all queues: it is not UTF-8, so no client of Asynq or Rota can "
        "have written it. SREM removes it."
    )
    name: bytes


# Housekeeping


class SweepRefused(Event):
    """The server refuses a step of the sweep. Once for each reason."""

    level = logging.ERROR
    text = "The server refuses a step of the sweep, which continues without it: {error}"
    error: Exception


class ClockJumped(Event):
    """The clock of the server has jumped ahead, so leases are not taken for expired for a while."""

    text = "The server's clock has jumped ahead: recovery waits until living workers have extended their leases."


class ArchiveTrimmed(Event):
    """Archived tasks were deleted for good."""

    tasks: int

    def message(self) -> str:
        """Return the text of the log line."""
        return f"Deleted {counted(self.tasks, 'failed task')} for good: the archive was full, or they were too old."


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


# Groups


class GroupAggregated(Event):
    """A group was aggregated: its tasks became one task, or none."""

    level = logging.DEBUG
    queue: str
    group: str
    tasks: int

    def message(self) -> str:
        """Return the text of the log line."""
        return f"Aggregated {counted(self.tasks, 'task')} of group {self.group} in queue {self.queue}."


class AggregatorFailed(Event):
    """An aggregator raised an error or took too long."""

    level = logging.ERROR
    text = (
        "Aggregator {aggregator!r} failed for group {group} in queue {queue}, time {failures} of {most_failures}: "
        "{then}."
    )
    shows_traceback = True
    aggregator: object
    group: str
    queue: str
    failures: int
    most_failures: int
    error: BaseException

    def message(self) -> str:
        """Return the text of the log line."""
        last = self.failures >= self.most_failures
        then = "its tasks are archived" if last else "its tasks return to the group and are tried again"
        return self.text.format_map({**vars(self), "then": then})


class AggregatorStillRuns(Event):
    """The thread of an aggregator goes on after its time limit. Once for each aggregator."""

    text = (
        "Aggregator {aggregator!r} still runs in its thread after its time limit. It has one slot less until the "
        "thread ends. This is logged once."
    )
    aggregator: object


class AggregationStopped(Event):
    """An aggregation was interrupted by an error of the broker, and is repeated later."""

    text = "The aggregation of group {group} in queue {queue} stops until later: {error}"
    group: str
    queue: str
    error: Exception


class AggregationFailed(Event):
    """An aggregation met an internal fault."""

    level = logging.ERROR
    text = "The aggregation of group {group} in queue {queue} failed."
    shows_traceback = True
    group: str
    queue: str
    error: Exception


class AggregationLate(Event):
    """The result of an aggregation came too late: its tasks are in the group again, or another worker has them."""

    group: str
    failed: bool

    def message(self) -> str:
        """Return the text of the log line."""
        if self.failed:
            return f"An aggregation of group {self.group} failed, but came too late: others have its tasks."
        return f"An aggregation of group {self.group} came too late: its tasks were put back after its time limit."


class AggregationSetLeft(Event):
    """The set of an interrupted aggregation could not be returned at once."""

    level = logging.INFO
    text = "The tasks of an aggregation of group {group} return to the group only after {allowed}: {error}"
    group: str
    allowed: str
    error: Exception


class GroupNamesSkipped(Event):
    """Groups were skipped because their names cannot be read. Once for each queue."""

    queue: str
    groups: int

    def message(self) -> str:
        """Return the text of the log line."""
        return (
            f"Skipped {counted(self.groups, 'group')} of queue {self.queue}: names that are not UTF-8 cannot have been "
            "written by a client of Asynq or Rota."
        )


class GroupsPolled(Event):
    """The server refuses to report changed groups, so they are polled."""

    text = "The server does not send notifications of changed groups ({error}); the worker polls the groups instead."
    error: Exception
