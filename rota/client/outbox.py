"""The buffer of a client: it accepts tasks while the broker is away, and sends them when it is back.

It lives in the memory of this program and is lost with it.
"""

import asyncio
import logging
from datetime import timedelta
from typing import Any

from rota.broker.broker import Broker
from rota.client.delivery import Delivery
from rota.client.lane import Lane
from rota.client.packing import Packer
from rota.client.parcel import Parcel
from rota.client.published import Published
from rota.enqueued import Plan
from rota.errors import BufferFull, EnqueueError

logger = logging.getLogger(__name__)

_NAMED = 10


class Outbox:
    """At most `buffer_max` tasks. All enqueues of the client go through it, so each queue keeps its order."""

    def __init__(self, broker: Broker, packer: Packer, published: Published, delivery: Delivery) -> None:
        # The lanes have a patience of their own.
        self._broker = broker.within(timedelta(0))
        self._patience_seconds = broker.options.retry_for.total_seconds()
        self._packer = packer
        self._published = published
        self._size = delivery.buffer_max
        self._room = asyncio.Semaphore(delivery.buffer_max)
        self._held = 0
        self._settlements = 0
        self._lanes: dict[str, Lane] = {}
        self._changed = asyncio.Event()
        self._is_closed = False

    def __len__(self) -> int:
        return self._held

    async def post(self, plan: Plan[Any]) -> Parcel:
        """Accept a plan. Returns when the server has it, or when it is clear that it does not answer now.

        Raises `BufferFull` before anything is accepted, or what the server said against the task.
        """
        parcel = Parcel(plan, self._packer, asyncio.get_running_loop())
        lane = self._lane(parcel)
        await self._find_room(plan, lane)
        if self._is_closed:
            raise EnqueueError(f"The task {plan.type} was not accepted: the client is closed. Make a new one.")
        self._held += 1
        lane.add(parcel)
        if lane.is_blocked:
            parcel.release()
        elif not await self._leaves(parcel):
            lane.block()
        if isinstance(parcel.outcome, Exception):
            raise parcel.outcome
        return parcel

    async def flush(self, timeout: timedelta) -> bool:  # noqa: ASYNC109
        """Wait until everything was sent. Returns False when the time is over first."""
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                while len(self):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def aclose(self, timeout: timedelta) -> list[Plan[Any]]:  # noqa: ASYNC109
        """Accept no more, send what can be sent in this time, and return what could not be."""
        self._is_closed = True
        await self.flush(timeout)
        lost: list[Parcel] = []
        for lane in self._lanes.values():
            await lane.stop()
            lost += lane.parcels
        if lost:
            self._give_up(lost)
        return [parcel.plan for parcel in lost]

    def _give_up(self, lost: list[Parcel]) -> None:
        ids = ", ".join(f"{parcel.plan.type} {parcel.id}" for parcel in lost[:_NAMED])
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        logger.error("%d buffered tasks were not sent before the client was closed: %s%s", len(lost), ids, more)
        for parcel in lost:
            parcel.settle(
                EnqueueError(
                    f"The buffered task {parcel.plan.type} {parcel.id} was not sent: the client was closed while the "
                    "broker was away. If its last sending was cut off, the broker may have it all the same."
                )
            )

    def _lane(self, parcel: Parcel) -> Lane:
        queue = parcel.keys.queue
        lane = self._lanes.get(queue)
        if lane is None:
            lane = self._lanes[queue] = Lane(parcel.keys, self._broker, self._published, self._settled)
        return lane

    def _settled(self) -> None:
        self._held -= 1
        self._settlements += 1
        self._room.release()
        self._changed.set()

    async def _find_room(self, plan: Plan[Any], lane: Lane) -> None:
        # With a broker that answers, a full buffer is only a fast producer: there will be room in a moment.
        while not (self._room.locked() and lane.is_blocked):
            before = self._settlements
            try:
                async with asyncio.timeout(self._patience_seconds):
                    await self._room.acquire()
            except TimeoutError:
                if self._settlements == before:
                    break
            else:
                return
        raise BufferFull(
            f"The task {plan.type} was not accepted: the broker is away, and the buffer is full with {self._size} "
            "tasks (buffer_max). Try again later, or shed load."
        )

    async def _leaves(self, parcel: Parcel) -> bool:
        try:
            async with asyncio.timeout(self._patience_seconds):
                await asyncio.shield(parcel.left)
        except TimeoutError:
            return False
        return True
