"""The aggregator: makes one task of the tasks of a group when the group is due.

A group is due when it has `max_size` tasks, its oldest task has waited for `max_delay`, or no task has joined it for
`grace`. The steps of an aggregation:

1. Take up to 10,000 tasks of the group as a set.
2. Call the registered function, which makes one task of them.
3. In one script, enqueue that task and end the set.
4. Delete the tasks of the set, release their locks, and count them as processed.

If the worker crashes before step 3, the set goes back to its group after its deadline.

- A group is left alone if this app has no aggregator for its tasks. If a group has tasks of several types, a set
  contains those of one aggregator. The others go back to the group with their age, for the other aggregators.
- A task whose message cannot be read goes to the archive. If the function fails, or its result is refused, the set is
  tried again later. After several failures in a row its tasks are archived with the error.
- The new task goes to the queue of its group, whatever its options say, as in Asynq.
- The server sends a notification when a group changes (`group_watch`), so that a full group is aggregated at once.
  Without notifications the groups are polled every `every`.
"""

import asyncio
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from rota import events
from rota.broker import Broker
from rota.client.packing import PAYLOAD_LIMIT_BYTES, Packer
from rota.errors import BrokerError
from rota.tasks.groups import GroupHandler as Registered
from rota.wire.group import AggregationSet, GroupLook, Look, group_names, look, look_at
from rota.wire.keys import QueueKeys
from rota.worker.clock import BrokerClock
from rota.worker.groups.aggregation import Aggregation, AggregatorOptions, Came, Find, GroupDefaults
from rota.worker.groups.group_watch import DueGroups, GroupWatch, Key
from rota.worker.ticker import Ticker

_LONGEST_LOOK_AWAY = timedelta(seconds=5)
"""The longest time between two checks of all groups, and the time for which a group is left alone after a failure."""
_REST_SECONDS, _LONGEST_REST_SECONDS = 0.02, 0.05
"""The pause between two checks of groups that change all the time: twice the time that a check took, within these
limits."""
_GROUPS_PER_LOOK = 100


@dataclass(frozen=True, slots=True)
class AggregatorStatistics:
    """Counts since the start; `running` is the current number of aggregations.

    `given_up` counts sets that took too long, so that a recoverer had put their tasks back into the group.
    """

    sets: int
    tasks: int
    failures: int
    archived: int
    given_up: int
    running: int
    errors: int


