"""Clean: deletes expired tasks (Asynq's `rdb.DeleteExpiredCompletedTasks` and its trimming of the archive)."""

from datetime import timedelta
from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.script import MOST_DELETED, Call, load


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
        _decode,
    )


def _decode(reply: Any) -> Cleaned:
    expired, trimmed, more = reply
    return Cleaned(expired, trimmed, bool(more))
