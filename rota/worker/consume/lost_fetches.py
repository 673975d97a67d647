"""Fetches whose replies are not known: what they took is active, carries their token, and nobody runs it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rota.core import faults
from rota.core.text import counted
from rota.errors import BrokerError, BrokerRefused
from rota.wire import fetch as wire
from rota.wire.fetch import Reclaimed
from rota.wire.keys import QueueKeys
from rota.worker.clock import lease_clock
from rota.worker.consume.fetch_size import ReplyLimit
from rota.worker.consume.oversized import Oversized, Run

logger = logging.getLogger("rota.worker")

MOST_ATTEMPTS = 3
"""A task may be larger than any reply that the server sends. After this many lost replies its size is looked at."""
Found = Callable[[QueueKeys, str, Reclaimed, float], None]


@dataclass(slots=True)
class LostFetch:
    """A fetch from one queue whose reply was lost, and how often the replies to the search for its tasks were lost."""

    queue: QueueKeys
    token: str
    attempts: int = 0


class LostFetches:
    """Keeps the tokens of such fetches until their tasks are found; `found` gets these, under new `tokens`."""

    def __init__(
        self, lease_seconds: int, tokens: Iterator[str], limit: ReplyLimit, oversized: Oversized, found: Found
    ) -> None:
        self._lease_seconds = lease_seconds
        self._oversized = oversized
        self._tokens = tokens
        self._limit = limit
        self._found = found
        self._fetches: list[LostFetch] = []
        self._reclaiming = asyncio.Lock()

    def add(self, queues: Iterable[QueueKeys], token: str) -> None:
        """Remember a fetch."""
        self._limit.shrink()
        self._fetches += [LostFetch(queue, token) for queue in queues]

    async def reclaim(self, run: Run) -> int:
        """Find what all of them took; return how many tasks were too large and are archived."""
        archived = 0
        # One after the other: who is quieted and then stopped asks twice, and must not start them twice.
        async with self._reclaiming:
            while self._fetches:
                lost = self._fetches[0]
                try:
                    archived += await self._set_aside(lost, run)
                    more = lost in self._fetches and await self._search(lost, run)
                except BrokerRefused as error:
                    # It must not keep the worker from its other queues.
                    self._leave(lost, error)
                else:
                    if not more and lost in self._fetches:
                        self._fetches.remove(lost)
        return archived

    async def _set_aside(self, lost: LostFetch, run: Run) -> int:
        """Archive what is too large for any reply. A fetch that is lost again and again without a reason is left."""
        unexplained = lost.attempts >= MOST_ATTEMPTS
        archived = await self._oversized.set_aside(lost.queue, lost.token, run, unexplained=unexplained)
        if archived:
            for each in self._fetches:  # it explains why their searches were lost
                each.attempts = 0
        elif unexplained:
            self._leave(lost, f"the replies to {counted(lost.attempts, 'search', 'searches')} were lost as well")
        return archived

    async def _search(self, lost: LostFetch, run: Run) -> bool:
        """Take some of its tasks over, under a new token; return whether there are more."""
        faults.reach("fetch:reclaim")
        lease_until, token = lease_clock() + self._lease_seconds, next(self._tokens)
        call = wire.reclaim(
            lost.queue,
            lost.token,
            new_token=token,
            lease_seconds=self._lease_seconds,
            most_bytes=self._limit.bytes,
        )
        try:
            found = await run(call)
            faults.answered("fetch:reclaimed")
        except BrokerError as error:
            if error.maybe_applied and not isinstance(error, BrokerRefused):
                self._limit.shrink()
                lost.attempts += 1
                self._lost_again(lost, token)
            raise
        except BaseException:
            self._lost_again(lost, token)
            raise
        self._found(lost.queue, token, found, lease_until)
        return found.more

    def _lost_again(self, lost: LostFetch, token: str) -> None:
        # The script may have run: then its tasks carry the new token. They come first, as they were found first.
        self._fetches.insert(0, LostFetch(lost.queue, token, lost.attempts))

    def _leave(self, lost: LostFetch, error: object) -> None:
        self._fetches.remove(lost)
        logger.error(
            "Tasks of a lost fetch from queue %s will be redelivered when their leases expire: %s",
            lost.queue.queue,
            error,
        )
