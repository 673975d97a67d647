"""What a worker process owns, as the one that watches over it sees it: found by the tokens of its attempts.

The token of an attempt is `<worker id>-<number>`. Each call looks at one page of `active`, the youngest first; the
caller passes what is `left` to the next one until nothing is, and nothing is passed over, whatever ends meanwhile.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple

from rota.wire.keys import Keys, QueueKeys
from rota.wire.script import Argument, Call, load
from rota.wire.server import TTL

PAGE = 500


class Returned(NamedTuple):
    """What one call did: ids left to look at, and tasks put back, ended as cancelled, and quarantined."""

    left: int
    pending: int = 0
    cancelled: int = 0
    quarantined: int = 0

    @property
    def tasks(self) -> int:
        """Tasks that the dead worker holds no longer."""
        return self.pending + self.cancelled + self.quarantined


class Kept(NamedTuple):
    """What one call did: ids left to look at, and leases extended."""

    left: int
    extended: int


def give_back(
    keys: QueueKeys, worker_id: str, *, max_crashes: int, error: str = "", oldest: int | None = None, page: int = PAGE
) -> Call[Returned]:
    """Put the tasks of a dead worker back at the front of their queue, without their retries being touched.

    Each counts one crash more; at `max_crashes` it is archived as quarantined with `error`. 0 stands for a worker that
    was asked to end: nothing is counted.
    """
    places = (keys.active, keys.lease, keys.pending, keys.archived, keys.crashed)
    args = (keys.base, keys.task_prefix, keys.ended(""), worker_id, max_crashes, error, _upto(oldest), page)
    return Call(load("owner_return"), places, args, lambda reply: Returned(*reply))


def keep(
    keys: QueueKeys, worker_ids: Iterable[str], lease: timedelta, *, oldest: int | None = None, page: int = PAGE
) -> Call[Kept]:
    """Extend the leases of whatever these living workers hold."""
    args: list[Argument] = [keys.task_prefix, int(lease.total_seconds()), _upto(oldest), page, *worker_ids]
    return Call(load("owner_keep"), (keys.active, keys.lease), args, lambda reply: Kept(*reply))


def show(keys: Keys, host: str, pid: int, server_id: str, ttl: timedelta = TTL) -> Call[bool]:
    """Keep a server's record from expiring; answers whether there is one. `listed` has to follow."""
    places = (keys.server(host, pid, server_id), keys.worker(host, pid, server_id))
    return Call(load("owner_show"), places, (int(ttl.total_seconds()),), bool)


def listed(keys: Keys, host: str, pid: int, server_id: str, ttl: timedelta = TTL) -> list[Call[None]]:
    """Keep a server on the lists of servers."""
    seconds = int(ttl.total_seconds())
    return [
        Call(load("server_list"), (keys.servers,), (keys.server(host, pid, server_id), seconds), _nothing),
        Call(load("server_list"), (keys.workers,), (keys.worker(host, pid, server_id), seconds), _nothing),
    ]


def waiting(keys: QueueKeys) -> Call[int]:
    """Count the tasks that a further worker could take now."""
    return Call(load("owner_waiting"), (keys.pending, keys.paused), (), int)


def _upto(oldest: int | None) -> Argument:
    return "" if oldest is None else oldest


def _nothing(reply: Any) -> None:
    return None
