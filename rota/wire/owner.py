"""Acts for a worker process from outside: a supervisor extends its leases, or puts back its tasks after its death.

The token of an attempt is `<worker id>-<number>` (see `tokens` of the worker), so the tasks of a worker are found by
their tokens. Each call looks at one page of `active`, youngest tasks first. The caller passes `left` to the next call
until it is 0. No task is skipped by that, even if other tasks end meanwhile.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from rota.wire import attempts, server_record
from rota.wire.keys import Keys, QueueKeys
from rota.wire.script import Argument, Call, load
from rota.wire.server_record import TTL

PAGE = 500
DIED = attempts.members(error="worker died")


class Returned(NamedTuple):
    """The result of one call: IDs left to look at, and tasks put back, archived as cancelled, and quarantined."""

    left: int
    pending: int = 0
    cancelled: int = 0
    quarantined: int = 0

    @property
    def tasks(self) -> int:
        """Number of tasks that were taken from the dead worker."""
        return self.pending + self.cancelled + self.quarantined


class Kept(NamedTuple):
    """The result of one call: IDs left to look at, and leases extended."""

    left: int
    extended: int


def give_back(
    keys: QueueKeys,
    worker_id: str,
    *,
    max_crashes: int,
    error: str = "",
    died: bytes = DIED,
    attempts_limit: int = attempts.LIMIT_BYTES,
    oldest: int | None = None,
    page: int = PAGE,
) -> Call[Returned]:
    """Put the tasks of a dead worker back at the front of their queue, without using a retry.

    The crash counter of each task grows by one; at `max_crashes` the task is quarantined with `error`. Pass 0 for a
    worker that was asked to stop, so that nothing is counted. `died` are the known members of the records of its
    attempts (`wire.attempts`).
    """
    script_keys = (keys.active, keys.lease, keys.pending, keys.archived, keys.crashed)
    args: list[Argument] = [keys.base, keys.task_prefix, keys.ended_prefix, worker_id, max_crashes, error]
    args += (_upto(oldest), page, died, attempts_limit)
    return Call(load("owner_return"), script_keys, args, lambda reply: Returned(*reply))


def keep(
    keys: QueueKeys, worker_ids: Iterable[str], lease: timedelta, *, oldest: int | None = None, page: int = PAGE
) -> Call[Kept]:
    """Extend the leases of all tasks that these living workers hold."""
    args: list[Argument] = [keys.task_prefix, int(lease.total_seconds()), _upto(oldest), page, *worker_ids]
    return Call(load("owner_keep"), (keys.active, keys.lease), args, lambda reply: Kept(*reply))


def show(keys: Keys, host: str, pid: int, server_id: str, ttl: timedelta = TTL) -> Call[bool]:
    """Extend the life of a server's record, and return whether there is a record. Call `listed` afterwards."""
    identity = host, pid, server_id
    script_keys = (keys.server(*identity), keys.worker(*identity), keys.about(*identity))
    return Call(load("owner_show"), script_keys, (int(ttl.total_seconds()),), bool)


def listed(
    keys: Keys, host: str, pid: int, server_id: str, ttl: timedelta = TTL, *, types: str = ""
) -> list[Call[server_record.Beaten]]:
    """Extend the entries of a server in the lists of servers, and the record of its task types."""
    return server_record.listed(
        keys, keys.server(host, pid, server_id), keys.worker(host, pid, server_id), ttl, types=types
    )


def waiting(keys: QueueKeys) -> Call[int]:
    """Count the tasks that another worker could take now."""
    return Call(load("owner_waiting"), (keys.pending, keys.paused), (), int)


def _upto(oldest: int | None) -> Argument:
    return "" if oldest is None else oldest
