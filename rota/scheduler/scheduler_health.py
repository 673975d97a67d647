"""The share of a scheduler in the answers of health probes and in the metrics."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rota import events
from rota.health.endpoints import Answers, HealthPort, in_thread
from rota.health.process_status import Counters, ProcessStatus
from rota.scheduler.scheduler import Scheduler
from rota.settings.setting_groups import HealthSettings

KIND = "scheduler"


def process_status(scheduler: Scheduler, settings: HealthSettings) -> ProcessStatus:
    """Return the status of a scheduler. Can be called in any thread."""
    now, status = time.monotonic(), scheduler.status()
    asked = now if status.asked_seconds_ago is None else now - status.asked_seconds_ago
    ticked = 0.0 if status.ticked_seconds_ago is None else now - status.ticked_seconds_ago
    counts = {"schedule_runs": float(status.tally.fired), "schedule_refusals": float(status.tally.refused)}
    counts |= {f"skip:{reason}": float(number) for reason, number in tuple(status.tally.skipped.items())}
    counts |= {f"event:{name}": float(number) for name, number in events.counts().items()}
    gauges = {"leading": float(status.leading), "schedules": float(status.schedules if status.leading else 0)}
    if (late := status.tally.lateness(0.99)) is not None and status.leading:
        gauges["lateness"] = late
    return ProcessStatus(
        worker=scheduler.id,
        kind=KIND,
        pid=scheduler.pid,
        status="closed" if scheduler.stopping else "active" if scheduler.ready.is_set() else "new",
        taken_at=now,
        started_at=scheduler.started_at,
        beat_at=asked,
        tick_lost_at=ticked if status.leading else 0.0,
        ready_within_seconds=settings.ready_within.total_seconds(),
        live_within_seconds=settings.live_within.total_seconds(),
        counts=counts,
        gauges=gauges,
        notes=_notes(status.leading, status.leader, status.failed_sources),
    )


def _notes(leading: bool, leader: str, failed: tuple[str, ...]) -> list[str]:
    host, _, rest = leader.partition(":")
    notes = ["it leads" if leading else f"process {rest.partition(':')[0]} on {host} leads" if leader else "none leads"]
    return notes + [f"the source {name} cannot be read" for name in failed]


@contextmanager
def answering_for(scheduler: Scheduler, settings: HealthSettings, socket_path: Path | None) -> Generator[None]:
    """Answer health probes on the port from the settings and on the socket."""
    if settings.health_port is None and socket_path is None:
        yield
        return
    counters = Counters()

    def found() -> list[ProcessStatus]:
        return [process_status(scheduler, settings)]

    answers = Answers(found, lambda: counters.total(found()))
    port = HealthPort(answers, host=settings.health_host, port=settings.health_port, socket_path=socket_path)
    with in_thread(port):
        yield
