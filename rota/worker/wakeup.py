"""How an idle worker learns of a task without asking all the time. Three ways, the best that the server allows.

tracking  `CLIENT TRACKING ON BCAST` on the worker's own connection: the server says which key changed, whoever
          changed it, a Go client too. It moves nothing and covers delayed tasks and resumed queues. It costs the
          server some microseconds for each change and armed worker, so it is armed only while there is nothing to do.
blmove    `BLMOVE pending pending RIGHT RIGHT`: moves the last element onto itself, so nothing changes, and returns
          when there is one. One connection for each queue, so only for a few queues, and never on a paused one, where
          it would return at once for ever.
poll      asks every second, as Asynq does.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol

from rota.broker.broker import Broker
from rota.broker.failure import WrongType
from rota.broker.link import Link
from rota.errors import BrokerError, BrokerRefused
from rota.wire.keys import Keys, QueueKeys
from rota.worker.backoff import Backoff

logger = logging.getLogger("rota.worker")

# Redis walks through every prefix at every write, so very many queues share one coarse prefix.
MAX_PREFIXES = 400
MAX_BLOCKING_QUEUES = 16
BLOCK_SECONDS = 5
PAUSED_SECONDS = 1.0
PATIENCE = 15.0
WakeUpChoice = Literal["auto", "tracking", "blmove", "poll"]
Notify = Callable[[str | None, bool], None]


class Wakeup(Protocol):
    """`notify(queue, contended)` is called when a queue may have tasks; None means any queue may.

    `contended` is true where the change is one that several workers race for.
    """

    name: str
    covers_all: bool
    armed: bool

    async def arm(self, queues: Iterable[QueueKeys]) -> None:
        """Start to listen. What changed before must be looked for once more after this."""
        ...

    async def disarm(self) -> None:
        """Stop to listen."""
        ...


class TrackingWakeup:
    """Listens through invalidation messages on the connection that also fetches."""

    name = "tracking"
    covers_all = True

    def __init__(self, link: Link, keys: Keys, notify: Notify) -> None:
        self._link = link
        self._keys = keys
        self._notify = notify
        self._words: dict[bytes, tuple[str, bool]] = {}
        self._on = False
        self.armed = False
        link.on_push = self._pushed

    async def arm(self, queues: Iterable[QueueKeys]) -> None:
        """Turn tracking on for the keys of these queues."""
        if self._on:
            await self.disarm()  # the server refuses a prefix that it has already
        self._words = {}
        for queue in queues:
            for key in (queue.pending, queue.scheduled, queue.retry, queue.paused):
                self._words[key.encode()] = (queue.queue, key == queue.pending)
        prefixes = [*self._words, self._keys.queues.encode()]
        if len(prefixes) > MAX_PREFIXES:
            prefixes = [f"{self._keys.prefix}:{{".encode(), self._keys.queues.encode()]
        words = [word for prefix in prefixes for word in ("PREFIX", prefix)]
        await self._link.execute("CLIENT", "TRACKING", "ON", "BCAST", *words)
        self._on = self.armed = True

    async def disarm(self) -> None:
        """Turn tracking off."""
        self._on = self.armed = False
        await self._link.execute("CLIENT", "TRACKING", "OFF")

    def _pushed(self, words: list[Any]) -> None:
        if words[0] != b"invalidate":
            return
        if words[1] is None:  # the whole database was flushed
            self._notify(None, False)
            return
        for key in words[1]:
            known = self._words.get(key)
            if known:
                self._notify(*known)
            elif key == self._keys.queues.encode():
                self._notify(None, False)


class BlockingWakeup:
    """Waits on each queue's list with a connection of its own."""

    name = "blmove"
    covers_all = False

    def __init__(self, broker: Broker, notify: Notify) -> None:
        self._broker = broker
        self._notify = notify
        self._waits: dict[str, asyncio.Task[None]] = {}
        self._links: dict[str, Link] = {}
        self.armed = False

    async def arm(self, queues: Iterable[QueueKeys]) -> None:
        """Block on the first few queues, where no wait is under way; the poll covers the others."""
        self.armed = True
        for queue in list(queues)[:MAX_BLOCKING_QUEUES]:
            wait = self._waits.get(queue.queue)
            if wait is None or wait.done():
                self._waits[queue.queue] = asyncio.create_task(self._wait(queue))

    async def disarm(self) -> None:
        """Give the waits up. Their connections are closed: a blocked one cannot be used for anything else."""
        self.armed = False
        waits, self._waits = self._waits, {}
        for wait in waits.values():
            wait.cancel()
        await asyncio.gather(*waits.values(), return_exceptions=True)
        links, self._links = self._links, {}
        for link in links.values():
            await link.aclose()

    async def _wait(self, queue: QueueKeys) -> None:
        backoff = Backoff()
        while True:
            try:
                if await self._has_tasks(queue):
                    break
                backoff.reset()
            except BrokerError as error:
                await backoff.wait(error, f"Waiting on queue {queue.queue}")
        self.armed = False
        self._notify(queue.queue, True)

    async def _has_tasks(self, queue: QueueKeys) -> bool:
        link = self._links.get(queue.queue)
        if link is None or link.closed:
            link = self._links[queue.queue] = await self._broker.open_link(queue.pending)
        if await link.execute("EXISTS", queue.paused):
            await asyncio.sleep(PAUSED_SECONDS)
            return False
        words = ("BLMOVE", queue.pending, queue.pending, "RIGHT", "RIGHT", BLOCK_SECONDS)
        return bool(await link.execute(*words, patience_seconds=PATIENCE))


class PollingWakeup:
    """Listens to nothing: the fetcher's own clock does the work."""

    name = "poll"
    covers_all = False

    def __init__(self) -> None:
        self.armed = False

    async def arm(self, queues: Iterable[QueueKeys]) -> None:
        """Nothing to start."""
        self.armed = True

    async def disarm(self) -> None:
        """Nothing to stop."""
        self.armed = False


async def choose(wanted: WakeUpChoice, broker: Broker, link: Link, queues: list[QueueKeys], notify: Notify) -> Wakeup:
    """Find out by trying which way this server and user allow, or take the one that was asked for."""
    if wanted in ("auto", "tracking"):
        tracking = TrackingWakeup(link, broker.keys, notify)
        try:
            await tracking.arm(queues)
            await tracking.disarm()
        except BrokerRefused as error:
            if wanted == "tracking":
                raise
            logger.warning("Waking up by tracking is refused (%s); waiting with BLMOVE instead.", error)
        else:
            return tracking
    if wanted in ("auto", "blmove"):
        try:
            await _try_blocking(broker, queues)
        except BrokerRefused as error:
            if wanted == "blmove":
                raise
            logger.warning("Waiting with BLMOVE is refused too (%s); asking every second instead.", error)
        else:
            return BlockingWakeup(broker, notify)
    return PollingWakeup()


async def _try_blocking(broker: Broker, queues: list[QueueKeys]) -> None:
    for queue in queues[:1]:
        probe = await broker.open_link(queue.pending)
        try:
            await probe.execute("BLMOVE", queue.pending, queue.pending, "RIGHT", "RIGHT", 0.01)
        except WrongType:
            pass  # a broken key says nothing against this way
        finally:
            await probe.aclose()
