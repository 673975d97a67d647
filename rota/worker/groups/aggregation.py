"""One aggregation: takes a set of tasks from a group and replaces them by one task, or gives them back.

One script enqueues the new task and ends the set. Until then it is a normal aggregation set of Asynq: if this process
dies, any server, also a Go server, puts the tasks back into the group after the deadline of the set.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from google.protobuf.message import DecodeError

from rota import events
from rota.broker import Broker
from rota.client.packing import Packer
from rota.core import faults
from rota.errors import BrokerError, EnqueueError
from rota.tasks.groups import GroupedTask
from rota.tasks.groups import GroupHandler as Registered
from rota.tasks.handler import cancelled_here
from rota.wire import group as wire
from rota.wire.enqueue import Item
from rota.wire.group import AggregationSet, Due, Ended, Member, SortedOut
from rota.wire.keys import QueueKeys
from rota.wire.message import with_failure
from rota.wire.names import NOT_UTF8, is_utf8
from rota.wire.proto import TaskMessage
from rota.worker.clock import BrokerClock
from rota.worker.run.handler_errors import describe

Find = Callable[[str, str], Registered | None]
Came = Literal["done", "not due", "failed", "in vain"]
"""The result of one aggregation. After "failed" its tasks return to the group later. After "in vain" they are in the
group at once, or the set had none for this aggregator."""

ALLOWED = timedelta(minutes=2)
"""How long one aggregation may take, as in Asynq. After this time any server may put its tasks back."""
_MARGIN_SECONDS = 10.0
"""An aggregation is stopped this long before `ALLOWED` is over, so that its set is not reclaimed while it is ended."""
_MOST_FAILURES = 3


class Aggregation:
    """Runs aggregations. `counts` are the counts of the aggregator that this object belongs to.

    `left_running(registered, ended)` is called when a plain function has reached the time limit and its thread goes on.
    The future is done when the thread ends.
    """

    def __init__(
        self,
        broker: Broker,
        find: Find,
        packer: Packer,
        clock: BrokerClock,
        counts: Counter[str],
        wait_after_failure: timedelta,
        left_running: Callable[[Registered, asyncio.Future[None]], None],
    ) -> None:
        self._broker = broker
        self._find = find
        self._packer = packer
        self._clock = clock
        self._counts = counts
        self._wait_after_failure = wait_after_failure
        self._left_running = left_running
        self.last_failure: events.AggregatorFailed | None = None

    async def run(self, chosen: AggregationSet, registered: Registered, due: Due) -> Came:
        """Take and aggregate one set."""
        faults.reach("aggregate:take")
        if not await self._broker.run(wire.take(chosen, due, ALLOWED)):
            return "not due"
        faults.answered("aggregate:taken")
        try:
            async with asyncio.timeout(ALLOWED.total_seconds() - _MARGIN_SECONDS) as limit:
                tasks = await self._read(chosen, registered)
                if tasks:
                    result = await self._make(chosen, registered, tasks, limit)
                    return "done" if await self._finish(chosen, tasks, result) else "in vain"
                # No task was for this aggregator. If the group were taken again at once, that would be the same.
                await self._end(chosen, None)
                return "in vain"
        except BrokerError:
            raise  # the aggregator has not failed, and what is left of the set returns after its deadline
        except BaseException as error:
            if isinstance(error, GeneratorExit) or cancelled_here(error):
                await self._give_back(chosen)
                raise
            # This includes a `sys.exit()` in the function, which would otherwise end the event loop.
            await self._fail(chosen, registered, error)
            return "failed"

    async def _read(self, taken: AggregationSet, registered: Registered) -> list[GroupedTask]:
        """Read the tasks of the set, and remove those that do not belong to this aggregator or cannot be read."""
        tasks: list[GroupedTask] = []
        while True:
            page = await self._members(taken, len(tasks))  # what was sorted out is not in the set any more
            out: list[SortedOut] = []
            for member in page.members:
                read = self._grouped(member, taken.group, registered)
                if isinstance(read, GroupedTask):
                    tasks.append(read)
                else:
                    out.append(read)
            if out:
                await self._sort_out(taken, out)
                self._counts["archived"] += sum(each.kind == "archive" for each in out)
            if not page.more:
                return tasks

    async def _members(self, taken: AggregationSet, first: int) -> wire.GroupPage:
        faults.reach("aggregate:read")
        page = await self._broker.run(wire.members(taken, first))
        faults.answered("aggregate:members")
        return page

    async def _sort_out(self, taken: AggregationSet, out: list[SortedOut]) -> int:
        faults.reach("aggregate:sort")
        moved = await self._broker.run(wire.sort_out(taken, out))
        faults.answered("aggregate:sorted")
        return moved

    def _grouped(self, member: Member, group: str, registered: Registered) -> GroupedTask | SortedOut:
        if not member.message:
            return SortedOut(member.id, "drop")
        if not is_utf8(member.id):
            return SortedOut(member.id, "archive", text=NOT_UTF8)
        try:
            message = TaskMessage.FromString(member.message)
        except DecodeError as error:
            events.emit(events.GroupedTaskUnreadable(task_id=member.id, group=group, error=error))
            return SortedOut(member.id, "archive", text=f"the message cannot be read: {error}")
        if self._find(message.type, group) is not registered:
            return SortedOut(member.id, "back")
        return GroupedTask(message.type, message.payload, dict(message.headers), member.id)

    async def _make(
        self, taken: AggregationSet, registered: Registered, tasks: list[GroupedTask], limit: asyncio.Timeout
    ) -> Item | None:
        def left_running(ended: asyncio.Future[None]) -> None:
            if limit.expired():  # otherwise the worker stops
                self._left_running(registered, ended)

        plan = await registered.aggregate(taken.group, tasks, left_running)
        if plan is None:
            return None
        packed = self._packer.pack(plan.updated(queue=taken.queue.queue))
        return packed.item or Item(packed.id, packed.message, mark=packed.id)

    async def _finish(self, taken: AggregationSet, tasks: list[GroupedTask], result: Item | None) -> bool:
        if not await self._end(taken, result):
            return False
        self._counts["sets"] += 1
        self._counts["tasks"] += len(tasks)
        events.emit(events.GroupAggregated(queue=taken.queue.queue, group=taken.group, tasks=len(tasks)))
        return True

    async def _end(self, taken: AggregationSet, result: Item | None) -> bool:
        """Enqueue the result and end the set. Raises EnqueueError if the result is refused."""
        call = wire.aggregate(taken, result)
        try:
            faults.reach("aggregate:end")
            answer = await self._broker.run(call)
            faults.answered("aggregate:ended")
        except BrokerError as error:
            if not error.maybe_applied:
                raise
            answer = await self._broker.run(call)  # the script recognizes a set that it has ended before
        if answer.ended is Ended.REFUSED:
            raise EnqueueError(f"the result of the aggregation was refused: {answer.refusal}")
        if answer.ended is Ended.GIVEN_UP:
            self._counts["given_up"] += 1
            events.emit(events.AggregationLate(group=taken.group, failed=False))
            return False
        await self.spend(taken.queue, taken.key)
        return True

    async def spend(self, keys: QueueKeys, set_key: str) -> None:
        """Delete the tasks of a set that has ended, which may be one of a worker that died before it did so."""
        deleted = wire.PAGE
        while deleted >= wire.PAGE:
            faults.reach("aggregate:spend")
            deleted = await self._broker.run(wire.spend(keys, set_key))
            faults.answered("aggregate:spent")

    async def _give_back(self, taken: AggregationSet) -> None:
        """Set the deadline of an interrupted set to the past, so that its tasks return to their group at once."""
        sets = taken.queue.aggregation_sets
        try:
            faults.reach("aggregate:return")
            await self._broker.execute("ZADD", sets, "XX", 0, taken.key, key=sets)
            faults.answered("aggregate:returned")
        except BrokerError as error:
            events.emit(events.AggregationSetLeft(group=taken.group, allowed=str(ALLOWED), error=error))

    async def _fail(self, taken: AggregationSet, registered: Registered, error: BaseException) -> None:
        self._counts["failures"] += 1
        faults.reach("aggregate:fail")
        failures = await self._broker.run(wire.failed(taken, most=_MOST_FAILURES, wait=self._wait_after_failure))
        faults.answered("aggregate:failed")
        if not failures:
            events.emit(events.AggregationLate(group=taken.group, failed=True))
            return
        self.last_failure = events.AggregatorFailed(
            aggregator=registered,
            group=taken.group,
            queue=taken.queue.queue,
            failures=failures,
            most_failures=_MOST_FAILURES,
            error=error,
        )
        events.emit(self.last_failure)
        if failures >= _MOST_FAILURES:
            await self._archive(taken, describe(error))

    async def _archive(self, taken: AggregationSet, text: str) -> None:
        while members := (await self._members(taken, 0)).members:  # from the start, because each page is taken out
            now = int(self._clock.now())
            out = [_archived(member, text, now) for member in members]
            if not await self._sort_out(taken, out):  # another server has reclaimed the set
                return
            self._counts["archived"] += len(out)
        await self._end(taken, None)


def _archived(member: Member, text: str, now_unix: int) -> SortedOut:
    try:
        message = TaskMessage.FromString(member.message)
    except DecodeError:
        return SortedOut(member.id, "archive", text=text)
    return SortedOut(member.id, "archive", with_failure(message, text, now_unix, counts=False), text)


AT_ONCE = 10
_WAIT_AFTER_FAILURE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class GroupDefaults:
    """When a group is due if its aggregator does not set that itself.

    `grace` is the time since the newest task, `max_delay` the time since the oldest one.
    """

    grace: timedelta = timedelta(minutes=1)
    max_delay: timedelta | None = None
    max_size: int | None = None

    def due(self, registered: Registered) -> Due:
        """Return when a group of this aggregator is due."""
        return Due(
            registered.max_size or self.max_size,
            registered.max_delay or self.max_delay,
            registered.grace or self.grace,
        )


@dataclass(frozen=True, slots=True)
class AggregatorOptions:
    """How often groups are checked, how many aggregations of one aggregator run at once, and when a set is retried.

    Without `notified` the groups are polled every `every`, also if the server could send notifications.
    """

    every: timedelta = timedelta(seconds=1)
    at_once: int = AT_ONCE
    wait_after_failure: timedelta = _WAIT_AFTER_FAILURE
    notified: bool = True
