"""The inbox of the leader: the orders that it has read and not carried out, and its answers that are not sent."""

import asyncio
import time
from datetime import timedelta

from rota.broker.broker import Broker
from rota.scheduler.memory import MOST_ORDER_IDS
from rota.scheduler.orders import OrderAnswer
from rota.wire.scheduler_steps import AnsweredOrder, SchedulerKeys, inbox

ANSWER_LIFE = timedelta(minutes=1)
EDIT_SECONDS = 1.5
"""The leader knows an edit in a store after half a second, if the store is not slow."""


class OrderInbox:
    """The orders of one term, as they stand in Redis. `woken` is set when there are new ones."""

    def __init__(self, broker: Broker, woken: asyncio.Event) -> None:
        self._broker = broker
        self._keys = SchedulerKeys(broker.keys)
        self._woken = woken
        self._waiting: dict[bytes, float] = {}
        self._answered: list[AnsweredOrder] = []

    async def read(self) -> None:
        """Send the answers, and read the oldest orders: so few that the state of one schedule holds all their IDs."""
        answered, self._answered = self._answered, []
        found = await self._broker.run(inbox(self._keys, answered, most=MOST_ORDER_IDS, life=ANSWER_LIFE))
        known = {each.order for each in self._answered} | self._waiting.keys()
        if new := [order for order in found if order not in known]:
            self._waiting |= dict.fromkeys(new, time.monotonic())
            self._woken.set()

    @property
    def waiting(self) -> list[bytes]:
        """The orders to carry out, the oldest first."""
        return list(self._waiting)

    def is_new(self, order: bytes) -> bool:
        """Whether an order was read so lately that the edit that adds its schedule may not be known yet."""
        return time.monotonic() - self._waiting[order] < EDIT_SECONDS

    @property
    def has_answers(self) -> bool:
        """Whether answers are not sent yet."""
        return bool(self._answered)

    def answer(self, order: bytes, order_id: str, answer: OrderAnswer) -> None:
        """Note the answer to an order that was carried out or refused."""
        del self._waiting[order]
        self._answered.append(AnsweredOrder(order, order_id, answer.to_json()))
