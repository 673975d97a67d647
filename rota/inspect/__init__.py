"""The read model and the actions: `Inspector` and `Actions` with their blocking twins, and their frozen snapshots."""

from typing import TYPE_CHECKING

from rota.core.on_demand import on_demand

if TYPE_CHECKING:
    from rota.inspect.actions import Actions, SyncActions
    from rota.inspect.all_queues import Overview, Rate
    from rota.inspect.aside_reads import CutOff
    from rota.inspect.broker_snapshot import (
        BrokerSnapshot,
        ClusterSnapshot,
        NodeSnapshot,
        ReplicaSnapshot,
        SlowCommand,
    )
    from rota.inspect.bulk import Bulk, BulkFailure, BulkProgress, Preview
    from rota.inspect.bulk_acts import (
        Archive,
        Cancel,
        Delete,
        EditPayload,
        FreeLock,
        MoveTo,
        Requeue,
        Reschedule,
        RunNow,
    )
    from rota.inspect.candidate import Hit
    from rota.inspect.deleting_queue import DeletionProgress
    from rota.inspect.error_groups import ErrorGroup, ErrorPage
    from rota.inspect.face import TaskRef
    from rota.inspect.histogram import Histogram
    from rota.inspect.inspector import Inspector, SyncInspector
    from rota.inspect.judgement import Fact
    from rota.inspect.metric_series import MetricPoint, MetricSample, MetricSeries
    from rota.inspect.query import Query
    from rota.inspect.queue import AggregationSnapshot, DaySnapshot, GroupSnapshot, QueueSnapshot
    from rota.inspect.queue_actions import DrainProgress
    from rota.inspect.scheduler_snapshot import EnqueueEventSnapshot, SchedulerEntrySnapshot
    from rota.inspect.search_position import SearchPage
    from rota.inspect.server_snapshot import RunningSnapshot, ServerSnapshot
    from rota.inspect.targets import Chosen, FromStream, InState, Matching, Targets
    from rota.inspect.task_snapshot import ProgressReport, TaskList, TaskSnapshot
    from rota.inspect.task_type import TypeList, TypeSnapshot, TypeVersion
    from rota.inspect.trash import OpenTrash, Trash, TrashedTask
    from rota.inspect.waiting import Cause, Reason, Waiting
    from rota.inspect.worker_actions import WorkerAnswer
else:  # a program that only changes tasks does not load the snapshots
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "actions": ("Actions", "SyncActions"),
            "error_groups": ("ErrorGroup", "ErrorPage"),
            "query": ("Query",),
            "candidate": ("Hit",),
            "search_position": ("SearchPage",),
            "waiting": ("Cause", "Reason", "Waiting"),
            "broker_snapshot": (
                "BrokerSnapshot",
                "ClusterSnapshot",
                "NodeSnapshot",
                "ReplicaSnapshot",
                "SlowCommand",
            ),
            "aside_reads": ("CutOff",),
            "bulk": ("Bulk", "BulkFailure", "BulkProgress", "Preview"),
            "bulk_acts": (
                "Archive",
                "Cancel",
                "Delete",
                "EditPayload",
                "FreeLock",
                "MoveTo",
                "Requeue",
                "Reschedule",
                "RunNow",
            ),
            "deleting_queue": ("DeletionProgress",),
            "face": ("TaskRef",),
            "targets": ("Chosen", "FromStream", "InState", "Matching", "Targets"),
            "trash": ("OpenTrash", "Trash", "TrashedTask"),
            "histogram": ("Histogram",),
            "inspector": ("Inspector", "SyncInspector"),
            "judgement": ("Fact",),
            "all_queues": ("Overview", "Rate"),
            "metric_series": ("MetricPoint", "MetricSample", "MetricSeries"),
            "queue": ("AggregationSnapshot", "DaySnapshot", "GroupSnapshot", "QueueSnapshot"),
            "queue_actions": ("DrainProgress",),
            "scheduler_snapshot": ("EnqueueEventSnapshot", "SchedulerEntrySnapshot"),
            "server_snapshot": ("RunningSnapshot", "ServerSnapshot"),
            "task_snapshot": ("ProgressReport", "TaskList", "TaskSnapshot"),
            "task_type": ("TypeList", "TypeSnapshot", "TypeVersion"),
            "worker_actions": ("WorkerAnswer",),
        },
    )

__all__ = [
    "Actions",
    "AggregationSnapshot",
    "Archive",
    "BrokerSnapshot",
    "Bulk",
    "BulkFailure",
    "BulkProgress",
    "Cancel",
    "Cause",
    "Chosen",
    "ClusterSnapshot",
    "CutOff",
    "DaySnapshot",
    "Delete",
    "DeletionProgress",
    "DrainProgress",
    "EditPayload",
    "EnqueueEventSnapshot",
    "ErrorGroup",
    "ErrorPage",
    "Fact",
    "FreeLock",
    "FromStream",
    "GroupSnapshot",
    "Histogram",
    "Hit",
    "InState",
    "Inspector",
    "Matching",
    "MetricPoint",
    "MetricSample",
    "MetricSeries",
    "MoveTo",
    "NodeSnapshot",
    "OpenTrash",
    "Overview",
    "Preview",
    "ProgressReport",
    "Query",
    "QueueSnapshot",
    "Rate",
    "Reason",
    "ReplicaSnapshot",
    "Requeue",
    "Reschedule",
    "RunNow",
    "RunningSnapshot",
    "SchedulerEntrySnapshot",
    "SearchPage",
    "ServerSnapshot",
    "SlowCommand",
    "SyncActions",
    "SyncInspector",
    "Targets",
    "TaskList",
    "TaskRef",
    "TaskSnapshot",
    "Trash",
    "TrashedTask",
    "TypeList",
    "TypeSnapshot",
    "TypeVersion",
    "Waiting",
    "WorkerAnswer",
]
