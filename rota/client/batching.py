"""Joins concurrent enqueues into one request, so that each task of a busy program costs less than a single enqueue."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from rota.client.batch import CHUNK_BYTES
from rota.errors import BrokerUnavailable
from rota.wire.enqueue import enqueue_plain
from rota.wire.keys import QueueKeys
from rota.wire.script import MOST_ENQUEUED, Call


class Batcher:
    """Sends an enqueue at once if no other one is in flight. Later ones are joined into one call per queue.

    The joined call is sent at the end of the same turn of the event loop, so joining does not delay any task.
    """

    def __init__(
        self,
        send: Callable[[Call[int]], Awaitable[int]],
        again: Callable[[Call[int], BrokerUnavailable], Awaitable[int]],
    ) -> None:
        """`send` sends a call. `again` sends it again after the given error, or raises the error."""
        self._send = send
        self._again = again
        self._under_way = 0
        self._parties: dict[QueueKeys, _Party] = {}
        self._departures: set[asyncio.Task[None]] = set()

    async def add(self, keys: QueueKeys, task_id: str, message: bytes) -> None:
        """Return when the server has the task."""
        party = self._parties.get(keys)
        if party is None:
            if not self._under_way:
                # The same as `_carry`, inlined to save a coroutine for each single task.
                call = enqueue_plain(keys, (task_id, message))
                self._under_way += 1
                try:
                    await self._send(call)
                except BrokerUnavailable as lost:
                    await self._again(call, lost)
                finally:
                    self._under_way -= 1
                return None
            party = self._parties[keys] = _Party()
            asyncio.get_running_loop().call_soon(self._depart, keys, party)
        arrival = party.join(task_id, message)
        if len(party.arrivals) >= MOST_ENQUEUED or party.size >= CHUNK_BYTES:
            self._depart(keys, party)
        return await arrival

    async def _carry(self, call: Call[int]) -> None:
        self._under_way += 1
        try:
            await self._send(call)
        except BrokerUnavailable as lost:
            await self._again(call, lost)
        finally:
            self._under_way -= 1

    def _depart(self, keys: QueueKeys, party: "_Party") -> None:
        if self._parties.get(keys) is party:
            del self._parties[keys]
            departure = asyncio.get_running_loop().create_task(self._carry(enqueue_plain(keys, party.pairs)))
            self._departures.add(departure)
            departure.add_done_callback(self._departures.discard)
            departure.add_done_callback(party.arrive)


class _Party:
    """The tasks of one call. Each has its own future, so that cancelling one wait does not cancel the others."""

    def __init__(self) -> None:
        self.pairs: list[str | bytes] = []
        self.arrivals: list[asyncio.Future[None]] = []
        self.size = 0

    def join(self, task_id: str, message: bytes) -> "asyncio.Future[None]":
        self.pairs += (task_id, message)
        self.size += len(message)
        arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.arrivals.append(arrival)
        return arrival

    def arrive(self, departure: "asyncio.Task[Any]") -> None:
        waiting = [arrival for arrival in self.arrivals if not arrival.done()]
        if departure.cancelled():  # the loop is being closed
            for arrival in waiting:
                arrival.cancel()
        elif error := departure.exception():
            for arrival in waiting:
                arrival.set_exception(error)
        else:
            for arrival in waiting:
                arrival.set_result(None)
