"""The background parts of a worker: made from its settings, started together, and closed in order.

No part may end before the worker stops. Code of a task can cancel any asyncio task of its loop, for example all of
`asyncio.all_tasks()`. A TaskGroup treats a cancelled child as one that has ended normally, so the worker would go on
without its heartbeat or its fetcher, and without any log line. Therefore a part that is cancelled before the worker
stops raises an error. The worker then ends by a fault: its tasks go back, and its supervisor starts another worker.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from rota import events
from rota.broker.broker import Broker
from rota.core.sync_bridge import in_own_thread
from rota.errors import ProcessDied
from rota.tasks.type_record import published_types
from rota.worker.groups.aggregation import AggregatorOptions, GroupDefaults
from rota.worker.groups.aggregator import Aggregator
from rota.worker.heartbeat import Heartbeat
from rota.worker.housekeeping.sweeper import Sweep
from rota.worker.loop_watchdog import LoopWatchdog
from rota.worker.run.process_pool import ProcessPool
from rota.worker.run.reporter import Reporter
from rota.worker.run.subscriber import Subscriber
from rota.worker.run.thread_pool import FunctionPool, ThreadPool
from rota.worker.ticker import Ticker

if TYPE_CHECKING:
    from rota.worker.worker import Worker


class Parts:
    """All background parts except the node consumers."""

    def __init__(self, worker: "Worker", broker: Broker) -> None:
        settings = worker.settings
        self._owner = asyncio.current_task()
        self._app = worker.app
        self._every_beat = settings.worker.heartbeat
        self._group_interval_seconds = settings.aggregation.group_interval.total_seconds()
        self.heartbeat = Heartbeat(
            broker.sync(),  # its thread cannot use connections of the event loop
            worker.held,
            worker.describe,
            worker.lose,
            # A lambda, because the executor is made later.
            lambda attempt, reason: worker.executor.stop(attempt, "cancelled", reason),
            worker.orders,
            every=settings.worker.heartbeat,
            lease=settings.worker.lease,
        )
        self.sweep = Sweep(worker, broker)
        self.subscriber = Subscriber(broker, worker.receive)
        self.reporter = _reporter(worker, broker)
        self.aggregator = _aggregator(worker, broker)
        self.loop_watchdog = LoopWatchdog(worker.held, settings.health.blocked_after, worker.status.look)
        self.threads = ThreadPool(worker.slots.capacity)
        self.processes = ProcessPool(
            settings.pool.pool_size or os.cpu_count() or 1,
            modules=worker.app.modules,
            max_tasks=settings.pool.pool_max_tasks,
        )
        self.pools: Mapping[str, FunctionPool] = {"thread": self.threads, "process": self.processes}

    def runs(self) -> list[Callable[[], Awaitable[None]]]:
        """The loops to start, except the node consumers and the heartbeat. The heartbeat starts first and ends last."""
        always: list[Callable[[], Awaitable[None]]] = [
            self.sweep.sweeper.run,
            self.subscriber.run,
            self.reporter.run,
            self.loop_watchdog.run,
            self._publish_types,
        ]
        if self._app.modules:
            always.append(self._warm)
        return [*always, self._aggregate]

    def is_cancelled(self) -> bool:
        """Whether the worker itself was cancelled."""
        return self._owner is not None and self._owner.cancelling() > 0

    async def _aggregate(self) -> None:
        """Aggregate groups once the app has an aggregator, which a router may bring that is included later.

        Before, this worker leaves all groups to workers that have one.
        """
        while not len(self._app.aggregators):  # noqa: ASYNC110 - another thread may import the module that includes it
            await asyncio.sleep(self._group_interval_seconds)
        await self.aggregator.run()

    async def _publish_types(self) -> None:
        """Describe the handlers, in a thread because that may call code of the app, and again if there are more."""
        registry, described = self._app.registry, -1

        async def describe() -> None:
            nonlocal described
            if len(registry) != described:  # handlers are only added, when a router is included later
                handlers = list(registry)
                described = len(handlers)
                self.heartbeat.publish(await in_own_thread(published_types, handlers, registry.matching))

        await Ticker("description of the task types", self._every_beat).keep(describe)

    async def _warm(self) -> None:
        """Start one pool process, so that the first task does not wait for the imports."""
        try:
            await self.processes.warm()
        except (ProcessDied, OSError) as error:
            events.emit(events.ProcessPoolNotWarm(error=error))

    async def __aenter__(self) -> "Parts":
        return self

    async def __aexit__(self, *error: object) -> None:
        self.threads.abandon()  # a function that does not end must not keep the worker from its end
        await self.processes.aclose()
        await self.threads.aclose()


def _reporter(worker: "Worker", broker: Broker) -> Reporter:
    settings = worker.settings
    return Reporter(
        broker,
        worker.held,
        every=settings.logging.report_interval,
        log_limit_bytes=settings.logging.log_limit_bytes,
        log_line_limit_bytes=settings.logging.log_line_limit_bytes,
    )


def _aggregator(worker: "Worker", broker: Broker) -> Aggregator:
    settings = worker.settings
    return Aggregator(
        broker,
        worker.queue_names,
        worker.app.aggregators.find,
        GroupDefaults(
            settings.aggregation.group_grace, settings.aggregation.group_max_delay, settings.aggregation.group_max_size
        ),
        AggregatorOptions(settings.aggregation.group_interval, settings.aggregation.group_concurrency),
        payload_limit_bytes=settings.enqueue.payload_limit_bytes,
    )


class Crew:
    """Starts the parts in a task group. Create it in the asyncio task that owns the group."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._owner = asyncio.current_task()
        self._ending = False

    def start(self, part: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
        """Start a part."""
        return self._group.create_task(self._run(part))

    def dismiss(self) -> None:
        """Allow the parts to be cancelled from now on, because the worker stops."""
        self._ending = True

    async def _run(self, part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        except asyncio.CancelledError as cancel:
            # When the whole worker is cancelled, the parts may receive the cancel before or after their owner.
            if self._ending or self._owner is None or self._owner.cancelling():
                raise
            raise cancelled_from_outside(getattr(part, "__qualname__", repr(part))) from cancel
        except BaseException:
            self._ending = True  # the group cancels the others, which is no further fault
            raise


def cancelled_from_outside(part: str) -> RuntimeError:
    """Return the error for a part that was cancelled by code that does not belong to the worker."""
    return RuntimeError(
        f"The part {part} of the worker was cancelled by other code of this process. Look for code that cancels tasks "
        "it has not started, such as all of asyncio.all_tasks()."
    )
