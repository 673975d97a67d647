"""Groups: joins the tasks of a group into one (Asynq's `rdb.AggregationCheck` and what follows).

1. Tasks gather in a group. `look` and `look_at` tell whether it may be due.
2. `take` moves its oldest tasks into a set, if the group is due.
3. `members` reads the tasks of the set page by page. `sort_out` removes those that cannot be aggregated.
4. `aggregate` enqueues the result and ends the set in one step, or `failed` counts a failure.
5. `spend` deletes the tasks of a set that has ended, in bounded calls.

Sets have Asynq's format, so a Go server also reclaims a set whose aggregator died. Two keys exist only in Rota: `spent`
lists the sets that have ended but whose tasks are not all deleted yet, and `failures` counts failed aggregations in a
row by group.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Any, Literal, NamedTuple

from rota.wire.enqueue import Item, enqueue
from rota.wire.fetch import MAX_BYTES
from rota.wire.keys import QueueKeys
from rota.wire.names import is_utf8, raw, text
from rota.wire.script import Argument, Call, load

MAX_SET = 10_000
PAGE = 200


class GroupLook(NamedTuple):
    """One group: `oldest` and `newest` are Unix seconds, `types` those of its oldest tasks (`""` if unreadable)."""

    name: str
    size: int
    oldest: float
    newest: float
    types: list[str]


class Look(NamedTuple):
    """Some groups of a queue, Redis' clock, the next cursor (`"0"` at the end), and a set to delete (`""` if none).

    `unreadable` counts the groups that are left out because their names are not UTF-8.
    """

    now: float
    cursor: str
    spent: str
    groups: list[GroupLook]
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """When a group is due: it has `size` tasks, its oldest is `delay` old, or its newest is `grace` old."""

    size: int | None
    delay: timedelta | None
    grace: timedelta


class AggregationSet(NamedTuple):
    """The set of tasks taken for one aggregation."""

    queue: QueueKeys
    group: str
    id: str

    @property
    def key(self) -> str:
        """The key of the set."""
        return f"{self.queue.group(self.group)}:{self.id}"


class Member(NamedTuple):
    """One task of a set; `message` is empty if its hash does not exist."""

    id: str
    message: bytes


class SortedOut(NamedTuple):
    """One task to remove from a set: back to its group, into the archive, or dropped."""

    id: str
    kind: Literal["back", "archive", "drop"]
    message: bytes = b""
    text: str = ""


class Ended(IntEnum):
    """How the script ended an aggregation. `GIVEN_UP`: its deadline was over, so its tasks return to the group."""

    DONE = 0
    DONE_BEFORE = 1
    GIVEN_UP = 2
    REFUSED = 3


class Aggregated(NamedTuple):
    """How an aggregation ended, and the reason if its result was refused."""

    ended: Ended
    refusal: str


def spent_key(keys: QueueKeys) -> str:
    """Return the key of the set of aggregation sets that have ended but whose tasks are not all deleted yet."""
    return keys.own("spent")


def failures_key(keys: QueueKeys) -> str:
    """Return the key of the hash that counts failed aggregations in a row by group."""
    return keys.own("aggregation_failures")


def look(keys: QueueKeys, cursor: str = "0", about: int = 100) -> Call[Look]:
    """Look at a page of about `about` groups."""
    args = (keys.base, keys.task_prefix, cursor, about)
    return Call(load("groups"), (keys.groups, spent_key(keys)), args, _look)


def look_at(keys: QueueKeys, groups: Sequence[str]) -> Call[Look]:
    """Look at these groups, at most 100. Groups that are empty or not in the list of groups are not in the result."""
    args: list[Argument] = [keys.base, keys.task_prefix, "0", 0, *map(raw, groups)]
    return Call(load("groups"), (keys.groups, spent_key(keys), *map(keys.group, groups)), args, _look)


class Names(NamedTuple):
    """Names of some groups of a queue, and the next cursor (`"0"` at the end)."""

    cursor: str
    names: list[str]


def group_names(keys: QueueKeys, cursor: str = "0", about: int = 1000) -> Call[Names]:
    """Read a page of about `about` names of groups. Names that are not UTF-8 are left out."""
    return Call(load("group_names"), (keys.groups,), (cursor, about), _names)


def take(chosen: AggregationSet, due: Due, allowed: timedelta) -> Call[int]:
    """Move the oldest tasks of a group into a set if the group is due. The aggregation may take up to `allowed`."""
    keys = chosen.queue
    args: list[Argument] = [
        chosen.group,
        MAX_SET,
        "" if due.size is None else due.size,
        "" if due.delay is None else due.delay.total_seconds(),
        due.grace.total_seconds(),
        int(allowed.total_seconds()),
    ]
    script_keys = (keys.group(chosen.group), chosen.key, keys.aggregation_sets, keys.groups)
    return Call(load("take_group"), script_keys, args, int)


class GroupPage(NamedTuple):
    """Some members of a set, and whether more may follow."""

    members: list[Member]
    more: bool


def members(taken: AggregationSet, first: int, most_bytes: int = MAX_BYTES) -> Call[GroupPage]:
    """Read a page of a set, starting at rank `first`: fewer members if their messages are large, but at least one."""
    return Call(load("members"), (taken.key,), (taken.queue.task_prefix, first, PAGE, most_bytes), _members)


def sort_out(taken: AggregationSet, tasks: Sequence[SortedOut]) -> Call[int]:
    """Remove at most 500 tasks from a set. Returns how many were removed."""
    keys = taken.queue
    args: list[Argument] = [keys.base, keys.task_prefix, keys.ended_prefix, taken.group]
    for task in tasks:
        args += (raw(task.id), *task[1:])
    script_keys = (taken.key, keys.group(taken.group), keys.groups, keys.archived)
    return Call(load("sort_out"), script_keys, args, int)


def aggregate(taken: AggregationSet, result: Item | None) -> Call[Aggregated]:
    """Enqueue the result (None for no task) and end the set, in one step. Can be sent again."""
    keys = taken.queue
    adding = enqueue(keys, () if result is None else (result,), accepted=True)
    script_keys = (*adding.keys, taken.key, keys.aggregation_sets, spent_key(keys), failures_key(keys))
    return Call(load("aggregate"), script_keys, adding.args, _aggregated)


def spend(keys: QueueKeys, set_key: str, limit: int = PAGE) -> Call[int]:
    """Delete at most `limit` tasks of a set that has ended. If fewer are deleted, the set is empty and removed."""
    args = (keys.base, keys.task_prefix, keys.ended_prefix, limit)
    return Call(load("spend"), (set_key, spent_key(keys)), args, int)


def failed(taken: AggregationSet, *, most: int, wait: timedelta) -> Call[int]:
    """Count a failure and return the number of failures in a row; 0 if the set has ended or was put back.

    The tasks return to the group after that number times `wait`. At `most` failures counting starts again, and the
    caller archives the tasks.
    """
    args = (taken.key, taken.group, most, int(wait.total_seconds()))
    keys = taken.queue
    return Call(load("aggregation_failed"), (keys.aggregation_sets, failures_key(keys)), args, int)


def _look(reply: Any) -> Look:
    groups = [
        GroupLook(text(name), size, float(oldest), float(newest), list(map(_text, types)))
        for name, size, oldest, newest, types in reply[3:]
    ]
    readable = [group for group in groups if is_utf8(group.name)]
    return Look(float(reply[0]), reply[1].decode(), _text(reply[2]), readable, len(groups) - len(readable))


def _names(reply: Any) -> Names:
    cursor, *names = reply
    return Names(cursor.decode(), [name for name in map(text, names) if is_utf8(name)])


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _members(reply: Any) -> GroupPage:
    more, *words = reply
    found = [Member(text(task_id), message) for task_id, message in zip(words[::2], words[1::2], strict=True)]
    return GroupPage(found, bool(more))


def _aggregated(reply: Any) -> Aggregated:
    code, answer = reply
    refusal = " ".join(map(_text, answer)) if code == Ended.REFUSED else ""
    return Aggregated(Ended(code), refusal)
