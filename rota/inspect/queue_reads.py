"""The reads of queues and groups. Their calls are in `rota.inspect.queue`.

A snapshot is consistent for one script only: numbers that come from several scripts, such as the sizes of many groups,
may be some milliseconds apart.
"""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from rota.client.operations import operation
from rota.client.steps import Act, Command, together
from rota.errors import OptionError, QueueNotFound
from rota.inspect import queue as look_queue
from rota.inspect.face import Reads
from rota.inspect.queue import AggregationSnapshot, DaySnapshot, GroupSnapshot, QueueSnapshot, SizePage
from rota.wire import look_task, names
from rota.wire.keys import Keys, QueueKeys
from rota.wire.names import is_utf8, read_queue_names


class QueueReads(Reads):
    """Describes the reads of queues."""

    @operation
    def queues(self) -> Act[list[str]]:
        """Return the names of all queues in sorted order. A name that is not UTF-8 is skipped and logged once."""
        return read_queue_names((yield from queue_names(self._keys)))

    @operation
    def unreadable_queues(self) -> Act[list[bytes]]:
        """Return the names that are not UTF-8 in sorted order. Clients of Asynq and Rota do not write such names."""
        return sorted(name for name in (yield from queue_names(self._keys)) if not is_utf8(names.text(name)))

    @operation
    def queue(self, name: str) -> Act[QueueSnapshot]:
        """Return the numbers of one queue. Raises QueueNotFound."""
        keys = self._keys.queue(name)
        is_known, (snapshot, page), memory, sets = yield from together(
            [
                exists(self._keys, name),
                look_queue.queue(keys, today()),
                look_queue.memory(keys),
                look_queue.aggregation_sets(keys, 0),
            ]
        )
        check_queue(name, is_known)
        sizes = yield from further_sizes(keys, page)
        aggregations = yield from further_sets(keys, sets)
        return complete(snapshot, sum(sizes.values()), aggregations, memory)

    @operation
    def history(self, queue: str, days: int = 7) -> Act[list[DaySnapshot]]:
        """Return the counters of each of the last days (UTC), today first; at most 90 days. Raises QueueNotFound."""
        if not 1 <= days <= look_queue.MAX_DAYS:
            raise OptionError(f"days is {days}, but the counters of a day are kept for 90 days: give 1 to 90.")
        call = look_queue.days(self._keys.queue(queue), today(), days)
        is_known, counted = yield from together([exists(self._keys, queue), call])
        check_queue(queue, is_known)
        found: list[DaySnapshot] = counted
        return found

    @operation
    def groups(self, queue: str) -> Act[list[GroupSnapshot]]:
        """Return the groups of a queue, sorted by name. Raises QueueNotFound.

        A group stays in the list while an aggregator works on its last tasks.
        """
        keys = self._keys.queue(queue)
        is_known, page, sets = yield from together(
            [exists(self._keys, queue), look_queue.groups(keys, 0), look_queue.aggregation_sets(keys, 0)]
        )
        check_queue(queue, is_known)
        sizes = yield from further_sizes(keys, page)
        taken: dict[str, list[AggregationSnapshot]] = {name: [] for name in sizes}
        for group, each in (yield from further_sets(keys, sets)):
            taken.setdefault(group, []).append(each)
        return [GroupSnapshot(name, sizes.get(name, 0), tuple(taken[name])) for name in sorted(taken)]


def queue_names(keys: Keys) -> Act[set[bytes]]:
    """Read the names of all queues."""
    found: set[bytes] = set()
    cursor, more = 0, True
    while more:
        cursor, page = yield Command(("SSCAN", keys.queues, cursor, "COUNT", look_task.MAX_PAGE), keys.queues)
        found.update(page)
        more = int(cursor) != 0
    return found


def exists(keys: Keys, queue: str) -> Command:
    """Ask whether a queue is in the set of all queues. Give the answer to `check_queue`."""
    return Command(("SISMEMBER", keys.queues, queue), keys.queues)


def check_queue(queue: str, is_known: Any) -> None:
    """Raise QueueNotFound if the answer to `exists` was no."""
    if not is_known:
        raise QueueNotFound(f"There is no queue {queue!r}: check the name, or put a first task into it.")


def complete(
    snapshot: QueueSnapshot,
    aggregating: int,
    aggregations: list[tuple[str, AggregationSnapshot]],
    memory: look_queue.MemoryEstimate | None,
) -> QueueSnapshot:
    """Add to the snapshot of a queue what other calls have read."""
    return replace(
        snapshot,
        aggregating=aggregating,
        in_aggregation=sum(each.size for _, each in aggregations),
        memory_bytes=None if memory is None else int(memory.bytes + memory.per_grouped_task * aggregating),
    )


def today() -> date:
    """Return the present day in UTC by the clock of this machine."""
    return datetime.now(UTC).date()


def further_sizes(keys: QueueKeys, first: SizePage) -> Act[dict[str, int]]:
    """Read the sizes of all groups, after their first page."""
    sizes, page = dict(first.sizes), first
    while page.cursor:
        page = yield look_queue.groups(keys, page.cursor)
        sizes.update(page.sizes)
    return sizes


def further_sets(
    keys: QueueKeys, first: list[tuple[str, AggregationSnapshot]]
) -> Act[list[tuple[str, AggregationSnapshot]]]:
    """Read all sets under aggregation, after their first page."""
    found, page = list(first), first
    while page:
        page = yield look_queue.aggregation_sets(keys, len(found))
        found += page
    return found
