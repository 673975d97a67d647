"""Precedence among the lanes of a Cluster: weights and strict order hold for all queues of a worker, on any nodes.

Each lane knows its own queues only. So before one takes, the free slots are spread over the queues of all lanes; a lane
that got none gives way until the others have had their turn. A lane that does not come to its turn, because its node is
slow or lost, is waited for once and then no more until it comes.
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from rota.worker.queues import Subscription

PATIENCE_SECONDS = 0.1


class Claimant(Protocol):
    """A lane's fetcher."""

    def claims(self) -> Iterable[str]:
        """Return the queues that may have tasks."""
        ...


class Precedence:
    """Says whose turn it is, and for how many slots."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._claimants: dict[Claimant, None] = {}
        self._late: set[Claimant] = set()
        self._allotted: dict[str, int] = {}
        self._news: asyncio.Future[None] | None = None

    @property
    def matters(self) -> bool:
        """Whether there are several lanes, and queues that do not all weigh the same."""
        return len(self._claimants) > 1 and self._subscription.ranked

    def join(self, claimant: Claimant) -> None:
        """Take part."""
        self._claimants[claimant] = None

    def tell(self) -> None:
        """Let those who give way look again."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def turn(self, claimant: Claimant, free: int) -> tuple[str, int] | None:
        """Wait for a turn; return the queue and for how many of the free slots. None: it has nothing to take."""
        self._late.discard(claimant)
        while True:
            owners = self._owners(claimant)
            if not owners:
                return None
            if self._allotted.keys().isdisjoint(owners):
                self._allotted = {queue: slots for queue, slots in self._subscription.shares(owners, free) if slots}
            if not self._allotted:
                return None
            for queue, slots in self._allotted.items():
                if owners.get(queue) is claimant:
                    del self._allotted[queue]
                    self.tell()
                    return queue, min(slots, free)
            if not await self._hear():
                self._late.update(owners[queue] for queue in self._allotted if queue in owners)
                self._allotted.clear()

    def _owners(self, asking: Claimant) -> dict[str, Claimant]:
        """The lane of each queue that may have tasks; nothing where the one that asks has none."""
        own = dict.fromkeys(asking.claims(), asking)
        others = [each for each in self._claimants if each is not asking and each not in self._late]
        return {queue: each for each in others for queue in each.claims()} | own if own else {}

    async def _hear(self) -> bool:
        if self._news is None or self._news.done():
            self._news = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait([self._news], timeout=PATIENCE_SECONDS)
        return bool(done)
