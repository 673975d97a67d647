"""The aggregator: when a group is due, its tasks become one task.

A group is due when it is large enough, its oldest task has waited long enough, or nothing joined it for a while. Its
tasks are taken as a set, the registered function makes one task of them, and one script enqueues that task and ends the
set: a crash at any moment either leaves the set, which goes back to its group after its deadline, or has finished it.

- A group for whose tasks nobody here has an aggregator is left alone. In a group of several types a set has those of
  one aggregator; the others go back, as old as they were, and are taken for theirs.
- A task whose message cannot be read goes to the archive. A set whose function fails, or whose result is refused, is
  tried again after a while; the last failure in a row archives its tasks with the error, where people see them.
- The result goes to the queue of its group, whatever its options say, as with Asynq.
- The server tells of groups that change (`group_watch`), so that a full group is aggregated at once, and the others
  when they are due. Where it does not, they are looked at every `every`.

Locks of the tasks are given back, they count as processed, and a set has at most 10,000 tasks.
"""

import asyncio
import logging
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from rota.broker import Broker
from rota.client.packing import PAYLOAD_LIMIT_BYTES, Packer
from rota.errors import BrokerError
from rota.tasks.groups import GroupHandler as Registered
from rota.wire.group import AggregationSet, Due, GroupLook, Look, group_names, look, look_at
from rota.wire.keys import QueueKeys
from rota.worker.clock import BrokerClock
from rota.worker.groups.aggregation import Aggregation, Came, Find
from rota.worker.groups.group_watch import GroupAgenda, GroupWatch, Key
from rota.worker.ticker import Ticker

logger = logging.getLogger("rota.worker")

AT_ONCE = 10
_WAIT_AFTER_FAILURE = timedelta(seconds=30)
_LONGEST_LOOK_AWAY = timedelta(seconds=5)
_REST_SECONDS, _LONGEST_REST_SECONDS = 0.02, 0.05
"""Between two looks at groups that change all the time: at least the first, and twice as long as a look took."""
_GROUPS_PER_LOOK = 100


@dataclass(frozen=True, slots=True)
class GroupDefaults:
    """When a group is due if its aggregator does not say: quiet time, longest wait, size."""

    grace: timedelta = timedelta(minutes=1)
    max_delay: timedelta | None = None
    max_size: int | None = None


@dataclass(frozen=True, slots=True)
class AggregatorStatistics:
    """Since the start: sets aggregated and their tasks, failures, tasks archived, sets lost to a reclaimer."""

    sets: int
    tasks: int
    failures: int
    archived: int
    given_up: int
    running: int
    errors: int


