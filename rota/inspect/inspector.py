"""The read model for queues, tasks and servers, which the console, the command line and tests share.

The calls behind it are in `queue`, `rota.wire.look_task` and `rota.wire.server_record`. A snapshot is consistent for
one script only: numbers that come from several scripts, such as the sizes of many groups, may be some milliseconds
apart.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime

from rota.broker import Broker
from rota.core.text import did_you_mean
from rota.errors import BrokerError, OptionError, QueueNotFound, TaskNotFound
from rota.inspect import queue as look_queue
from rota.inspect.queue import AggregationSnapshot, DaySnapshot, GroupSnapshot, QueueSnapshot, SizePage
from rota.inspect.scheduler_snapshot import (
    EnqueueEventSnapshot,
    SchedulerEntrySnapshot,
    read_entries,
    read_events,
)
from rota.inspect.server_snapshot import ServerSnapshot, read_server
from rota.inspect.task_snapshot import TaskList, TaskSnapshot, read_task
from rota.inspect.task_type import TypeList, read_types
from rota.tasks.job import TaskState
from rota.wire import look_task, names
from rota.wire import scheduler_entry as look_entry
from rota.wire import server_record as look_server
from rota.wire.keys import QueueKeys
from rota.wire.names import is_utf8, read_queue_names

QUEUES_AT_ONCE = 32
"""`chosen_tasks` reads at most this many queues in one round, so that the replies stay below some megabytes."""


class Inspector:
    """Reads queues, tasks and servers, and never writes: `Inspector(app.connect())`.

    A read-only user or replica is sufficient, and the user does not need permission for `MEMORY`. Long lists are read
    in pages, so a large queue does not block the server.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def queues(self) -> list[str]:
        """Return the names of all queues in sorted order. A name that is not UTF-8 is skipped and logged once."""
        return read_queue_names(await self._queue_names())

    async def unreadable_queues(self) -> list[bytes]:
        """Return the names that are not UTF-8 in sorted order. Clients of Asynq and Rota do not write such names."""
        return sorted(name for name in await self._queue_names() if not is_utf8(names.text(name)))

    async def queue(self, name: str) -> QueueSnapshot:
        """Return the numbers of one queue. Raises QueueNotFound."""
        keys = self._broker.keys.queue(name)
        _, seen, memory, aggregations = await asyncio.gather(
            self._check(name),
            self._broker.run(look_queue.queue(keys, _today())),
            self._broker.run(look_queue.memory(keys)),
            self._aggregations(keys),
        )
        snapshot, page = seen
        sizes = await self._sizes(keys, page)
        aggregating = sum(sizes.values())
        return replace(
            snapshot,
            aggregating=aggregating,
            in_aggregation=sum(each.size for _, each in aggregations),
            memory_bytes=None if memory is None else int(memory.bytes + memory.per_grouped_task * aggregating),
        )

    async def history(self, queue: str, days: int = 7) -> list[DaySnapshot]:
        """Return the counters of each of the last days (UTC), today first; at most 90 days. Raises QueueNotFound."""
        if not 1 <= days <= look_queue.MAX_DAYS:
            raise OptionError(f"days is {days}, but the counters of a day are kept for 90 days: give 1 to 90.")
        keys = self._broker.keys.queue(queue)
        _, found = await asyncio.gather(self._check(queue), self._broker.run(look_queue.days(keys, _today(), days)))
        return found

    async def groups(self, queue: str) -> list[GroupSnapshot]:
        """Return the groups of a queue, sorted by name. Raises QueueNotFound.

        A group stays in the list while an aggregator works on its last tasks.
        """
        keys = self._broker.keys.queue(queue)
        first = look_queue.groups(keys, 0)
        _, page, sets = await asyncio.gather(self._check(queue), self._broker.run(first), self._aggregations(keys))
        sizes = await self._sizes(keys, page)
        taken: dict[str, list[AggregationSnapshot]] = {name: [] for name in sizes}
        for group, each in sets:
            taken.setdefault(group, []).append(each)
        return [GroupSnapshot(name, sizes.get(name, 0), tuple(taken[name])) for name in sorted(taken)]

    async def tasks(
        self,
        queue: str,
        state: TaskState | str,
        *,
        page: int = 1,
        size: int = 30,
        group: str | None = None,
        aggregation: str | None = None,
    ) -> TaskList:
        """Return one page of the tasks in one state, in the order in which they will run; at most 500 a page.

        The state `aggregating` needs a `group`; with the ID of an `aggregation`, the tasks that an aggregator has taken
        from that group are listed. Raises QueueNotFound.
        """
        state = _state(state)
        keys = self._broker.keys.queue(queue)
        container = _container(keys, state, group, aggregation)
        _check_page(page, size)
        call = look_task.tasks(keys, state, container, (page - 1) * size, size)
        _, found = await asyncio.gather(self._check(queue), self._broker.run(call))
        return TaskList(tuple(map(read_task, found.tasks)), found.total)

    async def task(self, queue: str, task_id: str) -> TaskSnapshot:
        """Return one task with its log and its traceback. Raises TaskNotFound."""
        stored = await self._broker.run(look_task.task(self._broker.keys.queue(queue), task_id))
        if not stored.state:
            rest = f"only the leftover fields {', '.join(stored.fields)}" if stored.fields else "no task"
            raise TaskNotFound(f"Queue {queue!r} has {rest} under the ID {task_id!r}: it was deleted, or never there.")
        return read_task(stored)

    async def chosen_tasks(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], TaskSnapshot]:
        """Return those of many tasks that exist, by queue and ID, each as `task` returns it.

        One request reads up to 500 tasks of each of some queues, so this is the way to follow many tasks. Raises
        BrokerError if a queue cannot be read.
        """
        left: dict[str, list[str]] = {}
        for queue, task_id in dict.fromkeys(wanted):
            left.setdefault(queue, []).append(task_id)
        found: dict[tuple[str, str], TaskSnapshot] = {}
        while left:
            now = [(queue, ids[: look_task.MAX_PAGE]) for queue, ids in list(left.items())[:QUEUES_AT_ONCE]]
            calls = [look_task.chosen(self._broker.keys.queue(queue), ids) for queue, ids in now]
            replies = await self._broker.run_many(calls)
            for (queue, _), read in zip(now, replies, strict=True):
                if isinstance(read, BrokerError):
                    raise read
                found.update(((queue, stored.id), read_task(stored)) for stored in read if stored.state)
                left[queue] = left[queue][len(read) :]
                if not left[queue]:
                    del left[queue]
        return found

    async def servers(self) -> list[ServerSnapshot]:
        """Return the live servers of Rota and Asynq, sorted by host and process."""
        keys = self._broker.keys
        found: dict[str, ServerSnapshot] = {}
        start = 0
        while records := await self._broker.run(look_server.servers(keys, start)):
            start += len(records)
            for seen in await self._broker.run_many([look_server.server(keys, record) for record in records]):
                if isinstance(seen, BrokerError):
                    raise seen
                if (snapshot := read_server(seen)) is not None:
                    found[snapshot.id] = snapshot
        return sorted(found.values(), key=lambda server: (server.host, server.pid, server.id))

    async def scheduler_entries(self) -> list[SchedulerEntrySnapshot]:
        """Return the schedules that running schedulers of Rota and Asynq show, sorted by spec and ID."""
        found: list[SchedulerEntrySnapshot] = []
        start = 0
        while keys := await self._broker.run(look_entry.schedulers(self._broker.keys, start)):
            start += len(keys)
            for key in keys:
                records: list[bytes] = await self._broker.execute("LRANGE", key, 0, -1, key=key)
                found += read_entries(key, records)
        return sorted(found, key=lambda entry: (entry.spec, entry.id))

    async def enqueue_events(self, entry_id: str, *, page: int = 1, size: int = 30) -> list[EnqueueEventSnapshot]:
        """Return a page of the enqueues of one entry, the latest first; at most 1000 are kept."""
        _check_page(page, size)
        call = look_entry.history(self._broker.keys, entry_id, (page - 1) * size, size)
        return read_events(await self._broker.run(call))

    async def types(self) -> TypeList:
        """Return the task types that live workers handle, as the workers publish them."""
        keys = self._broker.keys
        servers = {keys.server(each.host, each.pid, each.id): each for each in await self.servers()}
        listed: set[tuple[str, str]] = set()
        start = 0
        while page := await self._broker.run(look_server.servers_by_types(keys, start)):
            start += len(page)
            listed.update(page)
        records: dict[str, bytes | None] = {}
        for digest in {digest for digest, _ in listed}:  # one after the other, because a record may have a megabyte
            key = keys.published_types(digest)
            records[digest] = await self._broker.execute("GET", key, key=key)
        return read_types(servers, listed, records)

    async def _queue_names(self) -> set[bytes]:
        key = self._broker.keys.queues
        found: set[bytes] = set()
        cursor, more = 0, True
        while more:
            cursor, page = await self._broker.execute("SSCAN", key, cursor, "COUNT", look_task.MAX_PAGE, key=key)
            found.update(page)
            more = int(cursor) != 0
        return found

    async def _check(self, queue: str) -> None:
        key = self._broker.keys.queues
        if not await self._broker.execute("SISMEMBER", key, queue, key=key):
            raise QueueNotFound(f"There is no queue {queue!r}: check the name, or put a first task into it.")

    async def _sizes(self, keys: QueueKeys, first: SizePage) -> dict[str, int]:
        sizes, page = dict(first.sizes), first
        while page.cursor:
            page = await self._broker.run(look_queue.groups(keys, page.cursor))
            sizes.update(page.sizes)
        return sizes

    async def _aggregations(self, keys: QueueKeys) -> list[tuple[str, AggregationSnapshot]]:
        found: list[tuple[str, AggregationSnapshot]] = []
        while page := await self._broker.run(look_queue.aggregation_sets(keys, len(found))):
            found += page
        return found


def _today() -> date:
    return datetime.now(UTC).date()


def _state(state: TaskState | str) -> TaskState:
    try:
        return TaskState(state)
    except ValueError as error:
        raise OptionError(f"There is no state {state!r}. {did_you_mean(state, TaskState)}") from error


def _container(keys: QueueKeys, state: TaskState, group: str | None, aggregation: str | None) -> str:
    if (group is not None) != (state is TaskState.AGGREGATING):
        raise OptionError("Aggregating tasks are listed by group: give group= with that state, and with no other.")
    if group is not None:
        return keys.group(group) if aggregation is None else keys.group(f"{group}:{aggregation}")
    return {
        TaskState.PENDING: keys.pending,
        TaskState.ACTIVE: keys.active,
        TaskState.SCHEDULED: keys.scheduled,
        TaskState.RETRY: keys.retry,
        TaskState.ARCHIVED: keys.archived,
        TaskState.COMPLETED: keys.completed,
    }[state]


def _check_page(page: int, size: int) -> None:
    if page < 1 or not 1 <= size <= look_task.MAX_PAGE:
        raise OptionError(
            f"There is no page {page} of size {size}: give a page from 1, a size from 1 to {look_task.MAX_PAGE}."
        )
