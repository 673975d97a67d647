"""The read model and the actions: `Inspector` and `Actions` with their blocking twins, and their frozen snapshots."""

from typing import TYPE_CHECKING

from rota.core.on_demand import on_demand

if TYPE_CHECKING:
    from rota.inspect.actions import Actions, SyncActions
    from rota.inspect.face import TaskRef
    from rota.inspect.inspector import Inspector, SyncInspector
    from rota.inspect.queue import AggregationSnapshot, DaySnapshot, GroupSnapshot, QueueSnapshot
    from rota.inspect.scheduler_snapshot import EnqueueEventSnapshot, SchedulerEntrySnapshot
    from rota.inspect.server_snapshot import RunningSnapshot, ServerSnapshot
    from rota.inspect.task_snapshot import ProgressReport, TaskList, TaskSnapshot
    from rota.inspect.task_type import TypeList, TypeSnapshot, TypeVersion
else:  # a program that only changes tasks does not load the snapshots
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "actions": ("Actions", "SyncActions"),
            "face": ("TaskRef",),
            "inspector": ("Inspector", "SyncInspector"),
            "queue": ("AggregationSnapshot", "DaySnapshot", "GroupSnapshot", "QueueSnapshot"),
            "scheduler_snapshot": ("EnqueueEventSnapshot", "SchedulerEntrySnapshot"),
            "server_snapshot": ("RunningSnapshot", "ServerSnapshot"),
            "task_snapshot": ("ProgressReport", "TaskList", "TaskSnapshot"),
            "task_type": ("TypeList", "TypeSnapshot", "TypeVersion"),
        },
    )

__all__ = [
    "Actions",
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
    "SyncActions",
    "SyncInspector",
    "TaskList",
    "TaskRef",
    "TaskSnapshot",
    "TypeList",
    "TypeSnapshot",
    "TypeVersion",
]
