"""Fetches whose replies are not known: what they took is active, carries their token, and nobody runs it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

from rota import faults
from rota.errors import BrokerRefused
from rota.wire import fetch as wire
from rota.wire.fetch import Reclaimed
from rota.wire.keys import QueueKeys
from rota.wire.script import Call
from rota.worker.clock import lease_clock
from rota.worker.reply_limit import ReplyLimit

logger = logging.getLogger("rota.worker")

MOST_ATTEMPTS = 5
"""A task may be larger than any reply that the server sends. After this many lost replies only its lease is left."""
Run = Callable[[Call[Reclaimed]], Awaitable[Reclaimed]]
Found = Callable[[QueueKeys, str, Reclaimed, float], None]


@dataclass(slots=True)
class LostFetch:
    """A fetch from one queue whose reply was lost, and how often the replies to the search for its tasks were lost."""

    queue: QueueKeys
    token: str
    attempts: int = 0


class Unanswered:
    """Keeps the tokens of such fetches until their tasks are found; `found` gets these, under new `tokens`."""

    def __init__(self, lease_seconds: int, tokens: Iterator[str], limit: ReplyLimit, found: Found) -> None:
        self._lease_seconds = lease_seconds
        self._tokens = tokens
        self._limit = limit
        self._found = found
        self._fetches: list[LostFetch] = []
        self._reclaiming = asyncio.Lock()

    def add(self, queues: Iterable[QueueKeys], token: str) -> None:
        """Remember a fetch."""
        self._limit.shrink()
        self._fetches += [LostFetch(queue, token) for queue in queues]

    async def reclaim(self, run: Run) -> None:
        """Find what all of them took."""
        # One after the other: who is quieted and then stopped asks twice, and must not start them twice.
        async with self._reclaiming:
            while self._fetches:
                lost = self._fetches[0]
                try:
                    more = await self._search(lost, run)
                except BrokerRefused as error:
                    # It must not keep the worker from its other queues.
                    self._leave(lost, error)
                else:
                    if not more:
                        self._fetches.pop(0)

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
        except BaseException as error:
            if not isinstance(error, BrokerRefused) and getattr(error, "maybe_applied", True):
                self._lost_again(lost, token, error)
            raise
        self._found(lost.queue, token, found, lease_until)
        return found.more

    def _lost_again(self, lost: LostFetch, token: str, error: BaseException) -> None:
        self._limit.shrink()
        lost.attempts += 1
        if lost.attempts >= MOST_ATTEMPTS:
            self._leave(lost, error)
        else:
            # The script may have run: then its tasks carry the new token. They come first, as they were found first.
            self._fetches.insert(0, LostFetch(lost.queue, token, lost.attempts))

    def _leave(self, lost: LostFetch, error: BaseException) -> None:
        self._fetches.remove(lost)
        logger.error(
            "Tasks of a lost fetch from queue %s will be redelivered when their leases expire: %s",
            lost.queue.queue,
            error,
        )
