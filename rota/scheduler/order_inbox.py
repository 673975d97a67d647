"""The inbox of orders, as the leader reads it. An order stays in Redis until it was carried out."""

from rota import events
from rota.broker.broker import Broker
from rota.scheduler.orders import ScheduleOrder
from rota.wire.scheduler_steps import SchedulerKeys, inbox

MOST_AT_ONCE = 100


class OrderInbox:
    """The orders that were read and not carried out yet."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._keys = SchedulerKeys(broker.keys)
        self._waiting: dict[bytes, None] = {}
        self._done: list[bytes] = []
        """Orders that were carried out and are still in Redis."""

    async def read(self) -> bool:
        """Remove the orders that were carried out, and read the others. Returns whether there are new ones."""
        done, self._done = self._done, []
        found = await self._broker.run(inbox(self._keys, done, MOST_AT_ONCE))
        new = [order for order in found if order not in self._waiting and order not in self._done]
        self._waiting |= dict.fromkeys(new)
        return bool(new)

    def first(self) -> tuple[bytes, ScheduleOrder] | None:
        """Return the oldest order. One that cannot be read is reported and left out."""
        for data in list(self._waiting):
            try:
                return data, ScheduleOrder.from_json(data)
            except ValueError as error:
                events.emit(events.ScheduleOrderRefused(order=str(data[:200]), reason=str(error)))
                self.carried_out(data)
        return None

    def carried_out(self, data: bytes) -> None:
        """Note that an order was carried out."""
        self._waiting.pop(data, None)
        self._done.append(data)
