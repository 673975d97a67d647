"""Groups: tasks gather, are taken as a set, and one task comes out (Asynq's `rdb.AggregationCheck` and what follows).

A set is Asynq's, so a Go server reclaims one whose aggregator died. Two keys are our own: `spent` lists the sets whose
result is enqueued but whose tasks are not deleted yet, and `failures` counts failed aggregations in a row by group.
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
    """One group: scores are Unix seconds, `types` those of its oldest few tasks (`""` where one cannot be read)."""

    name: str
    size: int
    oldest: float
    newest: float
    types: list[str]


class Look(NamedTuple):
    """Some groups of a queue, Redis' clock, the cursor to go on with (`"0"`: all seen), and a set to be deleted.

    `unreadable` counts groups whose names are not UTF-8: they are left out.
    """

    now: float
    cursor: str
    spent: str
    groups: list[GroupLook]
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """When a group is due: so large, its oldest task so old, or its newest."""

    size: int | None
    delay: timedelta | None
    grace: timedelta


class AggregationSet(NamedTuple):
    """Tasks taken for one aggregation."""

    queue: QueueKeys
    group: str
    id: str

    @property
    def key(self) -> str:
        """The full name of the set."""
        return f"{self.queue.group(self.group)}:{self.id}"


class Member(NamedTuple):
    """One task of a set; `message` is empty where its hash is gone."""

    id: str
    message: bytes


class SortedOut(NamedTuple):
    """One task to be taken out of a set, and where it goes."""

    id: str
    kind: Literal["back", "archive", "drop"]
    message: bytes = b""
    text: str = ""


class Ended(IntEnum):
    """What came of an aggregation."""

    DONE = 0
    DONE_BEFORE = 1
    GIVEN_UP = 2
    REFUSED = 3


class Aggregated(NamedTuple):
    """What came of an aggregation, and why its result was refused if it was."""

    ended: Ended
    refusal: str


def spent_key(keys: QueueKeys) -> str:
    """Sets whose result is enqueued, but whose tasks are not deleted yet."""
    return keys.own("spent")


def failures_key(keys: QueueKeys) -> str:
    """Failed aggregations in a row, by group."""
    return keys.own("aggregation_failures")


def look(keys: QueueKeys, cursor: str = "0", about: int = 100) -> Call[Look]:
    """Look at about so many groups."""
    args = (keys.base, keys.task_prefix, cursor, about)
    return Call(load("groups"), (keys.groups, spent_key(keys)), args, _look)


def look_at(keys: QueueKeys, groups: Sequence[str]) -> Call[Look]:
    """Look at these groups, at most 100. Those that are empty are not in the answer."""
    args: list[Argument] = [keys.base, keys.task_prefix, "0", 0, *map(raw, groups)]
    return Call(load("groups"), (keys.groups, spent_key(keys), *map(keys.group, groups)), args, _look)


class Names(NamedTuple):
    """Names of some groups of a queue, and the cursor to go on with (`"0"`: all seen)."""

    cursor: str
    names: list[str]


def group_names(keys: QueueKeys, cursor: str = "0", about: int = 1000) -> Call[Names]:
    """Read the names of about so many groups. Names that are not UTF-8 are left out."""
    return Call(load("group_names"), (keys.groups,), (cursor, about), _names)


def take(chosen: AggregationSet, due: Due, allowed: timedelta) -> Call[int]:
    """Take the oldest tasks of a group if it is (still) due; the aggregation may take as long as `allowed`."""
    keys = chosen.queue
    args: list[Argument] = [
        chosen.group,
        MAX_SET,
        "" if due.size is None else due.size,
        "" if due.delay is None else due.delay.total_seconds(),
        due.grace.total_seconds(),
        int(allowed.total_seconds()),
    ]
    where = (keys.group(chosen.group), chosen.key, keys.aggregation_sets, keys.groups)
    return Call(load("take_group"), where, args, int)


class GroupPage(NamedTuple):
    """Some members of a set, and whether there may be more after them."""

    members: list[Member]
    more: bool


def members(taken: AggregationSet, first: int, most_bytes: int = MAX_BYTES) -> Call[GroupPage]:
    """Read a page of a set from this rank on: fewer members where their messages are large, but always one."""
    return Call(load("members"), (taken.key,), (taken.queue.task_prefix, first, PAGE, most_bytes), _members)


def sort_out(taken: AggregationSet, tasks: Sequence[SortedOut]) -> Call[int]:
    """Take at most 500 tasks out of a set."""
    keys = taken.queue
    args: list[Argument] = [keys.base, keys.task_prefix, keys.ended(""), taken.group]
    for task in tasks:
        args += (raw(task.id), *task[1:])
    where = (taken.key, keys.group(taken.group), keys.groups, keys.archived)
    return Call(load("sort_out"), where, args, int)


def aggregate(taken: AggregationSet, result: Item | None) -> Call[Aggregated]:
    """Enqueue the result (None for no task) and end the set, in one step. May be sent again."""
    keys = taken.queue
    adding = enqueue(keys, () if result is None else (result,))
    where = (*adding.keys, taken.key, keys.aggregation_sets, spent_key(keys), failures_key(keys))
    return Call(load("aggregate"), where, adding.args, _aggregated)


def spend(keys: QueueKeys, set_key: str, limit: int = PAGE) -> Call[int]:
    """Delete at most `limit` tasks of a set that is over. Fewer deleted than that: the set is gone."""
    args = (keys.base, keys.task_prefix, keys.ended(""), limit)
    return Call(load("spend"), (set_key, spent_key(keys)), args, int)


def failed(taken: AggregationSet, *, most: int, wait: timedelta) -> Call[int]:
    """Note a failure; its tasks return to the group after `wait` times the failures in a row. Answers that number.

    0 where the set is over or was put back.
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
