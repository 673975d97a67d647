"""Repairs what a comparison of all tasks and locks finds, beside running workers and Go servers.

1. Collect up to `MOST_FINDINGS` findings of a `Comparison`.
2. Wait for `delay`, which is longer than a heartbeat, and read which tasks the live servers run.
3. Repair each finding in small batches, if the script still finds the same fault and nothing has moved the task. A task
   that a live server runs is left alone.
4. Go on until a whole pass through all keys has repaired nothing.

Each repair is one script and complete in itself, so a repair can be stopped at any time and run again.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from rota.broker import Broker
from rota.broker.failure import WrongType
from rota.inspect.doctor.discrepancies import Comparison, Found, chunks
from rota.inspect.inspector import Inspector
from rota.wire.attempts import LIMIT_BYTES
from rota.wire.keys import QueueKeys
from rota.wire.reconcile import LATER, LONG, MEANING, Discrepancy, StrayLock, delete_locks, repair

DELAY = timedelta(seconds=10)
"""Twice the heartbeat of Rota and of Asynq. A task that was taken before it was found is in the record of its server
by then."""
MOST_FINDINGS = 5000
REPAIRS = 20
"""At most this many repairs in one call."""
MOST_PASSES = 10


class Repair:
    """One repair of all queues. `repaired` counts by queue and kind, also after the repair was stopped or failed."""

    def __init__(
        self,
        broker: Broker,
        *,
        max_crashes: int = 3,
        attempts_limit: int = LIMIT_BYTES,
        delay: timedelta = DELAY,
    ) -> None:
        self._broker = broker
        self._call = partial(repair, max_crashes=max_crashes, attempts_limit=attempts_limit)
        self._delay_seconds = delay.total_seconds()
        self.repaired: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.running: set[tuple[str, str]] = set()
        """Queue and ID of the tasks that were left alone in the last pass, because a live server runs them."""

        self.long: set[tuple[str, bytes]] = set()
        """Queue and ID of the tasks that were left for later, because too many tasks wait in their queue."""

    @property
    def total(self) -> int:
        """The number of all repairs."""
        return sum(kinds.total() for kinds in self.repaired.values())

    async def run(self) -> None:
        """Repair until a pass finds nothing that it can repair."""
        for _ in range(MOST_PASSES):
            before = self.total
            self.running.clear()
            self.long.clear()
            await self._pass()
            if self.total == before:
                return

    async def _pass(self) -> None:
        batch: list[Found] = []
        async for found in Comparison(self._broker).find():
            batch.append(found)
            if len(batch) >= MOST_FINDINGS:
                await self._settle(batch)
                batch = []
        if batch:
            await self._settle(batch)

    async def _settle(self, batch: Sequence[Found]) -> None:
        await asyncio.sleep(self._delay_seconds)
        running = await self._running_tasks()
        tasks: defaultdict[QueueKeys, dict[bytes, Discrepancy]] = defaultdict(dict)
        locks: defaultdict[QueueKeys, list[StrayLock]] = defaultdict(list)
        for queue, found in batch:
            if isinstance(found, StrayLock):
                locks[queue].append(found)
            elif (one := (queue.queue, found.id.decode(errors="replace"))) in running:
                self.running.add(one)
            else:
                tasks[queue].setdefault(found.id, found)  # of several findings of one task the first counts
        for queue in tasks.keys() | locks.keys():
            try:
                await self._repair(queue, list(tasks[queue].values()), locks[queue])
            except WrongType:
                continue  # the doctor reports a queue with a broken key

    async def _running_tasks(self) -> set[tuple[str, str]]:
        servers = await Inspector(self._broker).servers()
        return {(task.queue, task.id) for server in servers for task in server.running}

    async def _repair(self, queue: QueueKeys, tasks: Sequence[Discrepancy], locks: Sequence[StrayLock]) -> None:
        done = self.repaired[queue.queue]
        for chunk in chunks(tasks, REPAIRS):
            left: list[Discrepancy] = list(chunk)
            while left:
                kinds: list[str] = await self._broker.run(self._call(queue, left))
                done.update(kind for kind in kinds if kind in MEANING)
                self.long.update({(queue.queue, f.id) for f, kind in zip(left, kinds, strict=True) if kind == LONG})
                left = [finding for finding, kind in zip(left, kinds, strict=True) if kind == LATER]
        for stray in chunks(locks, REPAIRS):
            if deleted := await self._broker.run(delete_locks(queue, stray)):
                done["lock"] += deleted