class Aggregator:
    """Aggregates groups of the queues that `queues` returns at the time.

    `find(type, group)` returns the aggregator for a task, or None. Of each aggregator `at_once` aggregations run at the
    same time, so that a slow one does not hold up the groups of the others. Full groups come first.
    """

    def __init__(
        self,
        broker: Broker,
        queues: Callable[[], Iterable[str]],
        find: Find,
        defaults: GroupDefaults | None = None,
        every: timedelta = timedelta(seconds=1),
        *,
        notified: bool = True,
        at_once: int = AT_ONCE,
        wait_after_failure: timedelta = _WAIT_AFTER_FAILURE,
        payload_limit_bytes: int = PAYLOAD_LIMIT_BYTES,
    ) -> None:
        self._broker = broker
        self._queues = queues
        self._find = find
        self._defaults = defaults or GroupDefaults()
        self._ticker = Ticker("aggregator", every)
        self._clock = BrokerClock()
        self._at_once = at_once
        self._running: Counter[Registered] = Counter()
        self._waiting: dict[Registered, deque[Key]] = {}
        self._busy: dict[Key, asyncio.Task[None]] = {}
        self._ready_queues = GroupAgenda()
        self._news = asyncio.Event()
        self._watch = GroupWatch(broker, self._note_change)
        self._notified = notified
        self._counts: Counter[str] = Counter()
        self._reported: set[str] = set()
        packer = Packer(broker.keys, payload_limit_bytes)
        self._aggregation = Aggregation(broker, find, packer, self._clock, self._counts, wait_after_failure)

    async def run(self) -> None:
        """Aggregate until cancelled. Sets in the works are then given back."""
        self._watch.notifies = self._notified
        try:
            await self._ticker.keep(self._session)
        finally:
            self._waiting.clear()
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)
            await self._watch.aclose()

    async def aggregate(self) -> int:
        """Aggregate everything that is due now; return the number of sets done."""
        before = self._counts["sets"]
        self._note_change(None, None)
        await self._election()
        while self._busy:
            await asyncio.gather(*self._busy.values())
        return self._counts["sets"] - before

    def statistics(self) -> AggregatorStatistics:
        """Return a snapshot."""
        count = self._counts
        return AggregatorStatistics(
            sets=count["sets"],
            tasks=count["tasks"],
            failures=count["failures"],
            archived=count["archived"],
            given_up=count["given_up"],
            running=len(self._busy),
            errors=self._ticker.errors,
        )

    async def _session(self) -> None:
        """Look at groups when they may be due, until something fails."""
        self._note_change(None, None)
        while True:
            began_at = time.monotonic()
            wait = await self._election()
            rest = min(max(_REST_SECONDS, 2 * (time.monotonic() - began_at)), _LONGEST_REST_SECONDS)
            await asyncio.sleep(rest)  # what changes meanwhile is looked at in one go
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wait - rest)):
                    await self._news.wait()

    async def _election(self) -> float:
        """Look where it is needed and start what is due; return for how many seconds nothing is to be done."""
        self._news.clear()
        queues = list(self._queues())
        self._ready_queues.serve(set(queues))
        for queue in queues:
            if self._ready_queues.wants_look(queue):
                await self._look_everywhere(queue)
            elif queue in self._ready_queues.relisted:
                await self._look_for_new(queue)
            groups = list(self._ready_queues.changed.pop(queue, ()))
            for start in range(0, len(groups), _GROUPS_PER_LOOK):
                await self._look_at(queue, groups[start : start + _GROUPS_PER_LOOK])
        now = self._clock.now()
        self._start_due(now)
        wait = self._ready_queues.wait_seconds(now)
        return min(wait, _LONGEST_LOOK_AWAY.total_seconds())

    async def _look_everywhere(self, queue: str) -> None:
        keys, ready_queues = self._broker.keys.queue(queue), self._ready_queues
        every = _LONGEST_LOOK_AWAY if self._watch.notifies else self._ticker.every
        ready_queues.begin_look(queue, every.total_seconds())
        cursor, found = "0", set[str]()
        while True:
            seen = await self._watch.look(keys, look(keys, cursor), {keys.groups: None})
            await self._receive(keys, seen)
            found.update(each.name for each in seen.groups)
            cursor = seen.cursor
            if cursor == "0":
                break
        ready_queues.forget(queue, ready_queues.seen[queue] - found)
        if self._watch.notifies:
            unwatched = (name for name in found if not self._watch.is_watched(keys.group(name)))
            ready_queues.changed[queue].update(name for name in unwatched if (queue, name) in ready_queues.sized)

    async def _look_for_new(self, queue: str) -> None:
        """Look which groups there are. Those that are known are not looked at: that is what makes it cheap."""
        self._ready_queues.relisted.discard(queue)
        keys, cursor, names = self._broker.keys.queue(queue), "0", set[str]()
        while True:
            page = await self._watch.look(keys, group_names(keys, cursor), {keys.groups: None})
            names.update(page.names)
            cursor = page.cursor
            if cursor == "0":
                break
        self._ready_queues.relist(queue, names)

    async def _look_at(self, queue: str, groups: list[str]) -> None:
        keys = self._broker.keys.queue(queue)
        known, ready_queues = self._ready_queues.seen[queue], self._ready_queues
        # Nobody knows yet whether a new group is due by its size.
        watched = {
            keys.group(group): group for group in groups if group not in known or (queue, group) in ready_queues.sized
        }
        seen = await self._watch.look(keys, look_at(keys, groups), watched)
        await self._receive(keys, seen)
        ready_queues.forget(queue, set(groups) - {each.name for each in seen.groups})

    async def _receive(self, keys: QueueKeys, seen: Look) -> None:
        queue = keys.queue
        self._clock.set(seen.now)
        if seen.spent:
            await self._aggregation.spend(keys, seen.spent)
        self._report_unreadable(queue, seen.unreadable)
        for each in seen.groups:
            self._ready_queues.seen[queue].add(each.name)
            self._plan(queue, each)

    def _report_unreadable(self, queue: str, groups: int) -> None:
        if groups and queue not in self._reported:
            self._reported.add(queue)
            logger.warning(
                "Skipped %d groups of queue %s: their names are not UTF-8, so no client of Asynq or Rota can have "
                "written them.",
                groups,
                queue,
            )

    def _plan(self, queue: str, seen: GroupLook) -> None:
        registered, key = self._registered(seen), (queue, seen.name)
        if registered is None:
            return self._ready_queues.leave(key)
        due = self._due(registered)
        due_at = seen.newest + due.grace.total_seconds()
        if due.delay is not None:
            due_at = min(due_at, seen.oldest + due.delay.total_seconds())
        if due.size is not None and seen.size >= due.size:
            due_at = 0.0
        return self._ready_queues.plan(key, due_at, registered, sized=due.size is not None)

    def _start_due(self, now: float) -> None:
        self._waiting = self._ready_queues.due_now(now, self._busy)
        for registered in self._waiting:
            self._start_waiting(registered)

    def _start_waiting(self, registered: Registered) -> None:
        waiting = self._waiting.get(registered)
        while waiting and self._running[registered] < self._at_once:
            key = waiting.popleft()
            if self._ready_queues.due.pop(key, None) is not None:
                self._begin(key, registered)

    def _begin(self, key: Key, registered: Registered) -> None:
        self._running[registered] += 1
        task = self._busy[key] = asyncio.get_running_loop().create_task(self._work(*key, registered))
        task.add_done_callback(lambda _: self._end(key, registered))

    def _end(self, key: Key, registered: Registered) -> None:
        self._running[registered] -= 1
        self._busy.pop(key, None)
        self._note_change(*key)
        self._start_waiting(registered)

    def _note_change(self, queue: str | None, group: str | None) -> None:
        self._ready_queues.note_change(queue, group)
        self._news.set()

    def _registered(self, seen: GroupLook) -> Registered | None:
        for type_name in seen.types:
            if type_name and (registered := self._find(type_name, seen.name)) is not None:
                return registered
        return None

    def _due(self, registered: Registered) -> Due:
        return Due(
            registered.max_size or self._defaults.max_size,
            registered.max_delay or self._defaults.max_delay,
            registered.grace or self._defaults.grace,
        )

    async def _work(self, queue: str, group: str, registered: Registered) -> None:
        """Aggregate one group until it is not due any more."""
        came: Came = "done"
        try:
            while came == "done":
                chosen = AggregationSet(self._broker.keys.queue(queue), group, uuid.uuid4().hex)
                came = await self._aggregation.run(chosen, registered, self._due(registered))
        except BrokerError as error:
            came = "in vain"
            logger.warning("The aggregation of group %s in queue %s stops until later: %s", group, queue, error)
        except Exception:
            came = "in vain"
            logger.exception("The aggregation of group %s in queue %s failed.", group, queue)
        if came == "in vain":
            self._ready_queues.held[queue, group] = registered, self._clock.now() + _LONGEST_LOOK_AWAY.total_seconds()
