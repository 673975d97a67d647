"""Leases: a running attempt says that it lives (Asynq's `rdb.ExtendLease`, and whose attempt it is)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from rota.wire.keys import QueueKeys
from rota.wire.script import Argument, Call, load

MAX_ATTEMPTS = 500


def extend(keys: QueueKeys, attempts: Sequence[tuple[str, str]], lease: timedelta) -> Call[list[int]]:
    """Extend the leases of attempts, given as (id, token); at most 500. Answers the indices of those lost."""
    args: list[Argument] = [keys.task_prefix, int(lease.total_seconds())]
    for task_id, token in attempts:
        args += (task_id, token)
    return Call(load("lease"), (keys.lease,), args, _indices)


def _indices(reply: Any) -> list[int]:
    return list(reply)
