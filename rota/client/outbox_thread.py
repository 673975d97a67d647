"""The buffer for blocking code: an `Outbox` in an event loop of its own, in a thread."""

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from rota.broker.broker import Broker
from rota.broker.sync import SyncBroker
from rota.client.delivery import Delivery
from rota.client.outbox import Outbox
from rota.client.packing import Packer
from rota.client.parcel import Parcel
from rota.client.published import Published
from rota.duration import DurationLike
from rota.enqueued import Plan

T = TypeVar("T")


class OutboxThread:
    """Starts with the first task. A forked child starts with an empty buffer: what its parent accepted is the parent's.

    At the end of the program it is flushed as by `close`.
    """

    def __init__(self, broker: SyncBroker, delivery: Delivery) -> None:
        self._address, self._options = broker.address, broker.options
        self._delivery = delivery
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def post(self, plan: Plan[Any]) -> Parcel:
        """Accept a plan (see `Outbox.post`)."""
        running = self._ready()
        return running.run(running.outbox.post(plan))

    def post_many(self, plans: list[Plan[Any]]) -> list[Parcel | BaseException]:
        """Accept plans in their order; errors are values."""
        running = self._ready()
        return running.run(_all(running.outbox, plans))

    def sent(self, parcel: Parcel, timeout: DurationLike | None) -> float | None:
        """Wait until a parcel was sent (see `Parcel.sent`)."""
        return self._ready().run(parcel.sent(timeout))

    def flush(self, timeout: timedelta) -> bool:
        """Wait until everything was sent. Returns False when the time is over first."""
        running = self._running
        return running is None or running.pid != os.getpid() or running.run(running.outbox.flush(timeout))

    def close(self) -> list[Plan[Any]]:
        """Send what can be sent in `flush_timeout`, end the thread, and return what could not be sent."""
        with self._lock:
            running, self._running = self._running, None
        atexit.unregister(self.close)
        if running is None or running.pid != os.getpid():
            return []
        lost = running.run(running.outbox.aclose(self._delivery.flush_timeout))
        running.stop()
        return lost

    def __len__(self) -> int:
        running = self._running
        return len(running.outbox) if running is not None and running.pid == os.getpid() else 0

    def _ready(self) -> "_Running":
        running = self._running
        if running is not None and running.pid == os.getpid():
            return running
        with self._lock:
            if self._running is None or self._running.pid != os.getpid():
                self._running = _Running(Broker(self._address, self._options), self._delivery)
                atexit.register(self.close)
            return self._running


class _Running:
    """The thread with its loop."""

    def __init__(self, broker: Broker, delivery: Delivery) -> None:
        self.pid = os.getpid()
        self._broker = broker
        self._loop = asyncio.new_event_loop()
        self.outbox = Outbox(broker, Packer(broker.keys), Published(), delivery)
        self._thread = threading.Thread(target=self._loop.run_forever, name="rota-outbox", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        self.run(self._broker.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _all(outbox: Outbox, plans: list[Plan[Any]]) -> list[Parcel | BaseException]:
    return await asyncio.gather(*map(outbox.post, plans), return_exceptions=True)
