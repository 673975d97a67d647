"""Forward: moves due tasks out of `scheduled` and `retry` (Asynq's `rdb.ForwardIfReady`)."""

from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.script import MOST_FORWARDED, Call, load


class Forwarded(NamedTuple):
    """The result of one call: tasks moved, IDs dropped because they had no hash, and whether more may be due."""

    moved: int
    dropped: int
    more: bool


def forward(keys: QueueKeys, limit: int = 100) -> Call[Forwarded]:
    """Move at most `limit` due IDs from each of the two sets. `limit` is cut to 1000."""
    args = (keys.base, keys.task_prefix, min(limit, MOST_FORWARDED))
    return Call(load("forward"), (keys.scheduled, keys.retry), args, _decode)


def _decode(reply: Any) -> Forwarded:
    moved, dropped, more = reply
    return Forwarded(moved, dropped, bool(more))
