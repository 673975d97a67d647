"""The heartbeat: extends the leases of held attempts, and writes the records that Asynq's tools show for this server.

It has its own thread and connection, so that a handler that blocks the event loop, or computes for minutes, does not
lose its lease: the interpreter switches between threads every few milliseconds. Each beat extends the leases first and
writes the records second, because slow writing of records must not cost a lease.

`running` returns the attempts held now; it is called in the heartbeat's thread. Two functions are called in the event
loop: `on_lost(attempts)` for attempts that do not hold their tasks any more, and `on_cancel(attempt, reason)` for an
attempt whose cancel was requested. Normally the cancel channel brings such a request; the heartbeat finds it in case
the message was published while the subscriber was not connected.

A beat also brings the orders to this worker, and carries the answers to them (`orders`).
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Protocol

from rota import events
from rota.broker.sync import SyncBroker
from rota.core import faults
from rota.core.randomness import RANDOM
from rota.core.sync_bridge import in_own_thread
from rota.errors import BrokerError
from rota.tasks.type_record import PublishedTypes
from rota.wire import server_record as records
from rota.wire.keys import QueueKeys
from rota.wire.names import shown
from rota.wire.outcome import MAX_ATTEMPTS, Held, extend
from rota.wire.script import Call
from rota.wire.server_record import Beaten, RunningTask, ServerState, Status
from rota.worker.clock import lease_clock
from rota.worker.run.attempt import Attempt

SECONDS_TO_STOP = 2.0
"""How long a worker waits at its end for the last beat and for the deletion of its records."""


class HeartbeatOrders(Protocol):
    """The orders to the worker, as its heartbeat sees them (`rota.worker.worker_orders`)."""

    def unsent(self) -> Mapping[str, str]:
        """Return the answers that have not reached the server yet, by the IDs of the orders."""
        ...

    def sent(self, answers: Iterable[str]) -> None:
        """Note that answers have reached the server."""
        ...

    def receive(self, orders: Iterable[tuple[str, bytes]], tell: Callable[[Callable[[], object]], object]) -> None:
        """Take the orders that a beat has read, as ID and JSON. `tell` calls a function in the event loop."""
        ...


@dataclass(frozen=True, slots=True)
class HeartbeatStatistics:
    """Counts since the start: successful beats, failed beats and lost attempts; and the time of the last good beat."""

    beats: int = 0
    errors: int = 0
    lost: int = 0
    last_beat_at: float = 0.0
    """`time.monotonic()` of the last beat that reached the broker; 0 before the first."""


class Heartbeat:
    """Beats every `every` until cancelled. Stop it last, because a running handler needs its lease until its end.

    `broker` belongs to the heartbeat, which closes it. `server` returns the description of this server; the heartbeat
    fills in `status` and the number of running tasks.
    """

    def __init__(
        self,
        broker: SyncBroker,
        running: Callable[[], Iterable[Attempt]],
        server: Callable[[], ServerState],
        on_lost: Callable[[Sequence[Attempt]], None],
        on_cancel: Callable[[Attempt, str], None],
        orders: HeartbeatOrders,
        every: timedelta = timedelta(seconds=5),
        lease: timedelta = timedelta(seconds=30),
    ) -> None:
        self.status: Status = "new"
        self.seconds_to_stop = SECONDS_TO_STOP
        self._broker = broker
        self._running = running
        self._server = server
        self._on_lost = on_lost
        self._on_cancel = on_cancel
        self._orders = orders
        self._every = every
        self._lease = lease
        self._ttl = records.ttl_of(every)
        self._types: PublishedTypes | None = None
        self._stopping = threading.Event()
        self._sooner = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failing = False
        self._refused_types = ""
        self._fault: BaseException | None = None
        self._lost = 0
        self._done: HeartbeatStatistics = HeartbeatStatistics()

    async def run(self) -> None:
        """Beat until cancelled, then delete the records."""
        self._loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        thread = threading.Thread(target=self._work, args=(ended,), name="rota-heartbeat", daemon=True)
        thread.start()
        try:
            await ended.wait()
            # A worker whose leases are not extended must not go on.
            raise RuntimeError("the heartbeat has ended by itself") from self._fault
        finally:
            self._stopping.set()
            self._sooner.set()
            # Bounded, because a broker that hangs must not delay the end of the process. The records expire anyway.
            await in_own_thread(thread.join, self.seconds_to_stop)

    def beat(self) -> None:
        """Extend all leases, then write the records. Raises BrokerError only after both were tried."""
        attempts = list(self._running())
        error = self._keep_leases(attempts)
        try:
            self._write_records(attempts)
        except BrokerError as failed:
            error = error or failed
        if error is not None:
            raise error
        self._done = replace(self._done, beats=self._done.beats + 1, last_beat_at=time.monotonic())

    def publish(self, types: PublishedTypes) -> None:
        """Keep this record of task types published from now on. May be called from any thread."""
        self._types = types
        self._sooner.set()

    def soon(self) -> None:
        """Beat as soon as possible. May be called from any thread."""
        self._sooner.set()

    def clear(self) -> None:
        """Delete the records of this server. Tried only once, because the records expire by themselves."""
        answers = self._orders.unsent()
        calls = records.clear(self._broker.keys, self._server(), types=self.published, answers=answers)
        self._send(calls, self._broker.within(timedelta(0)))
        self._orders.sent(answers)

    @property
    def published(self) -> str:
        """The digest of the record of task types; empty while there is none."""
        return self._types.digest if self._types is not None else ""

    def statistics(self) -> HeartbeatStatistics:
        """Return a snapshot."""
        return replace(self._done, lost=self._lost)

    def _work(self, ended: asyncio.Event) -> None:
        try:
            while not self._stopping.is_set():
                self._beat_once()
                self._sooner.wait(self._pause())
                self._sooner.clear()  # before the beat, so that a call of `soon` during the beat leads to another one
            self._clear_once()
        except BaseException as fault:
            self._fault = fault
        finally:
            self._broker.close()
            self._tell(ended.set)

    def _beat_once(self) -> None:
        try:
            self.beat()
        except BrokerError as error:
            self._failed()
            if not self._failing and not self._stopping.is_set():
                events.emit(events.HeartbeatLost(error=error))
            self._failing = True
        except Exception as error:
            self._failed()
            events.emit(events.PartFailed(part="heartbeat", error=error))
        else:
            if self._failing:
                events.emit(events.HeartbeatBack())
            self._failing = False

    def _clear_once(self) -> None:
        try:
            self.clear()
        except BrokerError as error:
            events.emit(events.ServerRecordLeft(error=error))

    def _pause(self) -> float:
        # After a failure the next beat comes sooner, because a lease lasts for only six intervals.
        seconds = self._every.total_seconds()
        return RANDOM.uniform(0.5, 1.0) * min(seconds, 1.0) if self._failing else seconds

    def _keep_leases(self, attempts: Iterable[Attempt]) -> BrokerError | None:
        chunks = list(_chunks(attempts))
        if not chunks:
            return None
        now = lease_clock()
        lease_until = now + self._lease.total_seconds()  # before the request, because its reply may be late
        faults.reach("lease:send")
        replies = self._broker.run_many(
            [extend(keys, [_held(attempt, now) for attempt in chunk], self._lease) for keys, chunk in chunks]
        )
        faults.answered("lease:answered")
        error: BrokerError | None = None
        lost: list[Attempt] = []
        for (_, chunk), reply in zip(chunks, replies, strict=True):
            if isinstance(reply, BrokerError):
                error = reply
                continue
            gone = set(reply.lost)
            for index, reason in reply.cancelled.items():
                self._tell(partial(self._cancel, chunk[index], reason))
            for index, attempt in enumerate(chunk):
                if index in gone:
                    lost.append(attempt)
                else:
                    attempt.lease_until = lease_until
        if lost:
            self._lose(lost)
        return error

    def _lose(self, lost: list[Attempt]) -> None:
        def report() -> None:
            # Most of these attempts have simply ended between the snapshot of held attempts and the reply.
            held = set(self._running())
            still = [attempt for attempt in lost if attempt in held]
            if still:
                self._lost += len(still)
                self._on_lost(still)

        self._tell(report)

    def _cancel(self, attempt: Attempt, reason: str) -> None:
        if attempt in self._running():
            self._on_cancel(attempt, reason)

    def _write_records(self, attempts: Sequence[Attempt]) -> None:
        state = replace(self._server(), status=self.status, active=len(attempts))  # as many as are listed below
        # The event loop may have just received an attempt and not have parsed its message yet.
        shown = [_shown(attempt) for attempt in attempts if hasattr(attempt, "message")]
        types, answers = self._types, self._orders.unsent()
        calls = records.beat(
            self._broker.keys,
            state,
            shown,
            self._ttl,
            spread=self._broker.clustered,
            types=types.digest if types is not None else "",
            answers=answers,
        )
        replies = self._send(calls)
        self._orders.sent(answers)
        for reply in replies:
            self._orders.receive(reply.orders, self._tell)
        if types is not None and any(reply.types_missing for reply in replies):
            self._write_types(types)

    def _write_types(self, types: PublishedTypes) -> None:
        try:
            self._broker.run(records.publish(self._broker.keys, *types, self._ttl))
        except BrokerError as error:
            # Not a failed beat, which would be repeated sooner: the leases and the record of the server are written.
            if self._refused_types != types.digest:
                events.emit(events.TaskTypesNotPublished(error=error))
            self._refused_types = types.digest
        else:
            self._refused_types = ""

    def _send(self, calls: list[Call[Beaten]], broker: SyncBroker | None = None) -> list[Beaten]:
        """Run the calls in one burst."""
        replies: list[Beaten] = []
        for reply in (broker or self._broker).run_many(calls):
            if isinstance(reply, BrokerError):
                raise reply
            replies.append(reply)
        return replies

    def _failed(self) -> None:
        self._done = replace(self._done, errors=self._done.errors + 1)

    def _tell(self, act: Callable[[], object]) -> None:
        if self._loop is None:  # a test beats without `run`
            act()
            return
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:
            return  # the loop is closed: the worker has ended


def _chunks(attempts: Iterable[Attempt]) -> Iterator[tuple[QueueKeys, list[Attempt]]]:
    by_queue: defaultdict[QueueKeys, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_queue[attempt.queue].append(attempt)
    for keys, held in by_queue.items():
        for start in range(0, len(held), MAX_ATTEMPTS):
            yield keys, held[start : start + MAX_ATTEMPTS]


def _held(attempt: Attempt, now: float) -> Held:
    # Once the lease has expired, a Go server may have taken the task over, which rewrites its message (`lease.lua`).
    return Held(attempt.id, attempt.token, attempt.raw if attempt.lease_until < now else b"")


def _shown(attempt: Attempt) -> RunningTask:
    return RunningTask(
        id=shown(attempt.id),
        type=attempt.type,
        payload=attempt.payload,
        queue=attempt.queue.queue,
        started_ns=int(attempt.started_at * 1e9),
        deadline_ns=int(attempt.deadline_unix * 1e9) or None,
    )
