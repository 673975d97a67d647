"""Leases: a running attempt says that it lives (Asynq's `rdb.ExtendLease`, and whose attempt it is)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.names import raw
from rota.wire.script import Argument, Call, load

MAX_ATTEMPTS = 300


class Held(NamedTuple):
    """An attempt that runs. `expected` is its message as fetched, given only when its lease may have run out."""

    id: str
    token: str
    expected: bytes = b""


class Extended(NamedTuple):
    """By their indices: the attempts that are not ours any more, and those asked to be cancelled, with the reasons."""

    lost: list[int]
    cancelled: dict[int, str]


def extend(keys: QueueKeys, attempts: Sequence[Held], lease: timedelta) -> Call[Extended]:
    """Extend the leases of at most 300 attempts."""
    args: list[Argument] = [keys.task_prefix, int(lease.total_seconds())]
    for attempt in attempts:
        args += (raw(attempt.id), attempt.token, attempt.expected)
    return Call(load("lease"), (keys.lease,), args, _extended)


def _extended(reply: Any) -> Extended:
    lost, cancelled = reply
    pairs = zip(*[iter(cancelled)] * 2, strict=True)
    return Extended(list(lost), {index: reason.decode(errors="replace") for index, reason in pairs})
