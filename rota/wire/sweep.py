"""The sweep: elects the worker that sweeps, finds out in one call what is to be done in many queues, and does it.

`forward` moves due tasks out of `scheduled` and `retry` (Asynq's `rdb.ForwardIfReady`). `clean` deletes expired tasks
(Asynq's `rdb.DeleteExpiredCompletedTasks` and its trimming of the archive).
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import IntFlag
from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.recover import Slack
from rota.wire.script import MOST_DELETED, MOST_FORWARDED, Argument, Call, load

MAX_QUEUES = 64


class Need(IntFlag):
    """Work that a queue needs, and facts about it. The numbers are explained in `lua/sweep_look.lua`."""

    FORWARD = 1
    WAITING = 2
    EXPIRED = 4
    TRIM = 8
    RECOVER = 16
    RECLAIM = 32
    UNEVEN = 64
    HELD = 128
    BROKEN = 256


class SweepLimits(NamedTuple):
    """The limits that `look` compares with. They must be the same for all workers that stand in one election.

    `look` also reports leases that expire within `ahead`, so that the next look can come right when one is dead.
    """

    slack: Slack
    archive_size: int
    archive_age: timedelta
    ahead: timedelta = timedelta()


class Candidacy(NamedTuple):
    """The key of an election, the worker that stands in it, and for how long it would be elected from now."""

    key: str
    owner: str
    life: timedelta


class Seen(NamedTuple):
    """One queue: what it needs, and the seconds until the next lease counts as dead (None if none will soon).

    `now` is the server's time at which it was looked at.
    """

    need: Need
    dead_in: float | None
    now: float


def elect(candidacy: Candidacy) -> Call[bool]:
    """Try to be elected, or stay elected. Returns whether this worker is elected now."""
    return Call(load("sweep_election"), (candidacy.key,), (candidacy.owner, _ms(candidacy.life)), bool)


def resign(candidacy: Candidacy) -> Call[bool]:
    """End the election of this worker, so that the next worker that asks is elected."""
    return Call(load("sweep_election"), (candidacy.key,), (candidacy.owner, 0), bool)


def look(
    queues: Sequence[QueueKeys], limits: SweepLimits, candidacy: Candidacy | None = None
) -> Call[list[Seen] | None]:
    """Look at up to 64 queues; in a Cluster at one, without a candidacy. Returns None if another worker is elected."""
    keys = [] if candidacy is None else [candidacy.key]
    for queue in queues:
        keys += (queue.pending, queue.active, queue.lease, queue.paused, queue.scheduled, queue.retry)
        keys += (queue.completed, queue.archived, queue.aggregation_sets)
    args: list[Argument] = ["", 0] if candidacy is None else [candidacy.owner, _ms(candidacy.life)]
    args += (limits.slack.ours.total_seconds(), max(limits.slack).total_seconds())
    args += (limits.archive_size, limits.archive_age.total_seconds(), limits.ahead.total_seconds())
    return Call(load("sweep_look"), keys, args, _look)


def _look(reply: Any) -> list[Seen] | None:
    if not reply:
        return None
    now = float(reply[0])
    return [
        Seen(Need(need), float(dead) if dead else None, now)
        for need, dead in zip(reply[1::2], reply[2::2], strict=True)
    ]


def _ms(life: timedelta) -> int:
    return round(life.total_seconds() * 1000)


class Forwarded(NamedTuple):
    """The result of one call: tasks moved, IDs dropped because they had no hash, and whether more may be due."""

    moved: int
    dropped: int
    more: bool


def forward(keys: QueueKeys, limit: int = 100) -> Call[Forwarded]:
    """Move at most `limit` due IDs from each of the two sets. `limit` is cut to 1000."""
    args = (keys.base, keys.task_prefix, min(limit, MOST_FORWARDED))
    return Call(load("forward"), (keys.scheduled, keys.retry), args, _forwarded)


def _forwarded(reply: Any) -> Forwarded:
    moved, dropped, more = reply
    return Forwarded(moved, dropped, bool(more))


class Cleaned(NamedTuple):
    """The result of one call: completed tasks deleted, archived tasks deleted, and whether there is more to do."""

    expired: int
    trimmed: int
    more: bool


def trimmed_key(keys: QueueKeys) -> str:
    """Return the key of the lifetime count of archived tasks deleted because they were too old or too many."""
    return keys.own("trimmed")


def clean(keys: QueueKeys, *, limit: int, archive_size: int, archive_age: timedelta) -> Call[Cleaned]:
    """Delete completed tasks whose retention is over, and archived tasks beyond size or age: at most `limit` of each.

    `limit` is cut to 1000.
    """
    return Call(
        load("clean"),
        (keys.completed, keys.archived, trimmed_key(keys)),
        (keys.base, keys.task_prefix, min(limit, MOST_DELETED), archive_size, archive_age.total_seconds()),
        _cleaned,
    )


def _cleaned(reply: Any) -> Cleaned:
    expired, trimmed, more = reply
    return Cleaned(expired, trimmed, bool(more))
