"""Clean: what has had its time is deleted (Asynq's `rdb.DeleteExpiredCompletedTasks` and its trim of the archive)."""

from datetime import timedelta
from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.limits import MOST_DELETED
from rota.wire.script import Call, load


class Cleaned(NamedTuple):
    """What one call deleted: completed tasks, archived tasks, and whether there is more to do."""

    expired: int
    trimmed: int
    more: bool


def trimmed_key(keys: QueueKeys) -> str:
    """The lifetime count of failures that were deleted because the archive was full or they were too old."""
    return keys.own("trimmed")


def clean(keys: QueueKeys, *, limit: int, archive_size: int, archive_age: timedelta) -> Call[Cleaned]:
    """Delete completed tasks whose retention is over, and what is beyond the archive: `limit` each, at most 1000."""
    return Call(
        load("clean"),
        (keys.completed, keys.archived, trimmed_key(keys)),
        (keys.base, keys.task_prefix, min(limit, MOST_DELETED), archive_size, archive_age.total_seconds()),
        _decode,
    )


def _decode(reply: Any) -> Cleaned:
    expired, trimmed, more = reply
    return Cleaned(expired, trimmed, bool(more))
