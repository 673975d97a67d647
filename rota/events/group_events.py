"""Events of groups and their aggregations."""

import logging

from rota.core.text import counted
from rota.events.event import Event


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
    text = "A set of group {group} returns only after {allowed}: {error}"
    group: str
    allowed: str
    error: Exception


class GroupNamesSkipped(Event):
    """Groups were skipped because their names cannot be read. Once for each queue."""

    text = (
        "Skipped {groups} groups of queue {queue}: their names are not UTF-8, so no client of Asynq or Rota can have "
        "written them."
    )
    queue: str
    groups: int


class GroupsPolled(Event):
    """The server refuses to report changed groups, so they are polled."""

    text = "The server does not tell of changed groups ({error}); they are polled instead."
    error: Exception
