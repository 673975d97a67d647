"""The aggregator: when a group is due, its tasks become one task.

A group is due when it is large enough, its oldest task has waited long enough, or nothing joined it for a while. Its
tasks are taken as a set, the registered function makes one task of them, and one script enqueues that task and ends the
set: a crash at any moment either leaves the set, which goes back to its group after its deadline, or has finished it.

- A group for whose tasks nobody here has an aggregator is left alone. In a group of several types a set has those of
  one aggregator; the others go back, as old as they were, and are taken for theirs.
- A task whose message cannot be read goes to the archive. A set whose function fails, or whose result is refused, is
  tried again after a while; the last failure in a row archives its tasks with the error, where people see them.
- The result goes to the queue of its group, whatever its options say, as with Asynq.
- A group is looked at when it may be due, not at a fixed beat.

Locks of the tasks are given back, they count as processed, and a set has at most 10,000 tasks.
"""

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from rota.aggregator import Aggregator as Registered
from rota.broker import Broker
from rota.client.packing import PAYLOAD_LIMIT_BYTES, Packer
from rota.errors import BrokerError
from rota.wire.group import AggregationSet, Due, GroupLook, look
from rota.worker.aggregation import Aggregation, Find
from rota.worker.clock import BrokerClock
from rota.worker.pace import Pace

logger = logging.getLogger("rota.worker")

_AT_ONCE = 3
_WAIT_AFTER_FAILURE = timedelta(seconds=30)
_LONGEST_LOOK_AWAY = timedelta(seconds=5)


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

    `find(type, group)` returns the aggregator for a task, or None. At most three aggregations run at once.
    """

    def __init__(
        self,
        broker: Broker,
        queues: Callable[[], Iterable[str]],
        find: Find,
        defaults: GroupDefaults | None = None,
        every: timedelta = timedelta(seconds=1),
        wait_after_failure: timedelta = _WAIT_AFTER_FAILURE,
        payload_limit_bytes: int = PAYLOAD_LIMIT_BYTES,
    ) -> None:
        self._broker = broker
        self._queues = queues
        self._find = find
        self._defaults = defaults or GroupDefaults()
        self._pace = Pace("aggregator", every)
        self._clock = BrokerClock()
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._busy: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._counts: Counter[str] = Counter()
        self._reported: set[str] = set()
        packer = Packer(broker.keys, payload_limit_bytes)
        self._aggregation = Aggregation(broker, find, packer, self._clock, self._counts, wait_after_failure)

    async def run(self) -> None:
        """Aggregate until cancelled. Sets in the works are then given back."""
        try:
            await self._pace.keep(self._turn)
        finally:
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def aggregate(self) -> int:
        """Aggregate everything that is due now; return the number of sets done."""
        before = self._counts["sets"]
        await self._turn()
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
            errors=self._pace.errors,
        )

    async def _turn(self) -> timedelta:
        """Start what is due; return when to look again."""
        wait = _LONGEST_LOOK_AWAY
        for queue in list(self._queues()):
            keys = self._broker.keys.queue(queue)
            cursor = "0"
            while True:
                seen = await self._broker.run(look(keys, cursor))
                self._clock.set(seen.now)
                if seen.spent:
                    await self._aggregation.spend(keys, seen.spent)
                self._report_unreadable(queue, seen.unreadable)
                for each in seen.groups:
                    wait = min(wait, self._consider(queue, each))
                cursor = seen.cursor
                if cursor == "0":
                    break
        return max(wait, self._pace.every)

    def _report_unreadable(self, queue: str, groups: int) -> None:
        if groups and queue not in self._reported:
            self._reported.add(queue)
            logger.warning(
                "Skipped %d groups of queue %s: their names are not UTF-8, so no client of Asynq or Rota can have "
                "written them.",
                groups,
                queue,
            )

    def _consider(self, queue: str, seen: GroupLook) -> timedelta:
        """Start the aggregation of a group if it is due; return when to look at it again."""
        registered = self._registered(seen)
        if registered is None or (queue, seen.name) in self._busy:
            return _LONGEST_LOOK_AWAY
        due = self._due(registered)
        now = self._clock.now()
        due_at = seen.newest + due.grace.total_seconds()
        if due.delay is not None:
            due_at = min(due_at, seen.oldest + due.delay.total_seconds())
        if due_at > now and (due.size is None or seen.size < due.size):
            # A group that is due by its size may be so at any time.
            return self._pace.every if due.size is not None else timedelta(seconds=due_at - now)
        key = queue, seen.name
        task = self._busy[key] = asyncio.get_running_loop().create_task(self._work(queue, seen.name, registered))
        task.add_done_callback(lambda _: self._busy.pop(key, None))
        return _LONGEST_LOOK_AWAY

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
        async with self._at_once:
            try:
                more = True
                while more:
                    chosen = AggregationSet(self._broker.keys.queue(queue), group, uuid.uuid4().hex)
                    more = await self._aggregation.run(chosen, registered, self._due(registered))
            except BrokerError as error:
                logger.warning("The aggregation of group %s in queue %s stops until later: %s", group, queue, error)
            except Exception:
                logger.exception("The aggregation of group %s in queue %s failed.", group, queue)
