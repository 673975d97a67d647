"""The buffered tasks of one queue, sent in their order by one sender."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from rota.broker.broker import Broker
from rota.broker.patience import pause_seconds
from rota.client.packing import refusal
from rota.client.parcel import Parcel
from rota.client.published import Published
from rota.client.sender import Sender
from rota.errors import BrokerRefused, BrokerUnavailable, RotaError
from rota.wire.enqueue import Reply, enqueue
from rota.wire.keys import QueueKeys
from rota.wire.script import Call

MOST = 500
MEMORY_SECONDS = 86_400
"""A buffer waits longer for its broker than anybody else."""

logger = logging.getLogger(__name__)


class Lane:
    """Sends one request after the other; what comes meanwhile makes the next one, so nobody waits for company.

    A request whose reply was lost is sent again as it was, and the server knows it. `is_blocked` while nothing gets
    through: then new tasks are buffered at once.
    """

    def __init__(self, keys: QueueKeys, broker: Broker, published: Published, on_settled: Callable[[], None]) -> None:
        self._keys = keys
        self._broker = broker
        self._published = published
        self._on_settled = on_settled
        self._sender = Sender(keys, MEMORY_SECONDS)
        self._waiting: deque[Parcel] = deque()
        self._on_the_way: list[Parcel] = []
        self._sending: asyncio.Task[None] | None = None
        self.is_blocked = False

    @property
    def parcels(self) -> list[Parcel]:
        """What the server has not answered for, the oldest first."""
        return [*self._on_the_way, *self._waiting]

    def add(self, parcel: Parcel) -> None:
        """Take a parcel over."""
        self._waiting.append(parcel)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    def block(self) -> None:
        """Let everyone go who waits: the server does not answer."""
        if not self.is_blocked:
            logger.warning("Tasks for queue %r are buffered: the broker does not answer.", self._keys.queue)
        self.is_blocked = True
        for parcel in self.parcels:
            parcel.release()

    async def stop(self) -> None:
        """Send no more."""
        if self._sending is not None and not self._sending.done():
            self._sending.cancel()
            await asyncio.wait([self._sending])

    async def _send(self) -> None:
        while self._waiting:
            parcels = self._on_the_way = self._next()
            call = self._call(parcels)
            failures = 0
            while not await self._attempt(call):
                failures += 1
                self.block()
                await asyncio.sleep(pause_seconds(failures))
            if self.is_blocked:
                logger.info("The broker is back; the buffered tasks for queue %r are sent.", self._keys.queue)
            self.is_blocked = False

    def _next(self) -> list[Parcel]:
        # A debounced call goes alone: it has a script of its own.
        parcels = [self._waiting.popleft()]
        while self._waiting and len(parcels) < MOST and parcels[0].call is None and self._waiting[0].call is None:
            parcels.append(self._waiting.popleft())
        return parcels

    def _call(self, parcels: Sequence[Parcel]) -> Call[list[Reply]]:
        debounced = parcels[0].call
        if debounced is not None:
            alone = Call(debounced.script, debounced.keys, debounced.args, lambda raw: [debounced.decode(raw)])
            return self._sender.once(alone)
        return self._sender.once(enqueue(self._keys, [parcel.item() for parcel in parcels]))

    async def _attempt(self, call: Call[list[Reply]]) -> bool:
        """Return whether this request is done with."""
        try:
            if self._published.is_due(self._keys.queue):
                names = self._broker.keys.queues
                await self._broker.execute("SADD", names, self._keys.queue, key=names)
                self._published.note(self._keys.queue)
            replies = await self._broker.run(call)
        except BrokerUnavailable:
            return False
        except BrokerRefused as error:
            return self._refused(error)
        except Exception:
            # Nobody awaits this; a sender that died of a surprise would leave its queue in the buffer for ever.
            logger.exception("Sending buffered tasks for queue %r failed; it is tried again.", self._keys.queue)
            return False
        for parcel, reply in zip(self._on_the_way, replies, strict=True):
            self._settle(parcel, refusal(parcel.plan, self._keys.queue, reply) or reply)
        self._on_the_way = []
        return True

    def _refused(self, error: BrokerRefused) -> bool:
        # Nothing was carried out. Who still waits is told; what was accepted may get through once the server is set
        # right (a password, a permission), so it is kept, and sent under a number of its own.
        kept = [parcel for parcel in self._on_the_way if parcel.is_accepted]
        for parcel in self._on_the_way:
            if not parcel.is_accepted:
                self._settle(parcel, error)
        if len(kept) < len(self._on_the_way):
            self._on_the_way = []
            self._waiting.extendleft(reversed(kept))
            return True
        logger.error("%d buffered tasks for queue %r cannot be sent: %s", len(kept), self._keys.queue, error)
        return False

    def _settle(self, parcel: Parcel, outcome: Reply | RotaError) -> None:
        if isinstance(outcome, RotaError) and parcel.is_accepted:
            logger.error("A buffered task was refused: %s", outcome)
        parcel.settle(outcome)
        self._on_settled()
