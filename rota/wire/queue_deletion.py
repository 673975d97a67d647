"""The deletion of a queue: everything that belongs to it, in steps that each hold the server for a moment only.

1. `begin` pauses the workers and refuses the producers. It is refused while tasks run, unless it is forced.
2. `tasks` deletes the tasks of one list or set, some at a time, with their hashes and locks. `groups` names the groups.
3. `remove` deletes keys by name: those of `known_keys`, and those that a `SCAN` finds beside them, such as locks that
   no task holds.
4. The caller removes the name of the queue from the set of all queues.
5. `end` deletes the two keys that stopped workers and producers, if the queue is still empty.

Each step checks the ID of the deletion, so a deletion ends when `resume` gives the queue back, or when another deletion
takes over. A deletion that was killed leaves the queue closed, and another deletion finishes it. The steps can be sent
again. Go producers do not obey the refusal: what they enqueue meanwhile is deleted too, and counted.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from rota.wire import pause
from rota.wire.aside import aside_key
from rota.wire.group import failures_key, spent_key
from rota.wire.keys import QueueKeys
from rota.wire.names import is_utf8, raw, text
from rota.wire.script import Argument, Call, load

MOST_TASKS = 200
"""The most tasks, and the most keys, for one call."""
MOST_BYTES = 1024 * 1024
GONE, NOT_EMPTY, ENDED = 1, 0, -1
"""The results of `end`. `ENDED`: the deletion was ended by `resume`, or another one has taken over."""
DAYS_OF_COUNTERS = 91


class Begun(NamedTuple):
    """Whether the deletion has begun, and how many tasks run and groups are being aggregated."""

    begun: bool
    running: int
    aggregated: int


class Place(NamedTuple):
    """A list or sorted set with tasks. `listed_in` is the key that lists it under `name`, if there is one."""

    state: str
    key: str
    listed_in: str = ""
    name: str = ""


def begin(keys: QueueKeys, deletion: str, *, by: str, reason: str, force: bool) -> Call[Begun]:
    """Begin to delete a queue, or take over a deletion that was broken off."""
    script_keys = (keys.paused, keys.pause, keys.active, keys.aggregation_sets)
    args = (deletion, pause.record(keys.queue, "delete", by, reason), int(force))
    return Call(load("steer_delete_begin"), script_keys, args, lambda reply: Begun(bool(reply[0]), reply[1], reply[2]))


def places(keys: QueueKeys) -> list[Place]:
    """Return the lists and sets of the states. Groups come from `groups`."""
    states = ("pending", "active", "scheduled", "retry", "archived", "completed")
    return [Place(state, keys.tasks_in(state)) for state in states]


def groups(keys: QueueKeys, most: int = 50) -> Call[list[Place]]:
    """Name some groups, and the sets that were taken from groups."""
    spent = spent_key(keys)

    def decode(reply: Any) -> list[Place]:
        # Names that are not UTF-8 are left to `remove`.
        names, sets, over = ([name for each in some if is_utf8(name := text(each))] for some in reply)
        return [
            *(Place("aggregating", keys.group(name), keys.groups, name) for name in names),
            *(Place("aggregating", name, keys.aggregation_sets, name) for name in sets if name.startswith(keys.base)),
            *(Place("aggregating", name, spent, name) for name in over if name.startswith(keys.base)),
        ]

    return Call(load("steer_delete_groups"), (keys.groups, keys.aggregation_sets, spent), (most,), decode)


class Deleted(NamedTuple):
    """How many tasks a call has deleted, or `ENDED`, and whether there were more of them."""

    tasks: int
    more: bool


def tasks(keys: QueueKeys, deletion: str, place: Place, most: int = MOST_TASKS) -> Call[Deleted]:
    """Delete some tasks of a place."""
    script_keys = (keys.pause, place.key, *((place.listed_in,) if place.listed_in else ()))
    args: list[Argument] = [deletion, keys.base, keys.task_prefix, most, MOST_BYTES, place.name]
    return Call(load("steer_delete_tasks"), script_keys, args, lambda reply: Deleted(reply[0], bool(reply[1])))


def remove(keys: QueueKeys, deletion: str, names: Sequence[str]) -> Call[int]:
    """Delete at most `MOST_TASKS` keys. Returns how many existed, or `ENDED`."""
    return Call(load("steer_delete_keys"), (keys.pause,), (deletion, *map(raw, names)), int)


def end(keys: QueueKeys, deletion: str) -> Call[int]:
    """End the deletion. Returns `GONE`, `NOT_EMPTY` or `ENDED`."""
    script_keys = (keys.pause, keys.paused, *(place.key for place in places(keys)), keys.groups, keys.aggregation_sets)
    return Call(load("steer_delete_end"), script_keys, (deletion,), int)


def known_keys(keys: QueueKeys, today: date) -> list[str]:
    """Return the keys that a queue may have besides its tasks, for servers that do not permit `SCAN`.

    Not among them are keys that expire within some days: counts of minutes, and marks of tasks that were put here.
    """
    days = [today + timedelta(days=1 - back) for back in range(DAYS_OF_COUNTERS + 2)]
    counters = [keys.processed, keys.failed, keys.crashed]
    return [
        keys.lease,
        *counters,
        *(f"{counter}:{day}" for counter in counters for day in days),
        keys.groups,
        keys.aggregation_sets,
        spent_key(keys),
        failures_key(keys),
        aside_key(keys),
        keys.repaired,
        f"{keys.minute_prefix}total",
        f"{keys.minute_prefix}open",
        keys.own("trimmed"),
        keys.own("scheduler"),
    ]


def is_part(keys: QueueKeys, name: str) -> bool:
    """Whether a key belongs to the queue and may be deleted as a whole before the end.

    The lists and sets of the states may not: they may have got tasks meanwhile, which `tasks` counts.
    """
    kept = (keys.paused, keys.pause, *(place.key for place in places(keys)))
    return name.startswith((keys.base, keys.own(""))) and name not in kept


def pattern(keys: QueueKeys) -> str:
    """Return the pattern for a `SCAN` of the keys of a queue. It may match others: check each name by `is_part`."""
    tag = "".join(f"[{char}]" if char in "*?[" else "\\\\" if char == "\\" else char for char in keys.queue)
    return f"*{{{tag}}}:*"
