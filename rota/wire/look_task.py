"""Reads tasks, and counts them. No script here writes, and long lists are read in pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from rota.errors import PayloadError
from rota.wire.keys import QueueKeys
from rota.wire.message import unpack
from rota.wire.names import raw as id_bytes
from rota.wire.names import text as exact
from rota.wire.proto import TaskMessage
from rota.wire.script import Argument, Call, load

MAX_PAGE = 500
MAX_REPLY_BYTES = 1024 * 1024
"""Most bytes of one reply, because a task may have a result of several megabytes."""
TaskEnd: TypeAlias = Literal["waiting", "open", "succeeded", "failed", "cancelled", "lost"]
"""How a task has ended. It is `waiting` if no worker has begun it, and `open` if it has begun and not ended."""

_MARKS = 3
_STATES = ("active", "pending", "scheduled", "retry", "archived", "completed", "aggregating")
_STATES_BEFORE_THE_END = ("active", "pending", "scheduled", "retry", "aggregating")
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
_ALL_FIELDS = (*_SHORT_FIELDS, "rota_log", "rota_traceback", "rota_attempts")


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task as it is stored: the existing fields of its hash, its state, and the time of the server.

    `score` is its score in the sorted set of its state (of an active task, in `lease`). `state` is empty if the task
    does not exist, or if only leftover fields of it do.
    """

    queue: str
    id: str
    state: str
    now: float
    score: float | None = None
    fields: Mapping[str, bytes] = field(default_factory=dict[str, bytes])

    def message(self) -> TaskMessage:
        """Read the message. A missing or invalid message is read as a blank one."""
        try:
            return unpack(self.fields.get("msg", b""))
        except PayloadError:
            return TaskMessage()

    def text(self, name: str) -> str | None:
        """Read a field as text."""
        raw = self.fields.get(name)
        return None if raw is None else text(raw)

    def number(self, name: str) -> int | None:
        """Read a field as a whole number, or None if it is not one."""
        try:
            return int(self.fields.get(name, b""))
        except ValueError:
            return None


