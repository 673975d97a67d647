"""The sweep: whose turn it is, and what there is to be done in many queues, in one call."""

from collections.abc import Sequence
from datetime import timedelta
from enum import IntFlag
from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.recover import Slack
from rota.wire.script import Argument, Call, load

MAX_QUEUES = 64


class Need(IntFlag):
    """What a queue needs, or what is to be known of it."""

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
    """What the look compares with: it must be the same for all who take turns.

    `ahead` is how soon a lease must run out to be told of before it has: by it the next look comes when it is due.
    """

    slack: Slack
    archive_size: int
    archive_age: timedelta
    ahead: timedelta = timedelta()


class Candidacy(NamedTuple):
    """The election in which a worker stands, and for how long from now it would be elected."""

    key: str
    owner: str
    life: timedelta


class Seen(NamedTuple):
    """One queue: what it needs, and in how many seconds the next lease that has run out, or is about to, is dead."""

    need: Need
    dead_in: float | None


def elect(candidacy: Candidacy) -> Call[bool]:
    """Win the election, or stay elected. Answers whether this worker is elected now."""
    return Call(load("sweep_election"), (candidacy.key,), (candidacy.owner, _ms(candidacy.life)), bool)


def resign(candidacy: Candidacy) -> Call[bool]:
    """Resign, so that the next worker that asks is elected."""
    return Call(load("sweep_election"), (candidacy.key,), (candidacy.owner, 0), bool)


def look(
    queues: Sequence[QueueKeys], limits: SweepLimits, candidacy: Candidacy | None = None
) -> Call[list[Seen] | None]:
    """Look at up to 64 queues (in a Cluster: at one, without a candidacy). None: another worker is elected."""
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
    return [
        Seen(Need(need), float(dead) if dead else None) for need, dead in zip(reply[1::2], reply[2::2], strict=True)
    ]


def _ms(life: timedelta) -> int:
    return round(life.total_seconds() * 1000)
