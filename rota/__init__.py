"""Rota: a task queue for Python that speaks Asynq's wire protocol. These are the public names."""

from rota import log_lines
from rota.aggregator import GroupedTask
from rota.app import Rota
from rota.context import Context, current
from rota.enqueued import Enqueued, Plan, SyncEnqueued
from rota.errors import (
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    BufferFull,
    ConfigError,
    DuplicateTask,
    EnqueueError,
    NotReplicated,
    OptionError,
    PayloadError,
    ProcessDied,
    QueueNotFound,
    ResultError,
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
)
from rota.info import TaskInfo, TaskState
from rota.options import Options
from rota.policy import Debounce, Retry, Unique
from rota.settings import Settings
from rota.signature import INJECTED, Depends, Payload
from rota.task import Task

log_lines.install()

__all__ = [
    "INJECTED",
    "BrokerError",
    "BrokerRefused",
    "BrokerUnavailable",
    "BufferFull",
    "ConfigError",
    "Context",
    "Debounce",
    "Depends",
    "DuplicateTask",
    "EnqueueError",
    "Enqueued",
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
    "TaskNotFound",
    "TaskState",
    "TaskStateError",
    "TimeLimitExceeded",
    "Unique",
    "current",
]