class Mark(NamedTuple):
    """The end of a page, after which the next page goes on while tasks come and go.

    In a sorted set, `at` is the score of the last task, and `ids` has its ID. In a list, `at` is how many tasks the
    pages so far have passed, and `ids` has the last IDs, the last one first: `after.lua` says how they are used.
    """

    at: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Some tasks of one state; `total` is the number of all tasks in it.

    `end` is where the next page goes on, None if nothing is left. With `again`, the call looked only for the position:
    make it again with `end`.
    """

    total: int
    tasks: Sequence[StoredTask]
    end: Mark | None = None
    again: bool = False


class WorkLeft(NamedTuple):
    """Tasks that can run now or are running (`now`), and tasks that are scheduled or in a paused queue (`later`).

    `now` is 0 only if there are none; due tasks of one set count as one.
    """

    now: int
    later: int


def tasks(
    keys: QueueKeys,
    state: str,
    container: str,
    start: int,
    count: int = MAX_PAGE,
    *,
    after: Mark | None = None,
    most_bytes: int = MAX_REPLY_BYTES,
) -> Call[TaskPage]:
    """Read a page of tasks in one state. `container` is the key of its set, of a group, or of an aggregation set.

    The page begins at the position `start`, or at the end of an earlier page (`after`). It has at most `count` tasks,
    and fewer if these do not fit into `most_bytes`.
    """
    kind = "list" if container in (keys.pending, keys.active) else "zset"
    marks: tuple[Argument, ...] = () if after is None else (after.at, *map(id_bytes, after.ids))
    args: list[Argument] = [keys.task_prefix, kind, start, count, most_bytes, len(marks), *marks, *_SHORT_FIELDS]
    return Call(
        load("look_tasks"),
        (container, keys.lease),
        args,
        lambda reply: _page(reply, keys.queue, state, kind == "list", after),
    )


def task(keys: QueueKeys, task_id: str) -> Call[StoredTask]:
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
        lambda reply: _one(reply, keys.queue, task_id, tuple(sets)),
    )


def chosen(keys: QueueKeys, ids: Sequence[str], most_bytes: int = MAX_REPLY_BYTES) -> Call[list[StoredTask]]:
    """Read at most 500 tasks of a queue by their IDs: all fields of the first ones that fit into `most_bytes`.

    At least one task is read. A task that does not exist has an empty state.
    """
    args: list[Argument] = [keys.task_prefix, most_bytes, len(_ALL_FIELDS), *_ALL_FIELDS, *map(id_bytes, ids)]
    script_keys = (keys.lease, keys.scheduled, keys.retry, keys.archived, keys.completed)
    return Call(load("look_chosen"), script_keys, args, lambda reply: _chosen(reply, keys.queue, ids))


def work_left(keys: QueueKeys) -> Call[WorkLeft]:
    """Count the tasks that can still run in a queue, for a worker that stops when no tasks are left."""
    script_keys = (keys.pending, keys.active, keys.paused, keys.scheduled, keys.retry)
    return Call(load("work_left"), script_keys, (), lambda reply: WorkLeft(*reply))


def ends(keys: QueueKeys, task_ids: Sequence[str], *, dead_after_seconds: float | None = None) -> Call[list[TaskEnd]]:
    """Read how some tasks have ended. One that is gone is lost.

    With `dead_after_seconds`, so is a running task whose lease expired this long ago.
    """

    def decode(reply: Any) -> list[TaskEnd]:
        dead_before = 0.0 if dead_after_seconds is None else float(reply[0]) - dead_after_seconds
        return [_end(row, dead_before) for row in reply[1:]]

    return Call(load("look_states"), (keys.lease,), (keys.task_prefix, *task_ids), decode)


def _end(row: Any, dead_before: float) -> TaskEnd:
    raw_state, lease, reason, attempted = row
    state = "" if raw_state is None else text(raw_state)
    if state == "completed":
        return "succeeded"
    if state == "archived":
        return "cancelled" if reason == b"cancelled" else "failed"
    if state not in _STATES_BEFORE_THE_END or (lease is not None and float(lease) <= dead_before):
        return "lost"
    return "open" if attempted or state in ("active", "retry") else "waiting"


def _page(reply: Any, queue: str, state: str, is_list: bool, after: Mark | None) -> TaskPage:
    now, total, start, *rows = reply
    if start < 0 and after is not None:
        return TaskPage(total, (), after._replace(at=str(-start)), again=True)
    found = [
        StoredTask(queue, text(task_id), state, float(now), _score(score), _present(_SHORT_FIELDS, fields))
        for task_id, score, fields in rows
    ]
    passed = start + len(rows)
    if not rows or passed >= total:
        return TaskPage(total, found)
    ids = [exact(task_id) for task_id, _, _ in reversed(rows)]
    if not is_list:
        return TaskPage(total, found, Mark(text(rows[-1][1]), (ids[0],)))
    before = after.ids if after is not None and start else ()
    return TaskPage(total, found, Mark(str(passed), (*ids, *before)[:_MARKS]))


def _chosen(reply: Any, queue: str, ids: Sequence[str]) -> list[StoredTask]:
    now, *rows = reply
    found: list[StoredTask] = []
    for task_id, (values, score) in zip(ids, rows, strict=False):  # the reply may have fewer rows
        fields = _present(_ALL_FIELDS, values)
        state = text(fields.get("state", b""))
        found.append(StoredTask(queue, task_id, state if state in _STATES else "", float(now), _score(score), fields))
    return found


def _one(reply: Any, queue: str, task_id: str, sets: Sequence[str]) -> StoredTask:
    now, values, scores = reply
    fields = _present(_ALL_FIELDS, values)
    found = {name: float(score) for name, score in zip(sets, scores, strict=True) if score is not None}
    state = text(fields.get("state", b""))
    if state not in _STATES:  # then the state of the set in which the ID was left behind
        state = next(iter(found), "")
    return StoredTask(queue, task_id, state, float(now), found.get(state), fields)


def _present(names: Sequence[str], values: Any) -> dict[str, bytes]:
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _score(reply: Any) -> float | None:
    return None if reply is None else float(reply)


def text(raw: bytes) -> str:
    """Decode a name or an ID."""
    # A name that is not UTF-8 cannot be in a message, but another program can add it to a set.
    return raw.decode("utf-8", "replace")
