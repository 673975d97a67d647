"""Reading the state of queues, tasks and servers: `Inspector`, and the frozen snapshots that it returns."""

from rota.inspect.inspector import Inspector
from rota.inspect.queue import AggregationSnapshot, DaySnapshot, GroupSnapshot, QueueSnapshot
from rota.inspect.scheduler_snapshot import EnqueueEventSnapshot, SchedulerEntrySnapshot
from rota.inspect.server_snapshot import RunningSnapshot, ServerSnapshot
from rota.inspect.task_snapshot import ProgressReport, TaskList, TaskSnapshot
from rota.inspect.task_type import TypeList, TypeSnapshot, TypeVersion

__all__ = [
    "AggregationSnapshot",
    "DaySnapshot",
    "EnqueueEventSnapshot",
    "GroupSnapshot",
    "Inspector",
    "ProgressReport",
    "QueueSnapshot",
    "RunningSnapshot",
    "SchedulerEntrySnapshot",
    "ServerSnapshot",
    "TaskList",
    "TaskSnapshot",
    "TypeList",
    "TypeSnapshot",
    "TypeVersion",
]
