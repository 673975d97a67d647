"""Recover: puts back tasks whose lease expired, and sets past their deadline (Asynq's `recoverer.go`).

1. `expired` lists the attempts.
2. The caller decides what happens to each task (a `Move`), because a retry needs the policy of the task.
3. `recover` carries out the moves. Unlike Asynq, it checks again that lease, message and token are those of the list,
   so that two recoverers cannot move a task twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Any, Literal, NamedTuple

from rota.wire.attempts import LIMIT_BYTES, members
from rota.wire.fetch import MAX_BYTES
from rota.wire.keys import QueueKeys
from rota.wire.names import raw, text
from rota.wire.script import Argument, Call, load

MAX_TASKS = 500
DIED = members(error="worker died: its lease was not extended any more")


class Dead(NamedTuple):
    """An attempt whose lease expired. `message` is empty if the hash is gone; `cancel`, why it was to be cancelled.

    `ours` is true if a worker of Rota had the task, and not a Go server. `left_out` is the size of a message that was
    too large to list. `explicit` is that of the task (`enqueue.Item`).
    """

    id: str
    message: bytes
    token: bytes
    cancel: str
    ours: bool = False
    left_out: int = 0
    explicit: str = ""


class Expired(NamedTuple):
    """The reply to `expired`: Redis' clock in seconds, and the dead attempts, starting with the first to expire.

    `stale_sets` says that there is work for `reclaim_sets`; `more`, that there may be more dead attempts.
    """

    now: float
    stale_sets: bool
    more: bool
    attempts: list[Dead]


@dataclass(slots=True)
class Move:
    """The decision about the task of a dead attempt. `message` replaces the stored message unless it is empty.

    A `crash` puts the task back to the front of the queue, or into quarantine with `text` after too many crashes, or
    archives it as cancelled if that was requested.
    """

    dead: Dead
    kind: Literal["crash", "retry", "archive", "drop"]
    message: bytes = b""
    delay: timedelta = timedelta()
    counts: bool = True
    text: str = ""
    ending: str = ""


class Moved(IntEnum):
    """The result of one move. `ALIVE`: the lease was extended; `CHANGED`: another recoverer moved the task first."""

    DONE = 0
    ALIVE = 1
    CHANGED = 2
    DROPPED = 3


class Slack(NamedTuple):
    """How long after its expiry a lease counts as dead: longer for Go servers, because they use their own clocks."""

    ours: timedelta
    go: timedelta


def expired(
    keys: QueueKeys, slack: Slack, limit: int = 100, most_bytes: int = MAX_BYTES, *, only_smaller: bool = False
) -> Call[Expired]:
    """List attempts whose lease expired at least `slack` ago by Redis' clock; fewer if their messages are large.

    At least one attempt is listed. With `only_smaller`, a message of more than `most_bytes` is left out.
    """
    args = (keys.task_prefix, *_seconds(slack), limit, most_bytes, int(only_smaller))
    return Call(load("expired"), (keys.lease, keys.aggregation_sets), args, _expired)


def recover(
    keys: QueueKeys, slack: Slack, moves: Sequence[Move], max_crashes: int = 3, attempts_limit: int = LIMIT_BYTES
) -> Call[list[Moved]]:
    """Carry out at most 500 moves. A move whose attempt has changed since it was listed does nothing."""
    args: list[Argument] = [keys.base, keys.task_prefix, keys.ended_prefix, *_seconds(slack), max_crashes]
    args += (DIED, attempts_limit)
    for move in moves:
        dead = move.dead
        args += (raw(dead.id), dead.message, dead.token, move.kind, move.message, move.delay.total_seconds())
        args += (int(move.counts), move.text, move.ending)
    script_keys = (keys.active, keys.lease, keys.retry, keys.archived, keys.pending, keys.crashed, keys.repaired)
    return Call(load("recover"), script_keys, args, _moved)


def _seconds(slack: Slack) -> tuple[float, float]:
    return slack.ours.total_seconds(), max(slack).total_seconds()


def _expired(reply: Any) -> Expired:
    rows = [
        Dead(text(task_id), message, token, why.decode("utf-8", "replace"), bool(ours), left_out, text(explicit))
        for task_id, message, token, why, ours, left_out, explicit in reply[3:]
    ]
    return Expired(float(reply[0]), bool(reply[1]), bool(reply[2]), rows)


def _moved(reply: Any) -> list[Moved]:
    return [Moved(code) for code in reply]


class ReclaimedSets(NamedTuple):
    """The result of one call: tasks put back into groups, sets emptied, and whether there is more to do."""

    tasks: int
    sets: int
    more: bool


def reclaim_sets(keys: QueueKeys, limit: int = 500) -> Call[ReclaimedSets]:
    """Put at most `limit` (<= 1000) tasks of sets past their deadline back into their groups."""
    script_keys = (keys.aggregation_sets, keys.groups, keys.repaired)
    return Call(load("reclaim_sets"), script_keys, (keys.base, limit), _reclaimed)


def _reclaimed(reply: Any) -> ReclaimedSets:
    tasks, sets, more = reply
    return ReclaimedSets(tasks, sets, bool(more))
