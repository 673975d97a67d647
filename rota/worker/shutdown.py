"""The shutdown of a worker, in an order in which no task is lost.

The steps of a stop:

1. Take no more tasks, and hand back the tasks that have not started.
2. Let running handlers finish within `shutdown_timeout`.
3. Cancel the others. Their tasks go back to the front of their queues once the handlers have ended.
4. Wait until every outcome is recorded.
5. End the other parts, the heartbeat last, because running handlers need their leases.

After a fault of a part, the worker skips step 2: no heartbeat extends the leases any more.
"""

import asyncio
import time
from collections.abc import Awaitable
from datetime import timedelta

from rota import events
from rota.worker.consume.node_consumer import NodeConsumers
from rota.worker.heartbeat import Heartbeat
from rota.worker.run.executor import Executor

LAST_WORD_SECONDS = 5.0
"""How long a handler that was cancelled at the shutdown may take to end."""

LAST_RECORD_SECONDS = 9.0
"""How long a stop may take after `shutdown_timeout`, `LAST_WORD_SECONDS` included, while the broker does not accept the
last outcomes. Tasks whose outcome is not recorded by then run again. The time is shorter than `STOP_MARGIN_SECONDS`,
after which the supervisor kills the process."""

HURRIED_SECONDS = 1.0
"""How long the last calls to the broker may take after a second request to stop."""


class Shutdown:
    """Ends the runs of a worker, and waits for the records of their outcomes.

    `hurry` is set by a second request to stop: the handlers are cancelled at once.
    """

    def __init__(
        self,
        worker_id: str,
        executor: Executor,
        consumers: NodeConsumers,
        heartbeat: Heartbeat,
        *,
        grace: timedelta,
        hurry: asyncio.Event,
    ) -> None:
        self._id = worker_id
        self._executor = executor
        self._consumers = consumers
        self._heartbeat = heartbeat
        self._grace_seconds = grace.total_seconds()
        self._hurry = hurry

    async def drain(self) -> None:
        """Carry out the steps 1 to 4 of a stop."""
        self._heartbeat.status = "closed"  # what Asynq's tools show for a server that shuts down
        self._executor.closed = True  # before the last reply to a fetch, whose tasks are handed back then
        # Counted from the request to stop: a silent server may delay `stop_fetching` by several seconds.
        grace_ends_at = time.monotonic() + self._grace_seconds
        await self._consumers.stop_fetching()
        self._executor.hand_back_parked()
        if not await self._ended_by_themselves(grace_ends_at - time.monotonic()):
            await self._end_the_rest()
        # The time that cancelled handlers took to end is taken off the time for the records.
        used = max(time.monotonic() - grace_ends_at, 0)
        if not await self._recorded(LAST_RECORD_SECONDS - min(used, LAST_WORD_SECONDS)):
            events.emit(events.LastOutcomesLost())

    async def _recorded(self, within_seconds: float) -> bool:
        """Wait until all outcomes are recorded. After a second request to stop, wait for `HURRIED_SECONDS` only."""
        flush = asyncio.ensure_future(self._consumers.flush())
        hurry = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait((flush, hurry), timeout=within_seconds, return_when=asyncio.FIRST_COMPLETED)
            if hurry.done():
                await asyncio.wait((flush,), timeout=HURRIED_SECONDS)
        finally:  # also if this wait is cancelled: a flush without a finisher would turn the loop for ever
            hurry.cancel()
            flush.cancel()  # takes effect in the next turn of the loop, so `done` is only true if it was before
        return flush.done()

    async def give_up(self, fault: BaseException) -> None:
        """Stop all handlers after a fault, or after the worker was cancelled from outside.

        The parts have ended, so no heartbeat extends the leases, and no handler may go on. The outcomes are recorded
        before the leases expire.
        """
        if isinstance(fault, asyncio.CancelledError):
            events.emit(events.WorkerCancelled(worker=self._id))
        else:
            events.emit(events.WorkerFaulted(worker=self._id, error=fault))
        self._heartbeat.status = "closed"
        self._executor.closed = True
        try:
            await self._consumers.stop_fetching()  # the fetchers have ended, but may have left lost replies
            self._executor.hand_back_parked()
            await self._end_the_rest()
            await self._consumers.record_rest(LAST_WORD_SECONDS)
        except Exception as error:
            events.emit(events.TasksNotHandedBack(worker=self._id, error=error))

    async def _ended_by_themselves(self, within_seconds: float) -> bool:
        ended = asyncio.ensure_future(self._executor.wait_idle())
        hurry = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait((ended, hurry), timeout=max(within_seconds, 0), return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurry.cancel()
            ended.cancel()  # takes effect in the next turn of the loop, so `done` is only true if it was before
        return ended.done()

    async def _end_the_rest(self) -> None:
        for attempt in self._executor.running():
            self._executor.stop(attempt, "shutdown")
        if await within(LAST_WORD_SECONDS, self._executor.wait_idle()):
            return
        for attempt in self._executor.running():
            events.emit(events.TaskDoesNotEnd(**attempt.about))


async def within(seconds: float, act: Awaitable[object]) -> bool:
    """Wait for `act` for `seconds` at most; return whether it has ended."""
    try:
        async with asyncio.timeout(seconds):
            await act
    except TimeoutError:
        return False
    return True