class Aggregator:
    """Aggregates the groups of the queues that `queues` returns at that time.

    `find(type, group)` returns the registered aggregator for a task, or None. Each registered aggregator runs at most
    `options.at_once` aggregations at the same time, so that a slow one does not delay the groups of the others. Full
    groups come first. A plain function that runs on in its thread after the time limit keeps its slot until the thread
    ends.
    """

    def __init__(
        self,
        broker: Broker,
        queues: Callable[[], Iterable[str]],
        find: Find,
        defaults: GroupDefaults | None = None,
        options: AggregatorOptions | None = None,
        payload_limit_bytes: int = PAYLOAD_LIMIT_BYTES,
    ) -> None:
        options = options or AggregatorOptions()
        self._broker = broker
        self._queues = queues
        self._find = find
        self._defaults = defaults or GroupDefaults()
        self._ticker = Ticker("aggregator", options.every)
        self._clock = BrokerClock()
        self._at_once = options.at_once
        self._running: Counter[Registered] = Counter()
        self._waiting: dict[Registered, deque[Key]] = {}
        self._busy: dict[Key, asyncio.Task[None]] = {}
        self._due_groups = DueGroups()
        self._news = asyncio.Event()
        self._watch = GroupWatch(broker, self._note_change)
        self._notified = options.notified
        self._counts: Counter[str] = Counter()
        self._reported: set[str] = set()
        self._reported_running: set[Registered] = set()
        packer = Packer(broker.keys, payload_limit_bytes)
        self._aggregation = Aggregation(
            broker, find, packer, self._clock, self._counts, options.wait_after_failure, self._left_running
        )

    async def run(self) -> None:
        """Aggregate until cancelled. Then unfinished sets go back to their groups."""
        self._watch.notifies = self._notified  # not before: a drain of a test calls `aggregate` without this method
        try:
            await self._ticker.keep(self._session)
        finally:
            self._waiting.clear()  # else the end of each aggregation would start the next one
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)
            await self._watch.aclose()

    async def aggregate(self) -> int:
        """Aggregate all groups that are due now; return the number of sets."""
        before = self._counts["sets"]
        self._note_change(None, None)
        await self._round()
        while self._busy:
            await asyncio.gather(*self._busy.values())
        return self._counts["sets"] - before

    @property
    def last_failure(self) -> events.AggregatorFailed | None:
        """The latest error of a registered function, or None if none has failed."""
        return self._aggregation.last_failure

    def next_due(self) -> float | None:
        """When the next group is due, by the latest check; None if no group waits. Without groups that wait in vain."""
        due_groups = self._due_groups
        return min((at for key, (at, _) in due_groups.due.items() if key not in due_groups.held), default=None)

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
        """Check groups when they may be due, until an error occurs."""
        self._note_change(None, None)
        while True:
            began_at = time.monotonic()
            wait = await self._round()
            rest = min(max(_REST_SECONDS, 2 * (time.monotonic() - began_at)), _LONGEST_REST_SECONDS)
            await asyncio.sleep(rest)  # all changes during this pause are checked in one call
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wait - rest)):
                    await self._news.wait()

    async def _round(self) -> float:
        """Check the groups that may be due and start the due ones; return the seconds until the next check."""
        self._news.clear()  # before the checks, so that a change during them ends the next wait
        queues = list(self._queues())
        self._due_groups.serve(set(queues))
        for queue in queues:
            if self._due_groups.wants_look(queue):
                await self._look_everywhere(queue)
            elif queue in self._due_groups.relisted:
                await self._look_for_new(queue)
            groups = list(self._due_groups.changed.pop(queue, ()))  # a group that changes from now on is checked again
            for start in range(0, len(groups), _GROUPS_PER_LOOK):
                await self._look_at(queue, groups[start : start + _GROUPS_PER_LOOK])
        now = self._clock.now()
        self._start_due(now)
        return min(self._due_groups.wait_seconds(now), _LONGEST_LOOK_AWAY.total_seconds())

    async def _look_everywhere(self, queue: str) -> None:
        keys, due_groups = self._broker.keys.queue(queue), self._due_groups
        every = _LONGEST_LOOK_AWAY if self._watch.notifies else self._ticker.every
        due_groups.begin_look(queue, every.total_seconds())
        cursor, found = "0", set[str]()
        while True:
            seen = await self._watch.look(keys, look(keys, cursor), {keys.groups: None})  # watches the list only
            await self._receive(keys, seen)
            found.update(each.name for each in seen.groups)
            cursor = seen.cursor
            if cursor == "0":
                break
        due_groups.forget(queue, due_groups.seen[queue] - found)
        if self._watch.notifies:  # then watch each group that may become due by its size, for which it is read again
            unwatched = (name for name in found if not self._watch.is_watched(keys.group(name)))
            due_groups.changed[queue].update(name for name in unwatched if (queue, name) in due_groups.sized)

    async def _look_for_new(self, queue: str) -> None:
        """Read the names of a queue's groups, to find new ones. Known groups are not checked, so this costs little."""
        self._due_groups.relisted.discard(queue)
        keys, cursor, names = self._broker.keys.queue(queue), "0", set[str]()
        while True:
            page = await self._watch.look(keys, group_names(keys, cursor), {keys.groups: None})
            names.update(page.names)
            cursor = page.cursor
            if cursor == "0":
                break
        self._due_groups.relist(queue, names)

    async def _look_at(self, queue: str, groups: list[str]) -> None:
        keys = self._broker.keys.queue(queue)
        known, due_groups = self._due_groups.seen[queue], self._due_groups
        # Watch a group if it may become due by its size, or if it is new, so that this is not known yet.
        watched = {
            keys.group(group): group for group in groups if group not in known or (queue, group) in due_groups.sized
        }
        seen = await self._watch.look(keys, look_at(keys, groups), watched)
        await self._receive(keys, seen)
        gone = set(groups) - {each.name for each in seen.groups}
        due_groups.forget(queue, gone)
        self._watch.forget(map(keys.group, gone))

    async def _receive(self, keys: QueueKeys, seen: Look) -> None:
        queue = keys.queue
        self._clock.set(seen.now)
        if seen.spent:
            await self._aggregation.spend(keys, seen.spent)
        self._report_unreadable(queue, seen.unreadable)
        for each in seen.groups:
            self._due_groups.seen[queue].add(each.name)
            self._plan(queue, each)

    def _report_unreadable(self, queue: str, groups: int) -> None:
        if groups and queue not in self._reported:
            self._reported.add(queue)
            events.emit(events.GroupNamesSkipped(queue=queue, groups=groups))

    def _plan(self, queue: str, seen: GroupLook) -> None:
        registered, key = self._registered(seen), (queue, seen.name)
        if registered is None:
            return self._due_groups.leave(key)
        due = self._defaults.due(registered)
        due_at = seen.newest + due.grace.total_seconds()
        if due.delay is not None:
            due_at = min(due_at, seen.oldest + due.delay.total_seconds())
        if due.size is not None and seen.size >= due.size:
            due_at = 0.0  # before all others: `due_now` sorts by this time
        return self._due_groups.plan(key, due_at, registered, sized=due.size is not None)

    def _start_due(self, now: float) -> None:
        self._waiting = self._due_groups.due_now(now, self._busy)
        for registered in self._waiting:
            self._start_waiting(registered)

    def _start_waiting(self, registered: Registered) -> None:
        waiting = self._waiting.get(registered)
        while waiting and self._running[registered] < self._at_once:
            key = waiting.popleft()
            if self._due_groups.due.pop(key, None) is not None:  # else it has vanished while it waited
                self._begin(key, registered)

    def _begin(self, key: Key, registered: Registered) -> None:
        self._running[registered] += 1
        task = self._busy[key] = asyncio.get_running_loop().create_task(self._work(*key, registered))
        task.add_done_callback(lambda _: self._end(key, registered))

    def _end(self, key: Key, registered: Registered) -> None:
        self._busy.pop(key, None)
        # If the group is no longer in the list, it is not checked: a group that is created again changes the list.
        queue, group = key
        if group in self._due_groups.seen[queue] or key in self._due_groups.held:
            self._note_change(queue, group)
        self._free(registered)

    def _left_running(self, registered: Registered, ended: asyncio.Future[None]) -> None:
        """Keep a slot for a thread that still runs after its aggregation has ended, so that threads do not pile up."""
        self._running[registered] += 1  # before `_end` frees the slot of the aggregation itself
        ended.add_done_callback(lambda _: self._free(registered))
        if registered not in self._reported_running:
            self._reported_running.add(registered)
            events.emit(events.AggregatorStillRuns(aggregator=registered))

    def _free(self, registered: Registered) -> None:
        self._running[registered] -= 1
        self._start_waiting(registered)

    def _note_change(self, queue: str | None, group: str | None) -> None:
        self._due_groups.note_change(queue, group)
        self._news.set()

    def _registered(self, seen: GroupLook) -> Registered | None:
        for type_name in seen.types:
            if type_name and (registered := self._find(type_name, seen.name)) is not None:
                return registered
        return None

    async def _work(self, queue: str, group: str, registered: Registered) -> None:
        """Aggregate one group until it is not due any more."""
        came: Came = "done"
        try:
            while came == "done":
                chosen = AggregationSet(self._broker.keys.queue(queue), group, uuid.uuid4().hex)
                came = await self._aggregation.run(chosen, registered, self._defaults.due(registered))
        except BrokerError as error:
            came = "in vain"
            events.emit(events.AggregationStopped(group=group, queue=queue, error=error))
        except Exception as error:
            came = "in vain"
            events.emit(events.AggregationFailed(group=group, queue=queue, error=error))
        if came == "in vain":
            self._due_groups.held[queue, group] = registered, self._clock.now() + _LONGEST_LOOK_AWAY.total_seconds()
