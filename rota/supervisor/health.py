"""The health of a fleet. The supervisor answers for its processes, because no code of the app can block it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from rota.health import discovery as meeting
from rota.health.counters import Counters
from rota.health.endpoints import Answers, HealthPort
from rota.health.status import ProcessStatus
from rota.settings.setting_groups import HealthSettings
from rota.supervisor.process import WorkerProcess
from rota.wire.owner import Returned


class FleetHealth:
    """The reports of the processes that `processes` returns, and the counts of those that have ended."""

    def __init__(self, processes: Callable[[], Sequence[WorkerProcess]]) -> None:
        self._processes = processes
        self._counters = Counters()

    def port(self, settings: HealthSettings) -> HealthPort:
        """Return the health port. Entering it with `async with` opens it."""
        return HealthPort(
            Answers(self._vitals, lambda: self._counters.total(self._vitals())),
            host=settings.health_host,
            port=settings.health_port,
            socket_path=meeting.own_socket(settings.health_dir),
        )

    def started(self) -> None:
        """Note that a process was started."""
        self._counters.count("process_starts")

    def ended(self, process: WorkerProcess) -> None:
        """Note that a process has ended."""
        if not process.leaving:
            self._counters.count("process_crashes")
        if process.report.vitals is not None:
            self._counters.ended(process.report.vitals)

    def returned(self, returned: Returned) -> None:
        """Count where the tasks of a dead process went."""
        for how in ("pending", "cancelled", "quarantined"):
            self._counters.count(f"returned:{how}", getattr(returned, how))

    def _vitals(self) -> list[ProcessStatus]:
        found = ((process.leaving, process.report.vitals) for process in self._processes())
        return [_seen(vitals, leaving) for leaving, vitals in found if vitals is not None]


def _seen(vitals: ProcessStatus, leaving: bool) -> ProcessStatus:
    # A process that was asked to stop reports "active" until it has read the request.
    return replace(vitals, status="stopped") if leaving and vitals.status == "active" else vitals
