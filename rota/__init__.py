"""Rota: a task queue for Python that speaks Asynq's wire protocol. These are the public names.

`import rota` itself loads only the errors and prepares the loggers. Every other name is imported from its module when
it is first used. So a program that needs one of them does not load the rest, and the supervisor does not load what only
workers need.
"""

from typing import TYPE_CHECKING

from rota import log_lines
from rota.errors import (
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    ConfigError,
    DuplicateTask,
    EnqueueError,
    NotReplicated,
    OptionError,
    PayloadError,
    ProcessDied,
    QueueNotFound,
    ResultError,
    ResultNotKept,
    ResultTimeout,
    RetryLater,
    Revoke,
    RotaError,
    RoutingError,
    SkipRetry,
    TaskCancelled,
    TaskFailed,
    TaskIdConflict,
    TaskNotFound,
    TaskStateError,
    TimeLimitExceeded,
    WorkerFault,
)
from rota.on_demand import on_demand

log_lines.install()

if TYPE_CHECKING:
    from rota.aggregator import GroupedTask
    from rota.app import Rota
    from rota.context import Context, current
    from rota.enqueued import Enqueued, Plan, SyncEnqueued
    from rota.go_types import GoBytes, GoDuration
    from rota.info import TaskInfo, TaskState
    from rota.logs import TaskLogFilter
    from rota.options import Options
    from rota.policy import Debounce, Retry, Unique
    from rota.settings import Settings
    from rota.signature import INJECTED, Depends, Payload
    from rota.task import Task

__all__ = [
    "INJECTED",
    "BrokerError",
    "BrokerRefused",
    "BrokerUnavailable",
    "ConfigError",
    "Context",
    "Debounce",
    "Depends",
    "DuplicateTask",
    "EnqueueError",
    "Enqueued",
    "GoBytes",
    "GoDuration",
    "GroupedTask",
    "NotReplicated",
    "OptionError",
    "Options",
    "Payload",
    "PayloadError",
    "Plan",
    "ProcessDied",
    "QueueNotFound",
    "ResultError",
    "ResultNotKept",
    "ResultTimeout",
    "Retry",
    "RetryLater",
    "Revoke",
    "Rota",
    "RotaError",
    "RoutingError",
    "Settings",
    "SkipRetry",
    "SyncEnqueued",
    "Task",
    "TaskCancelled",
    "TaskFailed",
    "TaskIdConflict",
    "TaskInfo",
    "TaskLogFilter",
    "TaskNotFound",
    "TaskState",
    "TaskStateError",
    "TimeLimitExceeded",
    "Unique",
    "WorkerFault",
    "current",
]

_MODULES = {
    "aggregator": ("GroupedTask",),
    "app": ("Rota",),
    "context": ("Context", "current"),
    "enqueued": ("Enqueued", "Plan", "SyncEnqueued"),
    "go_types": ("GoBytes", "GoDuration"),
    "info": ("TaskInfo", "TaskState"),
    "logs": ("TaskLogFilter",),
    "options": ("Options",),
    "policy": ("Debounce", "Retry", "Unique"),
    "settings": ("Settings",),
    "signature": ("INJECTED", "Depends", "Payload"),
    "task": ("Task",),
}

if not TYPE_CHECKING:  # a checker would take any name for one of ours
    __getattr__ = on_demand(__name__, _MODULES)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
