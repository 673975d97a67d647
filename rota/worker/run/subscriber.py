"""The subscriber: receives the messages on Asynq's cancel channel, and passes them on.

A message is the ID of a running task that is to be cancelled, or tells one worker of Rota to read its orders. It is
lost if it is sent while the connection is down, as in Asynq. Rota's clients also write each request where the next
heartbeat finds it. A message contains no queue, so `on_message` has to look for the ID among the tasks that this worker
runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from rota.broker import Broker
from rota.worker.ticker import Ticker


@dataclass(frozen=True, slots=True)
class SubscriberStatistics:
    """Counts since the start: messages (`heard`), reconnects and errors. `listening` is true while subscribed."""

    listening: bool
    heard: int
    reconnects: int
    errors: int


class Subscriber:
    """Calls `on_message(text)` in the event loop for every message on the cancel channel."""

    def __init__(self, broker: Broker, on_message: Callable[[str], None]) -> None:
        self._broker = broker
        self._on_message = on_message
        self._ticker = Ticker("subscriber", timedelta(seconds=1))
        self._listening = False
        self._heard = 0
        self._earlier_reconnects = 0
        self._reconnects: Callable[[], int] = int  # returns 0: there is no subscription

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._ticker.keep(self.listen)

    async def listen(self) -> None:
        """Listen on one subscription until it fails or is cancelled. The subscription reconnects by itself."""
        async with self._broker.subscribe(self._broker.keys.cancel) as messages:
            self._reconnects = lambda: messages.reconnects
            self._listening = True
            try:
                async for _, payload in messages:
                    self._heard += 1
                    self._on_message(payload.decode("utf-8", "replace"))
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
