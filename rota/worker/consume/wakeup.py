"""How an idle worker learns of a task: by notifications from the server, or by polling if the server refuses them.

tracking  `CLIENT TRACKING ON BCAST` on the connection that also fetches: the server sends the name of each changed key,
          also when a Go client changed it. Notifications also come for scheduled tasks and resumed queues. They cost
          the server a few microseconds for each change and listening worker, so tracking is on only while the worker
          is idle.
poll      the fetcher fetches 50 ms after the last task, then less often, down to once a second.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol

from rota import events
from rota.broker.broker import Broker
from rota.broker.link import Link
from rota.errors import BrokerRefused
from rota.wire.keys import Keys, QueueKeys

# Redis compares the key of every write with every prefix. So above this number, all queues share one short prefix.
MAX_PREFIXES = 400
WakeUpChoice = Literal["auto", "tracking", "poll"]
Notify = Callable[[str | None, bool], None]


class Wakeup(Protocol):
    """A way to learn of new tasks.

    `notify(queue, contended)` is called when a queue may have tasks; None means that any queue may have some.
    `contended` is true if several workers probably fetch at the same time.
    """

    name: str
    notifies: bool
    """Whether the server sends notifications. Without them the fetcher polls."""
    armed: bool

    async def arm(self, queues: Iterable[QueueKeys]) -> None:
        """Start to listen. After this the fetcher must fetch once more, because earlier changes are not notified."""
        ...

    async def disarm(self) -> None:
        """Stop listening."""
        ...

    async def check(self) -> bool:
        """Ask the server whether it still sends notifications. Raises BrokerError if the server does not answer."""
        ...


class TrackingWakeup:
    """Listens through invalidation messages on the connection that also fetches."""

    name = "tracking"
    notifies = True

    def __init__(self, link: Link, keys: Keys, notify: Notify) -> None:
        self._link = link
        self._keys = keys
        self._notify = notify
        self._words: dict[bytes, tuple[str, bool]] = {}
        self._may_check = True
        self._on = False
        self.armed = False
        link.on_push = self._pushed

    async def arm(self, queues: Iterable[QueueKeys]) -> None:
        """Turn tracking on for the keys of these queues."""
        if self._on:
            await self.disarm()  # the server refuses a prefix that is already tracked
        self._words = {}
        for queue in queues:
            for key in (queue.pending, queue.scheduled, queue.retry, queue.paused):
                # After a change of the other keys a fetch usually finds only a due time, so it has not lost a race.
                self._words[key.encode()] = (queue.queue, key == queue.pending)
        prefixes = [*self._words, self._keys.queues.encode()]
        if len(prefixes) > MAX_PREFIXES:
            prefixes = [f"{self._keys.prefix}:{{".encode(), self._keys.queues.encode()]
        words = [word for prefix in prefixes for word in ("PREFIX", prefix)]
        await self._link.execute("CLIENT", "TRACKING", "ON", "BCAST", *words)
        self._on = self.armed = True

    async def disarm(self) -> None:
        """Turn tracking off."""
        self._on = self.armed = False  # before the request, so that after an error no wait relies on notifications
        await self._link.execute("CLIENT", "TRACKING", "OFF")

    async def check(self) -> bool:
        """Ask whether tracking is still on. Any reply also shows that the connection works."""
        if not self._may_check:
            await self._link.execute("PING")
            return True
        try:
            info = await self._link.execute("CLIENT", "TRACKINGINFO")
        except BrokerRefused:  # a reply too, so the connection works
            self._may_check = False  # not sent again on this connection, because each refusal fills the ACL log
            return True
        if b"bcast" in info[b"flags"]:
            return True
        events.emit(events.TrackingTurnedOff(endpoint=str(self._link.endpoint)))
        self._on = self.armed = False
        return False

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


class PollingWakeup:
    """Does not listen: the fetcher polls at times of its own."""

    name = "poll"
    notifies = False

    def __init__(self) -> None:
        self.armed = False

    async def arm(self, queues: Iterable[QueueKeys]) -> None:
        """Mark as armed; there is nothing to start."""
        self.armed = True

    async def disarm(self) -> None:
        """Mark as not armed; there is nothing to stop."""
        self.armed = False

    async def check(self) -> bool:
        """Return True without a request, because each poll shows whether the server answers."""
        return True


async def choose(wanted: WakeUpChoice, broker: Broker, link: Link, queues: list[QueueKeys], notify: Notify) -> Wakeup:
    """Return the wanted wake-up; for `auto` try whether the server and the user's permissions allow tracking."""
    if wanted == "poll":
        return PollingWakeup()
    tracking = TrackingWakeup(link, broker.keys, notify)
    try:
        await tracking.arm(queues)
        await tracking.disarm()  # it costs the server time while the worker is busy, so the idle strategy arms it
    except BrokerRefused as error:
        if wanted == "tracking":
            raise
        events.emit(events.TrackingRefused(error=error))
        return PollingWakeup()
    return tracking
