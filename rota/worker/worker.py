"""The worker: builds its parts, starts them, and stops them in the order that `shutdown` gives."""

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from rota import events
from rota.broker.broker import Broker
from rota.core import forks
from rota.core.sync_bridge import in_own_thread
from rota.errors import BrokerError, OptionError
from rota.tasks.logs import restore
from rota.wire.fetch import MAX_QUEUES
from rota.wire.keys import QueueKeys
from rota.wire.server_record import ServerState, new_server_id
from rota.wire.worker_order import notice
from rota.worker import loop_guard
from rota.worker.clock import BrokerClock
from rota.worker.consume.fetcher import Fetcher, FetchOptions
from rota.worker.consume.node_consumer import NodeConsumers
from rota.worker.consume.queue_selection import Discovery, FetchRules, QueueSelection
from rota.worker.consume.unknown_types import Unhandled, UnknownTypes
from rota.worker.heartbeat import Heartbeat
from rota.worker.parts import Crew, Parts
from rota.worker.run.attempt import Attempt, last_chance, tokens
from rota.worker.run.concurrency import Slots
from rota.worker.run.executor import Executor, RunResources, RunSettings
from rota.worker.run.finisher import Finisher
from rota.worker.shutdown import HURRIED_SECONDS, Shutdown, within
from rota.worker.worker_orders import Orders
from rota.worker.worker_status import WorkerStatus

if TYPE_CHECKING:
    from rota.app import Rota
    from rota.settings.settings import Settings


