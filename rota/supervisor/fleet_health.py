"""The health of all fleets. The supervisor answers for its processes, because no code of the app can block it."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rota import events
from rota.health import discovery
from rota.health.endpoints import Answers, HealthPort
from rota.health.process_status import Counters, ProcessStatus
from rota.settings.setting_groups import HealthSettings
from rota.supervisor.fleet import Fleet
from rota.supervisor.kind import WORKER
from rota.supervisor.process import ChildProcess
from rota.wire.owner import Returned


class FleetHealth:
    """The reports of the processes of some fleets, and the counts of those that have ended."""

    def __init__(self, fleets: Sequence[Fleet]) -> None:
        self._fleets = fleets
        self._counters = Counters()

    def port(self, settings: HealthSettings) -> HealthPort:
        """Return the health port. Entering it with `async with` opens it."""
        return HealthPort(
            Answers(self._statuses, self._counts),
            host=settings.health_host,
            port=settings.health_port,
            socket_path=discovery.own_socket(settings.health_dir),
        )

    def started(self, process: ChildProcess) -> None:
        """Note that a process was started."""
        self._counters.count(_counter(process, "process_starts"))

    def ended(self, process: ChildProcess) -> None:
        """Note that a process has ended."""
        if not process.leaving:
            self._counters.count(_counter(process, "process_crashes"))
        if process.report.status is not None:
            self._counters.ended(process.report.status)

    def returned(self, returned: Returned) -> None:
        """Count where the tasks of a dead process went."""
        for how in ("pending", "cancelled", "quarantined"):
            self._counters.count(f"returned:{how}", getattr(returned, how))

    def _counts(self) -> dict[str, float]:
        total = self._counters.total(self._statuses())
        for name, number in events.counts().items():  # those of this process
            total[f"event:{name}"] = total.get(f"event:{name}", 0.0) + number
        return total

    def _statuses(self) -> list[ProcessStatus]:
        found = [(fleet, list(_reported(fleet))) for fleet in self._fleets]
        if any(reports for _, reports in found):
            # Otherwise a kind whose only process has died would be left out, and the answer would be "ready".
            found = [(fleet, reports or _absent(fleet)) for fleet, reports in found]
        return [status for _, reports in found for status in reports]


def _reported(fleet: Fleet) -> Iterator[ProcessStatus]:
    for process in fleet.processes:
        if process.report.status is not None:
            yield _seen(process.report.status, process.leaving)


def _absent(fleet: Fleet) -> list[ProcessStatus]:
    """Return a status for a kind of which no process has reported yet."""
    if not (fleet.target and fleet.kind.required):
        return []
    pid = fleet.processes[0].pid if fleet.processes else 0
    return [ProcessStatus(worker="", kind=fleet.kind.name, pid=pid, status="new", taken_at=time.monotonic())]


def _counter(process: ChildProcess, name: str) -> str:
    return name if process.kind is WORKER else f"{process.kind.name}:{name}"


def _seen(status: ProcessStatus, leaving: bool) -> ProcessStatus:
    # A process that was asked to stop reports "active" until it has read the request.
    return replace(status, status="stopped") if leaving and status.status == "active" else status
