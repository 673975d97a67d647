"""The subscriber: hears requests to cancel a running task on Asynq's channel and passes on the task's ID.

A message sent while the connection was down is lost, as with Asynq; our own clients also write the request into the
task's hash, where the next heartbeat finds it. The channel says no queue, so `on_cancel` must look the ID up among what
runs here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from rota.broker import Broker
from rota.worker.ticker import Ticker


@dataclass(frozen=True, slots=True)
class SubscriberStatistics:
    """What the subscriber heard since its start, and whether it hears now."""

    listening: bool
    heard: int
    reconnects: int
    errors: int


class Subscriber:
    """Calls `on_cancel(task_id)` in the event loop for every request on the cancel channel."""

    def __init__(self, broker: Broker, on_cancel: Callable[[str], None]) -> None:
        self._broker = broker
        self._on_cancel = on_cancel
        self._ticker = Ticker("subscriber", timedelta(seconds=1))
        self._listening = False
        self._heard = 0
        self._earlier_reconnects = 0
        self._reconnects: Callable[[], int] = int

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._ticker.keep(self.listen)

    async def listen(self) -> None:
        """Listen on one subscription until it fails or is cancelled. It survives lost connections by itself."""
        async with self._broker.subscribe(self._broker.keys.cancel) as messages:
            self._reconnects = lambda: messages.reconnects
            self._listening = True
            try:
                async for _, payload in messages:
                    self._heard += 1
                    self._on_cancel(payload.decode("utf-8", "replace"))
            finally:
                self._listening = False
                self._earlier_reconnects += messages.reconnects
                self._reconnects = int

    def statistics(self) -> SubscriberStatistics:
        """Return a snapshot."""
        return SubscriberStatistics(
            listening=self._listening,
            heard=self._heard,
            reconnects=self._earlier_reconnects + self._reconnects(),
            errors=self._ticker.errors,
        )
