"""The background parts of a worker: made from its settings, started together, closed in order."""

import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from rota.broker.broker import Broker
from rota.errors import ProcessDied
from rota.own_thread import in_own_thread
from rota.worker.aggregator import Aggregator, GroupDefaults
from rota.worker.heartbeat import Heartbeat
from rota.worker.place import Place
from rota.worker.process_pool import ProcessPool
from rota.worker.pulse import Pulse
from rota.worker.reporter import Reporter
from rota.worker.subscriber import Subscriber
from rota.worker.sweep import Sweep
from rota.worker.thread_pool import ThreadPool

if TYPE_CHECKING:
    from rota.worker.worker import Worker

logger = logging.getLogger("rota.worker")


class Parts:
    """Everything that runs beside the lanes."""

    def __init__(self, worker: "Worker", broker: Broker) -> None:
        settings = worker.settings
        self._app = worker.app
        self._beats = broker.sync()
        self.heartbeat = Heartbeat(
            self._beats,
            worker.held,
            worker.describe,
            worker.lose,
            lambda attempt, reason: worker.executor.stop(attempt, "cancelled", reason),
            every=settings.heartbeat,
            lease=settings.lease,
        )
        self.sweep = Sweep(worker, broker)
        self.subscriber = Subscriber(broker, worker.cancel)
        self.reporter = _reporter(worker, broker)
        self.aggregator = _aggregator(worker, broker)
        self.pulse = Pulse(worker.held, settings.blocked_after, worker.signs.look)
        self.threads = ThreadPool(settings.concurrency)
        self.processes = ProcessPool(
            settings.process_slots or os.cpu_count() or 1,
            modules=worker.app.modules,
            recycle_after=settings.process_recycle,
        )
        self.places: Mapping[str, Place] = {"thread": self.threads, "process": self.processes}

    def runs(self) -> list[Callable[[], Awaitable[None]]]:
        """The loops to be started beside the lanes. The heartbeat is apart: it starts first and ends last."""
        always: list[Callable[[], Awaitable[None]]] = [
            self.sweep.sweeper.run,
            self.subscriber.run,
            self.reporter.run,
            self.pulse.run,
        ]
        if self._app.modules:
            always.append(self._warm)
        # Without an aggregator of its own a worker leaves all groups to those who have one.
        return [*always, self.aggregator.run] if len(self._app.aggregators) else always

    async def _warm(self) -> None:
        """Start a first process for the tasks that want one, so that none has to wait for its imports."""
        try:
            await self.processes.warm()
        except (ProcessDied, OSError) as error:
            logger.error("No process for tasks could be started; each such task will try again. %s", error)

    async def __aenter__(self) -> "Parts":
        return self

    async def __aexit__(self, *error: object) -> None:
        self.threads.abandon()
        await self.processes.aclose()
        await self.threads.aclose()
        await in_own_thread(self._beats.close)


def _reporter(worker: "Worker", broker: Broker) -> Reporter:
    settings = worker.settings
    return Reporter(
        broker,
        worker.held,
        every=settings.report_interval,
        log_limit_bytes=settings.log_limit_bytes,
        log_line_limit_bytes=settings.log_line_limit_bytes,
    )


def _aggregator(worker: "Worker", broker: Broker) -> Aggregator:
    settings = worker.settings
    return Aggregator(
        broker,
        worker.queue_names,
        worker.app.aggregators.find,
        GroupDefaults(settings.group_grace, settings.group_max_delay, settings.group_max_size),
        every=settings.group_interval,
        at_once=settings.group_concurrency,
        payload_limit_bytes=settings.payload_limit_bytes,
    )
