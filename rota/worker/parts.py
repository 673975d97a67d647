"""The background parts of a worker: made from its settings, started together, closed in order."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from rota.broker.broker import Broker
from rota.policy import Retry
from rota.wire.recover import Slack
from rota.worker.aggregator import Aggregator, GroupDefaults
from rota.worker.executor import Place
from rota.worker.forwarder import Forwarder
from rota.worker.heartbeat import Heartbeat
from rota.worker.janitor import Janitor
from rota.worker.process_pool import ProcessPool
from rota.worker.pulse import Pulse
from rota.worker.recoverer import Recoverer, as_failure
from rota.worker.reporter import Reporter
from rota.worker.subscriber import Subscriber
from rota.worker.thread_pool import ThreadPool

if TYPE_CHECKING:
    from rota.worker.worker import Worker


class Parts:
    """Everything that runs beside the lanes."""

    def __init__(self, worker: "Worker", broker: Broker) -> None:
        settings, names = worker.settings, worker.queue_names
        self._app = worker.app
        self._beats = broker.sync()
        self.heartbeat = Heartbeat(
            self._beats,
            worker.held,
            worker.describe,
            worker.lose,
            every=settings.heartbeat,
            lease=settings.lease,
        )
        self.forwarder = Forwarder(broker, names, every=settings.forward_interval, limit=settings.forward_batch)
        self.janitor = Janitor(
            broker,
            names,
            every=settings.janitor_interval,
            archive_size=settings.archive_max,
            archive_age=settings.archive_age,
            limit=settings.janitor_batch,
        )
        self.recoverer = _recoverer(worker, broker)
        self.subscriber = Subscriber(broker, worker.cancel)
        self.reporter = Reporter(
            broker,
            worker.held,
            every=settings.report_interval,
            log_limit_bytes=settings.log_limit_bytes,
            log_line_limit_bytes=settings.log_line_limit_bytes,
        )
        self.aggregator = Aggregator(
            broker,
            names,
            worker.app.aggregators.find,
            GroupDefaults(settings.group_grace, settings.group_max_delay, settings.group_max_size),
            every=settings.group_interval,
        )
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
            self.forwarder.run,
            self.janitor.run,
            self.recoverer.run,
            self.subscriber.run,
            self.reporter.run,
            self.pulse.run,
        ]
        # Without an aggregator of its own a worker leaves all groups to those who have one.
        return [*always, self.aggregator.run] if len(self._app.aggregators) else always

    async def __aenter__(self) -> "Parts":
        return self

    async def __aexit__(self, *error: object) -> None:
        self.threads.abandon()
        await self.processes.aclose()
        await self.threads.aclose()
        await asyncio.to_thread(self._beats.close)


def _recoverer(worker: "Worker", broker: Broker) -> Recoverer:
    settings = worker.settings
    return Recoverer(
        broker,
        worker.queue_names,
        as_failure(lambda type_name: _policy(worker, type_name)),
        own_tokens=lambda: [attempt.token for attempt in worker.held()],
        every=settings.recover_interval,
        slack=Slack(settings.lease_slack, settings.go_lease_slack),
        max_crashes=settings.max_crashes,
    )


def _policy(worker: "Worker", type_name: str) -> Retry | None:
    handler = worker.app.find_handler(type_name)
    return None if handler is None else handler.retry
