"""Rota: a task queue for Python that speaks Asynq's wire protocol. These are the public names.

`import rota` itself loads only the errors. Every other name is imported from its module when
it is first used. So a program loads only the modules of the names that it uses, and the supervisor does not load the
modules of workers.
"""

from typing import TYPE_CHECKING

from rota.core.on_demand import on_demand
from rota.errors import (
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    ConfigError,
    DuplicateTask,
    EnqueueError,
    NotReplicated,
    OptionError,
    OrderRefused,
    OrderTimeout,
    PayloadError,
    ProcessDied,
    QueryError,
    QueueNotFound,
    QueuePaused,
    QueueStateError,
    ResultError,
    ResultNotKept,
    ResultTimeout,
    RetryLater,
    Revoke,
    RotaError,
    RoutingError,
    ScheduleError,
    ScheduleInvalid,
    SchedulerAway,
    SkipRetry,
    StaleVersion,
    StoreConflict,
    StoreError,
    StoreNotFound,
    StoreRefused,
    StoreSchemaError,
    StoreUnavailable,
    TaskCancelled,
    TaskFailed,
    TaskIdConflict,
    TaskNotFound,
    TaskStateError,
    TimeLimitExceeded,
    WorkerFault,
    WorkerNotFound,
    WorkerOrderFailed,
)

if TYPE_CHECKING:
    from rota.app import Rota
    from rota.cron.local_cron import Cron
    from rota.cron.spec_builder import every
    from rota.schedule.calendar import Calendar
    from rota.schedule.declared import When
    from rota.schedule.definition import ScheduleDefinition
    from rota.settings.settings import Settings
    from rota.tasks.context import Context, current
    from rota.tasks.go_values import GoBytes, GoDuration
    from rota.tasks.groups import GroupedTask
    from rota.tasks.job import Job, Plan, SyncJob, TaskAttempt, TaskInfo, TaskState
    from rota.tasks.logs import JsonFormatter, TaskLogFilter
    from rota.tasks.options import Options
    from rota.tasks.policy import Debounce, Retry, Unique
    from rota.tasks.router import Tasks
    from rota.tasks.signature import INJECTED, Depends, Payload
    from rota.tasks.task import Task

__all__ = [
    "INJECTED",
    "BrokerError",
    "BrokerRefused",
    "BrokerUnavailable",
    "Calendar",
    "ConfigError",
    "Context",
    "Cron",
    "Debounce",
    "Depends",
    "DuplicateTask",
    "EnqueueError",
    "GoBytes",
    "GoDuration",
    "GroupedTask",
    "Job",
    "JsonFormatter",
    "NotReplicated",
    "OptionError",
    "Options",
    "OrderRefused",
    "OrderTimeout",
    "Payload",
    "PayloadError",
    "Plan",
    "ProcessDied",
    "QueryError",
    "QueueNotFound",
    "QueuePaused",
    "QueueStateError",
    "ResultError",
    "ResultNotKept",
    "ResultTimeout",
    "Retry",
    "RetryLater",
    "Revoke",
    "Rota",
    "RotaError",
    "RoutingError",
    "ScheduleDefinition",
    "ScheduleError",
    "ScheduleInvalid",
    "SchedulerAway",
    "Settings",
    "SkipRetry",
    "StaleVersion",
    "StoreConflict",
    "StoreError",
    "StoreNotFound",
    "StoreRefused",
    "StoreSchemaError",
    "StoreUnavailable",
    "SyncJob",
    "Task",
    "TaskAttempt",
    "TaskCancelled",
    "TaskFailed",
    "TaskIdConflict",
    "TaskInfo",
    "TaskLogFilter",
    "TaskNotFound",
    "TaskState",
    "TaskStateError",
    "Tasks",
    "TimeLimitExceeded",
    "Unique",
    "When",
    "WorkerFault",
    "WorkerNotFound",
    "WorkerOrderFailed",
    "current",
    "every",
]

_MODULES = {
    "tasks.groups": ("GroupedTask",),
    "app": ("Rota",),
    "cron.local_cron": ("Cron",),
    "cron.spec_builder": ("every",),
    "schedule.calendar": ("Calendar",),
    "schedule.definition": ("ScheduleDefinition",),
    "schedule.declared": ("When",),
    "tasks.context": ("Context", "current"),
    "tasks.job": ("Job", "Plan", "SyncJob", "TaskAttempt", "TaskInfo", "TaskState"),
    "tasks.go_values": ("GoBytes", "GoDuration"),
    "tasks.logs": ("JsonFormatter", "TaskLogFilter"),
    "tasks.options": ("Options",),
    "tasks.policy": ("Debounce", "Retry", "Unique"),
    "tasks.router": ("Tasks",),
    "settings.settings": ("Settings",),
    "tasks.signature": ("INJECTED", "Depends", "Payload"),
    "tasks.task": ("Task",),
}

if not TYPE_CHECKING:  # a checker would take any name for one of ours
    __getattr__, __dir__ = on_demand(__name__, _MODULES)
