"""The fetcher: takes tasks for the free slots, many in one call, and decides when to fetch again.

One fetcher serves the queues of one node over one connection of its own; in a Cluster a worker has several fetchers.
The steps of a round:

1. Wait for free slots.
2. Divide the slots among the queues that may have tasks (`ready_queues`).
3. Fetch tasks from these queues, and start them.
4. If no queue may have tasks: arm the wake-up and fetch from all queues once more, because a task that came between
   the last fetch and the arming would be missed. Then wait until a key changes, a task is due, or it is time for the
   slow poll.

The first connect and a reconnect are the same code. When the connection closes, every wait ends, so that an idle or
busy worker reconnects before it needs the connection.

A fetch whose reply is lost may have taken tasks; see `lost_fetches`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from rota import events
from rota.broker.broker import Broker
from rota.broker.link import Link
from rota.core import faults
from rota.errors import BrokerError, BrokerRefused, BrokerUnavailable
from rota.wire import fetch as wire
from rota.wire.fetch import Fetched, Notes, QueueBatch
from rota.wire.keys import QueueKeys
from rota.wire.names import text
from rota.wire.script import MOST_FETCHED
from rota.worker.clock import BrokerClock, lease_clock
from rota.worker.consume.idle_strategy import FetchStatistics, IdleStrategy, ReadyQueues
from rota.worker.consume.lost_fetches import LostFetches, Oversized, ReplyLimit
from rota.worker.consume.queue_selection import FetchRules
from rota.worker.consume.wakeup import Wakeup, WakeUpChoice, choose
from rota.worker.run.attempt import Attempt
from rota.worker.run.concurrency import Slots
from rota.worker.ticker import Backoff

LAST_REPLY_SECONDS, LAST_LOOK_SECONDS = 5.0, 3.0
"""How long a stop waits for the reply under way, and then searches for the tasks of lost replies. Without these limits
a silent server delays a stop by one response time-out after the other, until the supervisor kills the process."""
LAST_OUTCOMES_SECONDS = 1.0
"""How long a connection that is given up waits for the replies to the outcomes that were sent on it."""
LOOK_AGAIN_SECONDS = 5.0
"""How long a broken queue is left alone: one of its keys has a Redis type that Asynq's keys do not have."""
MOST_BACKOFF_SECONDS = 2.0
"""The longest pause between two attempts to connect. It is short so that the worker is back soon after the server."""

Start = Callable[[Attempt, Notes | None], None]


class ConnectionClosed(BrokerUnavailable):
    """The fetch connection was closed while no request was under way."""


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """How a fetcher asks: the lease of the tasks it takes, the size of its requests, and how it waits while idle."""

    lease_seconds: int
    slow_poll_seconds: float
    batch: int
    wake_up: WakeUpChoice = "auto"
    queues_per_call: int = wire.MAX_QUEUES


