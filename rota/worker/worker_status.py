"""The status of this worker, for health probes and for the reports to a supervisor.

Other threads read it, also while the event loop is blocked, so it only reads counts and never calls into the loop. It
is not a consistent snapshot: counts may change while they are read.

A worker without a supervisor answers health probes itself, from a thread that a blocking handler does not stop.
"""

import platform
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rota import events
from rota.core.this_process import resident_bytes, rota_version
from rota.health.endpoints import Answers, HealthPort, in_thread
from rota.health.process_status import Counters, ProcessStatus
from rota.wire.worker_about import WorkerAbout

if TYPE_CHECKING:
    from rota.worker.consume.node_consumer import NodeConsumer
    from rota.worker.worker import Worker


FRESH_SECONDS = 2.0
"""A worker with a free slot that does not wait for notifications fetches at least once in this time."""
_STATES = {
    "running",
    "listening",
    "last_beat_at",
    "turned_at",
    "longest_seconds",
    "last_seconds",
    "threads",
    "processes",
}
"""Fields of statistics that are no counts, so that the sum over processes and time would mean nothing."""


class WorkerStatus:
    """Reads the counts of the parts. Does not call anything that must run in the event loop."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._fetching_at = time.monotonic()

    def read(self) -> ProcessStatus:
        """Return the current status."""
        worker, settings = self._worker, self._worker.settings
        now = time.monotonic()
        limit = max(settings.health.ready_within.total_seconds(), 2 * settings.worker.heartbeat.total_seconds())
        common = ProcessStatus(
            worker=worker.id,
            pid=worker.pid,
            status="new",
            taken_at=now,
            started_at=worker.started_at,
            ready_within_seconds=limit,
            live_within_seconds=settings.health.live_within.total_seconds(),
            slots=worker.slots.capacity,
        )
        return self._of_parts(common, now) if worker.ready.is_set() else common

    def about(self) -> WorkerAbout:
        """Return what the worker tells about itself with each heartbeat."""
        loop = self._worker.parts.loop_watchdog.statistics()
        blocked = time.monotonic() - loop.turned_at if loop.blocked_by else 0.0
        return WorkerAbout(
            version=rota_version() or None,
            python=platform.python_version(),
            memory_bytes=resident_bytes(self._worker.pid),
            blocked_by=loop.blocked_by,
            blocked_seconds=round(blocked, 3),
            last_blocked_seconds=round(loop.last_seconds, 3),
        )

    def look(self) -> None:
        """Note whether the worker can take tasks now. Called several times a second."""
        if self._worker.ready.is_set() and all(self._fetches(consumer) for consumer in self._worker.consumers):
            self._fetching_at = time.monotonic()

    def _of_parts(self, common: ProcessStatus, now: float) -> ProcessStatus:
        self.look()
        worker = self._worker
        consumers, parts = list(worker.consumers), worker.parts
        loop_watchdog = parts.loop_watchdog.statistics()
        lost = [consumer.finisher.statistics.lost_at for consumer in consumers]
        return ProcessStatus(
            worker=common.worker,
            pid=common.pid,
            status=worker.heartbeat.status,
            taken_at=now,
            started_at=common.started_at,
            beat_at=worker.heartbeat.statistics().last_beat_at or self._fetching_at,  # 0 would be years ago
            fetch_lost_at=0.0 if self._fetching_at >= now else self._fetching_at,  # `look` has set it if it can fetch
            record_lost_at=min((at for at in lost if at), default=0.0),
            turned_at=loop_watchdog.turned_at,
            blocked_by=loop_watchdog.blocked_by,
            ready_within_seconds=common.ready_within_seconds,
            live_within_seconds=common.live_within_seconds,
            slots=common.slots,
            used=worker.slots.used,
            held=len(worker.executor.held),
            wake_up=",".join(sorted({consumer.fetcher.statistics.wakeup for consumer in consumers})),
            queues=worker.queue_names(),
            unknown_types=dict(worker.executor.unhandled.unknown.counts),
            counts=dict(self._counts()),
        )

    def _fetches(self, consumer: "NodeConsumer") -> bool:
        fetcher, statistics = consumer.fetcher, consumer.fetcher.statistics
        if fetcher.link is None or fetcher.link.closed:
            return False
        # A worker without a free slot sends no fetches. Its heartbeat shows whether the broker answers.
        full = self._worker.slots.free <= 0
        return full or statistics.waiting or time.monotonic() - statistics.last_success_at < FRESH_SECONDS

    def _counts(self) -> Iterator[tuple[str, float]]:
        fetched, finished = zip(*self._worker.consumers.statistics(), strict=True)
        for name in ("rounds", "empty_rounds", "taken", "dangling", "reconnects"):
            yield name, sum(getattr(each, name) for each in fetched)
        for name in ("recorded", "discarded", "repeated"):
            yield name, sum(getattr(each, name) for each in finished)
        kinds = {kind for each in finished for kind in list(each.kinds)}  # a copy, because the event loop adds kinds
        for kind in kinds:
            yield f"outcome:{kind}", sum(each.kinds[kind] for each in finished)
        for name, number in events.counts().items():
            yield f"event:{name}", number
        parts = self._worker.parts
        # The names of these attributes are the label `part` of the metric `rota_part_events`.
        for name, part in {**vars(parts), **vars(parts.sweep)}.items():
            if hasattr(part, "statistics"):
                yield from ((f"{name}:{count}", n) for count, n in _numbers(part.statistics()).items())


def _numbers(statistics: Any) -> dict[str, float]:
    if isinstance(statistics, Mapping):  # the reconciler's: repairs by queue and kind
        repairs = Counter[str]()
        for kinds in cast("Mapping[str, Mapping[str, int]]", statistics).values():
            repairs.update(kinds)
        return dict[str, float](repairs)
    fields: dict[str, Any] = asdict(statistics)
    return {name: n for name, n in fields.items() if isinstance(n, int | float) and name not in _STATES}


@contextmanager
def answering(worker: "Worker", socket_path: Path | None = None) -> Generator[HealthPort | None]:
    """Answer health probes on the port from the settings and on the socket. Yields None if there is neither."""
    settings, counters = worker.settings, Counters()
    if settings.health.health_port is None and socket_path is None:
        yield None
        return
    answers = Answers(lambda: [worker.status.read()], lambda: counters.total([worker.status.read()]))
    port = HealthPort(
        answers, host=settings.health.health_host, port=settings.health.health_port, socket_path=socket_path
    )
    with in_thread(port):
        worker.health_port = port.port
        yield port
