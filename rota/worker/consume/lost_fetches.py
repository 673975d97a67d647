"""Finds the tasks of fetches whose replies were lost.

If the server has run such a fetch, its tasks are active, are leased, and carry the token of the fetch, but no worker
runs them. The steps for each lost fetch, in the order in which they were lost:

1. If several replies with its tasks were lost, or oversized messages are known, archive the tasks that are too large
   for any reply.
2. Take over some of the other tasks under a new token, and start them. The reply is limited in size (`ReplyLimit`).
3. If that reply is lost too, remember the new token as another lost fetch.
4. If that happens `MOST_ATTEMPTS` times without a too large task, leave the tasks until their leases expire.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rota import events
from rota.core import faults
from rota.core.text import counted
from rota.errors import BrokerError, BrokerRefused
from rota.wire import fetch as wire
from rota.wire.fetch import Reclaimed
from rota.wire.keys import QueueKeys
from rota.worker.clock import lease_clock
from rota.worker.consume.fetch_size import ReplyLimit
from rota.worker.consume.oversized import Oversized, Run

MOST_ATTEMPTS = 3
"""After this many lost replies, check whether a task is larger than any reply that the server can deliver."""
Found = Callable[[QueueKeys, str, Reclaimed, float], None]


@dataclass(slots=True)
class LostFetch:
    """A fetch from one queue whose reply was lost; `attempts` counts the lost replies to the search for its tasks."""

    queue: QueueKeys
    token: str
    attempts: int = 0


class LostFetches:
    """Keeps the tokens of lost fetches until their tasks are found. `found` is called with these, under new tokens."""

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
        """Remember a fetch whose reply was lost."""
        self._limit.shrink()
        self._fetches += [LostFetch(queue, token) for queue in queues]

    async def reclaim(self, run: Run) -> int:
        """Find the tasks of all lost fetches; return how many tasks were archived because they are too large."""
        archived = 0
        # A lock, because `quiet` followed by `stop` calls this twice, and each task must be started only once.
        async with self._reclaiming:
            while self._fetches:
                lost = self._fetches[0]
                try:
                    archived += await self._set_aside(lost, run)
                    more = lost in self._fetches and await self._search(lost, run)
                except BrokerRefused as error:
                    # A refusal for one queue must not prevent the worker from serving the others.
                    self._leave(lost, error)
                else:
                    if not more and lost in self._fetches:
                        self._fetches.remove(lost)
        return archived

    async def _set_aside(self, lost: LostFetch, run: Run) -> int:
        """Archive the tasks that are too large for any reply.

        If there are none, and replies were lost `MOST_ATTEMPTS` times, leave the tasks until their leases expire.
        """
        unexplained = lost.attempts >= MOST_ATTEMPTS
        archived = await self._oversized.set_aside(lost.queue, lost.token, run, unexplained=unexplained)
        if archived:
            for each in self._fetches:  # the archived tasks explain why these replies were lost
                each.attempts = 0
        elif unexplained:
            self._leave(lost, f"the replies to {counted(lost.attempts, 'search', 'searches')} were lost as well")
        return archived

    async def _search(self, lost: LostFetch, run: Run) -> bool:
        """Take over some tasks of a lost fetch under a new token; return whether there are more."""
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
        # The script may have run: then some tasks carry the new token. They go first, because they were found first.
        self._fetches.insert(0, LostFetch(lost.queue, token, lost.attempts))

    def _leave(self, lost: LostFetch, error: object) -> None:
        self._fetches.remove(lost)
        events.emit(events.FetchLost(queue=lost.queue.queue, error=error))