class Fetcher:
    """Takes tasks from the queues of one node."""

    def __init__(
        self,
        broker: Broker,
        slots: Slots,
        clock: BrokerClock,
        start: Start,
        *,
        tokens: Iterator[str],
        options: FetchOptions,
        rules: FetchRules,
    ) -> None:
        self._broker = broker
        self._subscription = rules.selection
        self._slots = slots
        self._clock = clock
        self._start = start
        self._tokens = tokens
        self._options = options
        self._rules = rules
        self.link: Link | None = None
        """The connection in use. Outcomes are recorded on it too."""
        self._wakeup: Wakeup | None = None
        self._ready_queues = ReadyQueues(clock)
        self._broken: dict[str, str] = {}
        self._reply_limit = ReplyLimit()
        self._lost_fetches = LostFetches(
            options.lease_seconds, tokens, self._reply_limit, Oversized(broker), self._start_found
        )
        self._stopping = False
        self._taking = False
        self.statistics = FetchStatistics()
        self._idle_strategy = IdleStrategy(
            self._ready_queues,
            self.queues,
            options.slow_poll_seconds,
            broker.options.silence_seconds,
            self.statistics,
        )

    def queues(self) -> list[QueueKeys]:
        """Return the queues this fetcher serves now."""
        return [self._broker.keys.queue(name) for name in self._subscription.queues if self._rules.serves(name)]

    def note(self, queue: str | None, contended: bool = False) -> None:
        """Note that a queue may have tasks. None means that any queue may have some, also one that is new."""
        if contended:
            self._idle_strategy.herd_backoff.racing = True
        if queue is None:
            self._rules.queues_may_be_new()
            self._idle_strategy.look_everywhere()
        elif self._rules.serves(queue):
            self._ready_queues.add((queue,))

    def note_due_in(self, queue: str, seconds: float) -> None:
        """Note that a task which this worker has put off is due in `seconds`. A busy worker gets no notification."""
        self._ready_queues.add_due(queue, self._clock.now() + seconds)

    def queues_changed(self) -> None:
        """Note that queues were added or removed."""
        self._idle_strategy.queues_changed()

    async def stop(self, task: "asyncio.Task[None]") -> None:
        """End `run`, which runs as `task`: wait for a reply that is under way, and find the tasks of lost replies."""
        self._stopping = True
        if self._taking:  # otherwise `run` waits for a task or a slot, which may take hours
            await asyncio.wait([task], timeout=LAST_REPLY_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        try:
            async with asyncio.timeout(LAST_LOOK_SECONDS):
                await self._lost_fetches.reclaim(self._broker.run)
        except (BrokerError, TimeoutError):
            events.emit(events.LastFetchLost())

    async def run(self) -> None:
        """Fetch until cancelled, through any number of broken connections."""
        backoff = Backoff(most_seconds=MOST_BACKOFF_SECONDS)
        while not self._stopping:
            try:
                link, wakeup = await self._connect(backoff)
                await self._session(link, wakeup, backoff)
            except ConnectionClosed as closed:
                self.statistics.reconnects += 1
                # No request was under way, so nothing was lost: the server may have restarted, or closed an idle
                # connection. The first time, that is not logged as an error.
                await backoff.wait(closed, "Listening for tasks", level=logging.INFO)
            except BrokerError as error:
                self.statistics.reconnects += 1
                await backoff.wait(error, "Fetching")
            finally:
                await self._hang_up()

    async def _connect(self, backoff: Backoff) -> tuple[Link, Wakeup]:
        queues = self.queues()
        # All these queues are on one node, so any key finds it. A pattern that matches no queue yet is notified of new
        # queues by the node with the list of all queues.
        link = self.link = await self._broker.open_link(queues[0].pending if queues else self._broker.keys.queues)
        link.on_close = self._lost
        wakeup = self._wakeup = await choose(self._options.wake_up, self._broker, link, queues, self.note)
        self.statistics.wakeup = wakeup.name
        if await self._lost_fetches.reclaim(partial(self._broker.run_via, link)):
            backoff.explain()
        self.note(None)  # no notification came while there was no connection
        return link, wakeup

    def _lost(self) -> None:
        """End the current wait because the connection was closed, so that `_session` notices it."""
        self._ready_queues.wake()
        self._slots.wake()

    async def _hang_up(self) -> None:
        self._wakeup = None
        link, self.link = self.link, None  # from now on the finisher uses the broker's connection
        if link is not None:
            await link.finish(LAST_OUTCOMES_SECONDS)

    async def _session(self, link: Link, wakeup: Wakeup, backoff: Backoff) -> None:
        """Make rounds on one connection until it closes."""
        while not self._stopping:
            if link.closed:
                raise ConnectionClosed(f"The connection to {link.endpoint} was closed ({link.reason}).")
            if self._slots.free <= 0:
                await self._wait_for_slot(link, wakeup)
            free = min(self._slots.free, self._slots.wave, self._options.batch, MOST_FETCHED)
            if free <= 0:  # the wait ended because the connection was closed, or the fetcher of another node was faster
                continue
            if not (wakeup.armed and wakeup.notifies):
                self._idle_strategy.sweep_if_due()
            ready = self._ready_queues.queues
            shares = self._subscription.shares(ready, free) if ready else []
            if shares:
                taken = await self._take(link, shares[: self._options.queues_per_call], free)  # the rest stays ready
                await self._idle_strategy.judge(wakeup, taken, full=taken == free)
            else:
                ready.clear()  # of queues that were removed: they would end each sleep at once, and block the loop
                await self._idle_strategy.idle(wakeup)
            if backoff.succeeded_at is None:  # `reset` checks this too, but most rounds are spared the call
                backoff.reset()

    async def _wait_for_slot(self, link: Link, wakeup: Wakeup) -> None:
        if not await self._slots.free_within(0.1):
            # No slot is free for some time. Unsubscribe, because notifications would cost the server time for nothing.
            if wakeup.armed:
                await wakeup.disarm()
            await self._slots.wait(unless=lambda: link.closed)

    async def _take(self, link: Link, shares: list[tuple[str, int]], free: int) -> int:
        queues = [(self._broker.keys.queue(name), share) for name, share in shares]
        token = next(self._tokens)
        # Before the request, because the server starts the leases long before a delayed reply is read.
        lease_until = lease_clock() + self._options.lease_seconds
        self._slots.take(free)  # before the request, because the fetchers of all nodes share the slots
        self._ready_queues.take_off(dict(shares))  # before the request: see the text of `idle_strategy`
        self._taking = True
        used = 0
        try:
            faults.reach("fetch:send")
            call = wire.fetch(
                queues,
                token=token,
                wanted=free,
                lease_seconds=self._options.lease_seconds,
                last_chance=self._rules.last_chance(),
                spared=self._rules.spared(),
                most_bytes=self._reply_limit.bytes,
            )
            fetched = await self._broker.run_via(link, call)
            faults.answered("fetch:answered")
            self.statistics.last_success_at = time.monotonic()
            used = self._receive(fetched, queues, token, lease_until)
            self.statistics.rounds += 1
            self.statistics.taken += used
            self.statistics.empty_rounds += not used
        except BrokerError as error:
            # Redis does not roll back a script that fails half-way, so it may have taken some tasks.
            if error.maybe_applied or isinstance(error, BrokerRefused):
                self._lost_fetches.add([queue for queue, _ in queues], token)
            raise
        except asyncio.CancelledError:
            self._lost_fetches.add([queue for queue, _ in queues], token)
            link.close("its fetch was cancelled")  # else the server might carry out the fetch later
            raise
        finally:
            self._taking = False
            self._slots.give_back(free - used)
        return used

    def _receive(self, fetched: Fetched, queues: list[tuple[QueueKeys, int]], token: str, lease_until: float) -> int:
        self._clock.set(fetched.now)
        taken = 0
        for (queue, _), batch in zip(queues, fetched.batches, strict=True):
            self._follow_up(queue, batch)
            if batch.tasks:
                taken += self._start_all(queue, token, batch.tasks, batch.notes, lease_until, batch.waits)
        return taken

    def _follow_up(self, queue: QueueKeys, batch: QueueBatch) -> None:
        name = queue.queue
        if batch.broken != self._broken.get(name, ""):
            self._note_broken(name, batch.broken)
        if batch.broken:
            self._ready_queues.add_due(name, self._clock.now() + LOOK_AGAIN_SECONDS)
        if batch.state == wire.STAYING:  # not ready: its `next_due` is when its first task no longer has to stay
            self._idle_strategy.staying.add(name)
        else:
            self._idle_strategy.staying.discard(name)
        if batch.state == wire.MORE:
            self._ready_queues.add((name,))
        if batch.next_due is not None:
            self._ready_queues.add_due(name, batch.next_due)
        if batch.dangling:
            self.statistics.dangling += len(batch.dangling)
            events.emit(events.DanglingTasksDropped(queue=name, task_ids=batch.dangling))

    def _start_all(
        self,
        queue: QueueKeys,
        token: str,
        tasks: list[bytes],
        notes: dict[int, Notes],
        lease_until: float,
        waits: Sequence[int] = (),
    ) -> int:
        start = self._start
        for index in range(0, len(tasks), 2):
            waited_us = waits[index >> 1] if waits else -1
            attempt = Attempt(queue, token, text(tasks[index]), tasks[index + 1], lease_until, waited_us)
            start(attempt, notes.get(index >> 1) if notes else None)
        return len(tasks) >> 1

    def _note_broken(self, queue: str, key: str) -> None:
        """Log once that a queue is broken, and once that it is served again. `key` is the broken key; "" for none."""
        if key:
            self._broken[queue] = key
            events.emit(events.QueueNotServed(queue=queue, key=key))
        else:
            del self._broken[queue]
            events.emit(events.QueueServedAgain(queue=queue))

    def _start_found(self, queue: QueueKeys, token: str, found: wire.Reclaimed, lease_until: float) -> None:
        if count := len(found.tasks) // 2:
            events.emit(events.FetchFound(queue=queue.queue, tasks=count))
            self._slots.take(count)  # also if fewer are free, because these tasks are leased to this worker already
            self._start_all(queue, token, found.tasks, found.notes, lease_until)
