"""The share of a scheduler in the answers of health probes and in the metrics."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rota import events
from rota.core.text import counted
from rota.health.endpoints import Answers, HealthPort, in_thread
from rota.health.process_status import Counters, ProcessStatus
from rota.scheduler.scheduler import Scheduler
from rota.scheduler.scheduler_status import SchedulerStatus
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
        notes=_notes(status),
    )


def _notes(status: SchedulerStatus) -> list[str]:
    host, _, rest = status.leader.partition(":")
    other = f"process {rest.partition(':')[0]} on {host} leads" if status.leader else "none leads"
    notes = ["it leads" if status.leading else other]
    notes += [f"the source {name} cannot be read" for name in status.failed_sources]
    if status.spoilt:
        notes.append(f"{counted(len(status.spoilt), 'schedule')} cannot be used (see the log)")
    return notes


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
