"""Reads tasks. No script here writes, and long lists are read in pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rota.wire.keys import QueueKeys
from rota.wire.look_queue import text
from rota.wire.script import Argument, Call, load

_SHORT_FIELDS = (
    "msg",
    "state",
    "group",
    "result",
    "unique_key",
    "pending_since",
    "rota_crashes",
    "rota_progress",
    "rota_end",
    "rota_cancel",
)
_ALL_FIELDS = (*_SHORT_FIELDS, "rota_log", "rota_traceback")


@dataclass(frozen=True, slots=True)
class TaskLook:
    """The existing fields of a task's hash, and the task's score in its sorted set (of an active task, in `lease`)."""

    id: str
    score: float | None
    fields: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Some tasks of one state; `total` is the number of all tasks in it."""

    now: float
    total: int
    tasks: Sequence[TaskLook]


@dataclass(frozen=True, slots=True)
class OneTask:
    """One task; `scores` maps each sorted set that contains its ID to the score there."""

    now: float
    fields: Mapping[str, bytes]
    scores: Mapping[str, float] = field(default_factory=dict[str, float])


def tasks(keys: QueueKeys, container: str, start: int, count: int) -> Call[TaskPage]:
    """Read a page of tasks. `container` is the key of a state, of a group, or of an aggregation set."""
    kind = "list" if container in (keys.pending, keys.active) else "zset"
    args: list[Argument] = [keys.task_prefix, kind, start, count, *_SHORT_FIELDS]
    return Call(load("look_tasks"), (container, keys.lease), args, _task_page)


def task(keys: QueueKeys, task_id: str) -> Call[OneTask]:
    """Read one task in any state."""
    sets = {
        "scheduled": keys.scheduled,
        "retry": keys.retry,
        "archived": keys.archived,
        "completed": keys.completed,
        "active": keys.lease,
    }
    return Call(
        load("look_task"),
        (keys.task(task_id), *sets.values()),
        (task_id, *_ALL_FIELDS),
        lambda reply: _one_task(reply, tuple(sets)),
    )


def _task_page(reply: Any) -> TaskPage:
    now, total, *rows = reply
    looks = [TaskLook(text(row[0]), _score(row[1]), _present(_SHORT_FIELDS, row[2])) for row in rows]
    return TaskPage(float(now), total, looks)


def _one_task(reply: Any, sets: Sequence[str]) -> OneTask:
    now, fields, scores = reply
    found = {name: float(score) for name, score in zip(sets, scores, strict=True) if score is not None}
    return OneTask(float(now), _present(_ALL_FIELDS, fields), found)


def _present(names: Sequence[str], values: Any) -> dict[str, bytes]:
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _score(reply: Any) -> float | None:
    return None if reply is None else float(reply)