class Worker:
    """Runs the tasks of an app from the queues that it serves.

    The worker runs in the event loop of its caller. The heartbeat has a thread of its own, so that a handler that
    blocks the loop does not delay the renewal of leases.
    """

    def __init__(self, app: "Rota", settings: "Settings", *, id: str | None = None, warns: bool = True) -> None:
        self.app = app
        self.settings = settings
        # The token of each attempt starts with this ID, so that a supervisor can find the tasks that this worker holds.
        self.id = id or uuid.uuid4().hex[:12]
        self.server_id = new_server_id(self.id)
        self.host = socket.gethostname() or "unknown-host"
        self.pid = os.getpid()
        self.started_at = time.time()
        self._lease_seconds = int(settings.worker.lease.total_seconds())
        self.slots = Slots(settings.worker.concurrency)
        self.subscription = QueueSelection(settings.worker.queues, strict=settings.worker.strict_priority)
        self.clock = BrokerClock()
        self.ready = asyncio.Event()
        self.executor: Executor
        self.consumers: NodeConsumers
        self.heartbeat: Heartbeat
        self.parts: Parts
        self.orders = Orders(self)
        self.status = WorkerStatus(self)
        self.health_port: int | None = None
        """The bound health port, if there is one."""
        self._broker: Broker
        self._discovery: Discovery
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._quieted = False
        self._warns = warns
        """Whether to log the warnings about the server, such as unsafe settings."""
        self._tokens = tokens(self.id)
        self._acts: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Run until `stop()` is called. After a fault it may be called again."""
        self.ready.clear()
        self.slots = Slots(self.slots.capacity)  # all free, also after a fault; with the number that was ordered last
        async with AsyncExitStack() as stack:
            loop = asyncio.get_running_loop()
            stack.push_async_callback(_deliver_events)  # pushed first, so called last: other exits emit events too
            stack.enter_context(forks.guarded(loop))
            stack.enter_context(loop_guard.guarded(loop, *loop_guard.SHUTDOWNS))
            events.emit(events.WorkerStarted(worker=self.id))
            broker = self._broker = self.app.connect(self.settings)
            stack.push_async_callback(broker.aclose)
            warnings = (await broker.check()).warnings
            for warning in warnings if self._warns else ():
                events.emit(events.ServerWarning(advice=warning))
            self._warns = False  # another run after a fault would repeat the same warnings
            state = await stack.enter_async_context(self.app.lifespan_state())
            restore()  # the lifespan may have configured logging
            parts = self.parts = await stack.enter_async_context(Parts(self, broker))
            self.consumers = NodeConsumers(broker, self.queue_keys, self._fetcher, self._finisher)
            self.executor = Executor(
                self.app.registry.find,
                self.slots,
                self.clock,
                self.consumers.finish,
                unhandled=Unhandled(
                    lambda type: self.app.registry.find(type) is not None,
                    self.settings.worker.unknown_task_delay,
                    self._lease_seconds,
                    unknown=UnknownTypes(lambda: [handler.type for handler in self.app.registry]),
                ),
                settings=RunSettings.of(self.settings),
                resources=RunResources(parts.pools, parts.reporter, state, parts.is_cancelled),
            )
            self.heartbeat = parts.heartbeat
            await self._work(parts.runs())

    def stop(self) -> None:
        """Begin to stop; a second call cancels the running handlers at once.

        The worker records the outcome of each task, or hands it back, before it ends.
        """
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether the worker was asked to stop."""
        return self._stopping.is_set()

    def quiet(self) -> None:
        """Stop taking tasks, and let the running tasks go on: the first half of a deployment."""
        self._quieted = True
        if self.ready.is_set() and self.heartbeat.status == "active":
            self.heartbeat.status = "stopped"
            self._begin(self.consumers.stop_fetching())

    def wake(self) -> None:
        """Take tasks again after `quiet`."""
        self._quieted = False
        if self.ready.is_set() and self.heartbeat.status == "stopped":
            self.heartbeat.status = "active"
            self._begin(self.consumers.start_fetching())

    def scale(self, concurrency: int) -> None:
        """Run up to this many tasks at once from now on. Running tasks go on, also if they are more."""
        if concurrency < 1:
            raise OptionError(
                f"A concurrency of {concurrency} is not possible: give 1 or more. To take none, use quiet."
            )
        self.slots.resize(concurrency)
        if self.ready.is_set():
            self.parts.threads.grow(concurrency)  # else the additional tasks would wait for a thread in their slots
        self.beat_soon()

    def beat_soon(self) -> None:
        """Show the state of this worker to other programs as soon as possible."""
        if self.ready.is_set():
            self.heartbeat.soon()

    def add_queue(self, name: str, priority: int = 1) -> None:
        """Serve one more queue, or the queues that match a pattern like `"mail-*"`."""
        self.subscription.add(name, priority)
        self._begin(self.consumers.refresh())

    def remove_queue(self, name: str) -> None:
        """Stop serving a queue or pattern. Running tasks of the queue end as usual."""
        self.subscription.remove(name)
        self._begin(self.consumers.refresh())

    async def look_for_queues(self) -> None:
        """Search now for new queues that match a pattern, without waiting for the next regular search."""
        before = set(self.subscription.queues)
        await self._discovery.look()
        if set(self.subscription.queues) != before:
            await self.consumers.refresh()

    def queue_names(self) -> list[str]:
        """Return the names of the queues that the worker serves now."""
        return list(self.subscription.queues)

    def queue_keys(self) -> list[QueueKeys]:
        """Return the keys of the queues that the worker serves now."""
        return [self._broker.keys.queue(name) for name in self.subscription.queues]

    def held(self) -> list[Attempt]:
        """The attempts whose outcome is not recorded yet. May be called from any thread."""
        return list(self.executor.held)  # a copy in one step of the interpreter: the event loop changes it meanwhile

    def describe(self) -> ServerState:
        """The description of this worker in Asynq's record of servers."""
        return ServerState(
            host=self.host,
            pid=self.pid,
            server_id=self.server_id,
            concurrency=self.slots.capacity,
            queues=self.subscription.queues,
            strict_priority=self.subscription.strict,
            status=self.heartbeat.status,
            started_ns=int(self.started_at * 1e9),
            active=len(self.executor.held),
            about=self.status.about(),
        )

    def receive(self, message: str) -> None:
        """Act on a message of the cancel channel: the ID of a task to cancel, or a notice of orders to a worker."""
        if message == notice(self.server_id):
            self.heartbeat.soon()
        else:
            self.cancel(message)

    def cancel(self, task_id: str) -> None:
        """Cancel all attempts of this worker at a task."""
        if attempts := [each for each in self.held() if each.id == task_id]:
            self._begin(self._cancel(attempts))

    def lose(self, attempts: Sequence[Attempt]) -> None:
        """Stop the handlers of attempts that have lost their lease."""
        for attempt in attempts:
            if self.executor.has_ended(attempt):
                continue  # The finisher already has its outcome, and logs it if the server refuses it.
            events.emit(events.LeaseLost(**attempt.about))
            self.executor.stop(attempt, "lease", "the lease was lost")

    async def _work(self, parts: Sequence[Callable[[], Awaitable[None]]]) -> None:
        discovery = self._discovery = Discovery(self._broker, self.subscription, self.settings.worker.queue_refresh)
        await discovery.look()
        shutdown = Shutdown(
            self.id,
            self.executor,
            self.consumers,
            self.heartbeat,
            grace=self.settings.worker.shutdown_timeout,
            hurry=self._hurry,
        )
        try:
            async with asyncio.TaskGroup() as group:
                crew = Crew(group)
                beating = crew.start(self.heartbeat.run)
                running = [crew.start(part) for part in parts]
                running.append(crew.start(self.consumers.run))
                running.append(crew.start(partial(discovery.keep, self.consumers.refresh)))
                beginning = crew.start(self._begin_work)
                await self._stopping.wait()
                crew.dismiss()  # before the first cancel, which would count as a fault
                beginning.cancel()  # it still waits if the broker was away since the start
                await shutdown.drain()
                if self._hurry.is_set():
                    self.heartbeat.seconds_to_stop = HURRIED_SECONDS
                for task in (*running, beating):
                    task.cancel()
        except BaseException as fault:
            await shutdown.give_up(fault)
            raise
        events.emit(events.WorkerStopped(worker=self.id))

    async def _begin_work(self) -> None:
        await self.consumers.refreshed.wait()
        self.heartbeat.status = "active"
        self.ready.set()
        events.emit(events.WorkerReady(worker=self.id, slots=self.slots.capacity, queues=self.queue_names()))
        if self._quieted:
            self.quiet()  # `quiet` was called before the worker was ready

    async def asked_to_stop(self, within_seconds: float) -> bool:
        """Wait for `within_seconds` at most; return whether the worker was asked to stop."""
        return await within(within_seconds, self._stopping.wait())

    async def _cancel(self, attempts: Sequence[Attempt]) -> None:
        # Rota's clients write the reason to the hash of the task. Go clients only publish the ID, without a queue. So
        # if no attempt has a reason, the attempts with this ID in all queues are cancelled.
        reasons = [await _cancel_reason(self._broker, attempt) for attempt in attempts]
        meant = any(reason is not None for reason in reasons)
        for attempt, reason in zip(attempts, reasons, strict=True):
            if reason is not None or not meant:
                self.executor.stop(attempt, "cancelled", reason or "")

    def _fetcher(self, serves: Callable[[str], bool]) -> Fetcher:
        settings = self.settings.worker
        return Fetcher(
            self._broker,
            self.slots,
            self.clock,
            self.executor.start,
            tokens=self._tokens,
            options=FetchOptions(
                self._lease_seconds,
                settings.slow_poll.total_seconds(),
                batch=settings.fetch_batch,
                wake_up=settings.wake_up,
                queues_per_call=1 if self._broker.clustered else MAX_QUEUES,  # in a Cluster, a call has one slot
            ),
            rules=FetchRules(
                self.subscription,
                serves,
                last_chance=partial(last_chance, self.executor.crashed, settings.max_crashes),
                spared=self.executor.unhandled.spared,
                queues_may_be_new=self._discovery.look_soon,
            ),
        )

    def _finisher(self, fetcher: Fetcher) -> Finisher:
        return Finisher(
            self._broker,
            fetcher,
            self.executor.forget,
            self.settings.worker.record_batch,
            self.settings.logging.attempts_limit_bytes,
        )

    def _begin(self, act: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(act)
        self._acts.add(task)  # the event loop itself refers to a task only weakly
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._acts.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            events.emit(events.RequestFailed(error=error))


async def _deliver_events() -> None:
    """Wait for the callbacks of the last events, so that a program that ends at once does not lose them."""
    if not events.flush(0):
        await in_own_thread(events.flush, events.LAST_SECONDS)


async def _cancel_reason(broker: Broker, attempt: Attempt) -> str | None:
    """Read the reason of a cancel request from the hash of the task; None if there is none."""
    task_key = attempt.queue.task(attempt.id)
    try:
        reason: bytes | None = await broker.execute("HGET", task_key, "rota_cancel", key=attempt.queue.base)
    except BrokerError:
        return None  # the cancel message is not repeated, so cancel without the reason
    return None if reason is None else reason.decode(errors="replace")
