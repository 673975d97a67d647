"""Two scans of the keys of a broker, in bounded steps that continue where the last call stopped.

`PlaceScan` reads the lists and sorted sets of the queues, and finds IDs that should not be there. `KeyScan` reads the
names of all keys, and finds tasks that are in no list, and locks that no task holds. Because each call continues, a
backlog of any size is scanned in the end.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from rota.broker import Broker
from rota.wire.keys import QueueKeys
from rota.wire.reconcile import (
    BEGIN,
    MAX_QUEUES,
    MAX_QUEUES_OF_TASKS,
    MAX_TASKS,
    Discrepancy,
    StrayLock,
    locks,
    places,
    tasks,
)
from rota.worker.consume.node_replies import NodeReplies

T = TypeVar("T")
Found = list[tuple[QueueKeys, Discrepancy]]
StrayLocks = list[tuple[QueueKeys, StrayLock]]

PAGE = 800
ACTIVE_ONLY = ("0", "0", "", "", "", "", "")
_SPECIAL = re.compile(r"([*?\[\]\\])")


class PlaceScan:
    """Compares the places of queues (their lists and sorted sets) with the tasks, at most `calls` pages in one call."""

    def __init__(self, broker: Broker, calls: int = 100) -> None:
        self._broker = broker
        self._calls = calls
        self._cursors: dict[str, Sequence[str]] = {}
        self._steps = 0
        self._last_step: dict[str, int] = {}

    async def go(self, queues: Iterable[str]) -> Found:
        """Scan on, beginning with the queue whose last step is longest ago, and return what was found."""
        left = sorted(queues, key=lambda queue: self._last_step.get(queue, 0))
        self._last_step = {queue: self._last_step.get(queue, 0) for queue in left}
        self._cursors = {queue: self._cursors.get(queue, BEGIN) for queue in left}
        found: Found = []
        answers = NodeReplies()
        for _ in range(self._calls):
            if not left:
                break
            step = left[: 1 if self._broker.clustered else MAX_QUEUES]
            found += await self._step(step, answers)
            left = [*left[len(step) :], *(queue for queue in step if queue in self._cursors)]
            await asyncio.sleep(0)
        answers.check()
        return found

    async def look(self, queues: Sequence[str]) -> Found:
        """Check all active tasks and leases of some queues. There are no more of them than the fleet has slots."""
        found: Found = []
        for queue in queues:
            keys = self._broker.keys.queue(queue)
            cursors: Sequence[str] = ACTIVE_ONLY
            while any(cursors):
                [page] = await self._broker.run(places({keys: cursors}))
                cursors = page.cursors
                found += [(keys, finding) for finding in page.findings]
        return found

    async def _step(self, queues: Sequence[str], answers: NodeReplies) -> Found:
        self._steps += 1
        self._last_step.update(dict.fromkeys(queues, self._steps))
        keys = {self._broker.keys.queue(queue): self._cursors.pop(queue) for queue in queues}
        [reply] = await self._broker.run_many([places(keys, min(PAGE // len(keys), MAX_TASKS))])
        found: Found = []
        for _, pages in answers.sort([keys], [reply]):
            for queue, page in zip(keys, pages, strict=True):
                if any(page.cursors):
                    self._cursors[queue.queue] = page.cursors
                found += [(queue, finding) for finding in page.findings]
        return found


class KeyScan:
    """Scans the keys of each node for tasks and locks of the queues, at most `pages` pages of 1000 keys in one call."""

    def __init__(self, broker: Broker, pages: int = 25) -> None:
        self._broker = broker
        self._pages = pages
        self._cursors: dict[str, bytes] = {}
        self._start = f"{broker.keys.prefix}:{{".encode()
        self._pattern = _SPECIAL.sub(r"\\\1", self._start.decode()) + "*"

    async def go(self, queues: Iterable[str]) -> tuple[Found, StrayLocks]:
        """Scan on, compare the tasks with the places, and check the locks. Returns what was found."""
        served = {queue.encode(): self._broker.keys.queue(queue) for queue in queues}
        found: Found = []
        stray: StrayLocks = []
        answers = NodeReplies()
        for node, key in (await self._nodes(served.values())).items():
            cursor = self._cursors.get(node, b"0")
            for _ in range(self._pages):
                cursor, names = await self._broker.execute(
                    "SCAN", cursor, "MATCH", self._pattern, "COUNT", 1000, key=key
                )
                ids, held = self._sort(names, served)
                found += await self._compare(ids, answers)
                stray += await self._check(held, answers)
                if cursor == b"0":
                    break
                await asyncio.sleep(0)
            self._cursors[node] = cursor
        answers.check()
        return found, stray

    async def _nodes(self, queues: Iterable[QueueKeys]) -> dict[str, str]:
        """Return for each node a key on it, which routes a call to the node."""
        nodes: dict[str, str] = {}
        for queue in queues:
            nodes.setdefault(await self._broker.place(queue.pending) if self._broker.clustered else "", queue.pending)
        return nodes

    def _sort(
        self, names: Iterable[bytes], served: dict[bytes, QueueKeys]
    ) -> tuple[dict[QueueKeys, list[bytes]], dict[QueueKeys, list[StrayLock]]]:
        ids: dict[QueueKeys, list[bytes]] = {}
        held: dict[QueueKeys, list[StrayLock]] = {}
        for name in names:
            queue, _, rest = name.removeprefix(self._start).partition(b"}:")
            keys = served.get(queue)
            if keys is None:
                continue
            if rest.startswith(b"t:"):
                ids.setdefault(keys, []).append(rest[2:])
            elif rest.startswith(b"unique:"):
                held.setdefault(keys, []).append(StrayLock(name.decode(errors="replace")))
        return ids, held

    async def _compare(self, ids: dict[QueueKeys, list[bytes]], answers: NodeReplies) -> Found:
        calls = [tasks(share) for share in self._shares(ids)]
        replies = await self._broker.run_many(calls)
        good = answers.sort(calls, replies)
        return [found for _, findings in good for found in findings]

    def _shares(self, ids: dict[QueueKeys, list[bytes]]) -> Iterable[dict[QueueKeys, list[bytes]]]:
        """Divide the tasks into calls, each with as many tasks and queues as one call may have."""
        share: dict[QueueKeys, list[bytes]] = {}
        room = MAX_TASKS
        for queue, all_ids in ids.items():
            for chunk in _chunks(all_ids):
                if share and (self._broker.clustered or len(share) == MAX_QUEUES_OF_TASKS or len(chunk) > room):
                    yield share
                    share, room = {}, MAX_TASKS
                share[queue] = chunk
                room -= len(chunk)
        if share:
            yield share

    async def _check(self, held: dict[QueueKeys, list[StrayLock]], answers: NodeReplies) -> StrayLocks:
        calls = [(queue, locks(queue, chunk)) for queue, all_locks in held.items() for chunk in _chunks(all_locks)]
        replies = await self._broker.run_many([call for _, call in calls])
        good = answers.sort((queue for queue, _ in calls), replies)
        return [(queue, lock) for queue, found in good for lock in found]


def _chunks(items: list[T]) -> Iterable[list[T]]:
    return (items[start : start + MAX_TASKS] for start in range(0, len(items), MAX_TASKS))
