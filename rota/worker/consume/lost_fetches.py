"""Finds the tasks of fetches whose replies were lost.

If the server has run such a fetch, its tasks are active, are leased, and carry the token of the fetch, but no worker
runs them. The steps for each lost fetch, in the order in which they were lost:

1. If several replies with its tasks were lost, or oversized messages are known, archive the tasks that are too large
   for any reply.
2. Take over some of the other tasks under a new token, and start them. The reply is limited in size (`ReplyLimit`).
3. If that reply is lost too, remember the new token as another lost fetch.
4. If that happens `MOST_ATTEMPTS` times without a too large task, leave the tasks until their leases expire.

A server that limits the output buffer of its clients (`client-output-buffer-limit normal 8mb 8mb 0`) closes the
connection instead of sending a larger reply. The worker cannot distinguish that from a broken network. So it lowers the
limit of its replies after every lost reply, and raises it again slowly (`ReplyLimit`).

A single message may be larger than any reply that such a server delivers. Its task would be fetched, lost and
redelivered for ever, and would cost the worker its connection each time. It goes to the archive instead, in quarantine,
and can be run again once the limit is raised (`Oversized`). A lost reply alone proves nothing. So before a task is
archived, the worker asks the server on a connection of its own for a reply of the same size. The message is too large
if that connection is closed, and a small reply arrives afterwards.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from rota import events
from rota.broker.broker import Broker
from rota.core import faults
from rota.core.text import counted
from rota.errors import BrokerError, BrokerRefused, BrokerUnavailable
from rota.wire import fetch as wire
from rota.wire.fetch import MAX_BYTES, Reclaimed
from rota.wire.keys import QueueKeys
from rota.wire.script import Call
from rota.worker.clock import lease_clock

LEAST_BYTES = 64 * 1024
"""The limit is never lower, so that a network that loses many replies does not reduce each fetch to one task. A smaller
message is never archived as too large."""
FACTOR = 4
AGAIN_SECONDS = 60.0
"""How long a lowered limit stays. Without this pause, a limit that was too large would be tried again at once."""


class ReplyLimit:
    """How many bytes of messages the next reply may contain."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bytes = MAX_BYTES
        self._changed_at = 0.0

    @property
    def bytes(self) -> int:
        """The current limit."""
        if self._bytes < MAX_BYTES and self._clock() - self._changed_at >= AGAIN_SECONDS:
            self._bytes = min(MAX_BYTES, self._bytes * FACTOR)
            self._changed_at = self._clock()  # only one step, because a step too far costs a connection
        return self._bytes

    @property
    def lowered(self) -> bool:
        """Whether a reply was lost in the last minutes, so that the limit is below its maximum."""
        return self.bytes < MAX_BYTES

    def shrink(self) -> None:
        """Lower the limit because a reply was lost."""
        self._bytes = max(LEAST_BYTES, self._bytes // FACTOR)
        self._changed_at = self._clock()


TOO_LARGE = (
    "quarantined: too large to be delivered. Its message has {size}, and the server closes a connection that such a "
    "reply is written to, probably by its client-output-buffer-limit. Raise that limit, then run the task again; or "
    "lower `payload_limit_bytes` for producers, so that they refuse such payloads"
)

T = TypeVar("T")


class Run(Protocol):
    """Runs one script."""

    def __call__(self, call: Call[T], /) -> Awaitable[T]: ...  # noqa: D102


class Oversized:
    """Finds and archives the tasks of a lost fetch that are too large.

    The sizes are looked at after several lost replies with the same tasks. For a minute after a task was too large, one
    lost reply is enough.
    """

    def __init__(self, broker: Broker, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._expected_until = 0.0

    async def set_aside(self, queue: QueueKeys, token: str, run: Run, *, unexplained: bool) -> int:
        """Archive the tasks of a lost fetch that are too large; return how many.

        `unexplained` says that several replies with the tasks of this fetch were lost, without a known reason.
        """
        if not unexplained and self._clock() >= self._expected_until:
            return 0
        sizes = await run(wire.lost_sizes(queue, token))
        least = await self._least_undelivered(queue, {size for size in sizes.values() if size >= LEAST_BYTES})
        if least is None:
            return 0
        self._expected_until = self._clock() + AGAIN_SECONDS
        for task_id, size in sizes.items():
            if size >= least:
                # Logged before, because the reply may be lost, and no client can read this task.
                text = TOO_LARGE.replace("{size}", f"{size / 2**20:.1f} MB")
                events.emit(events.TaskTooLarge(task_id=task_id, queue=queue.queue, reason=text))
        archived = await run(wire.set_aside(queue, token, least_bytes=least, error=TOO_LARGE))
        return len(archived)

    async def _least_undelivered(self, queue: QueueKeys, sizes: set[int]) -> int | None:
        """Return the smallest of these sizes of which no reply arrives; None if all arrive."""
        least = None
        for size in sorted(sizes, reverse=True):
            if await self._arrives(queue, size) or not await self._arrives(queue, 1):
                break
            least = size
        return least

    async def _arrives(self, queue: QueueKeys, size: int) -> bool:
        """Whether a reply of this size arrives, on a new connection: the server may close it."""
        link = None
        try:
            link = await self._broker.open_link(queue.pending)
            await self._broker.run_via(link, wire.reply_of_size(queue, size))
        except BrokerRefused:
            return True  # short of memory, for example: then nothing is known
        except BrokerUnavailable:
            return False
        finally:
            if link is not None:
                await link.aclose()
        return True


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
                    more = lost in self._fetches and await self._search(lost, run)  # else `_set_aside` gave it up
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
            if error.maybe_applied and not isinstance(error, BrokerRefused):  # `reclaim` gives up after a refusal
                self._limit.shrink()
                lost.attempts += 1
                self._lost_again(lost, token)
            raise
        except BaseException:  # cancelled by the time limit of `Fetcher.stop`, which is called again after a `quiet`
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
