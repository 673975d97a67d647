"""The kinds of processes that a supervisor starts: the worker, which is the first kind, and the scheduler.

To add a kind, describe it here as a `Kind`, and add it to `KINDS` in `rota.supervisor.supervisor`. Its command runs the
`main` of a module in `rota/cli/`, such as `scheduler_child`, which talks to the supervisor as a worker does
(`rota.supervisor.lifeline`):

1. `Lifeline.on_standard_input().read_setup()` returns its `ProcessSetup`.
2. It loads the app, and sends an `Introduction` within the start limit.
3. It sends a `ProcessReport` several times a second, from the thread that `Lifeline.start` starts. `ready` says that it
   has begun its work, and `status` is its share in the answers of health probes.
4. It stops on SIGTERM, at once on SIGINT, and if the supervisor has ended. Exit code 0 is a good end, and exit code 2,
   before the process was ready, says that another process would fail in the same way.

The supervisor does the rest: it replaces a process that has died, with growing pauses, and kills and replaces one that
does not start, does not report or does not stop within the limits. `tests/integration/supervisor/test_kinds.py` runs a
kind of its own. Numbers of a kind for Prometheus are `counts` and `gauges` of its `status` (`rota.health.metrics`).
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from rota.settings.settings import Settings
from rota.settings.values import ProcessRange
from rota.supervisor.replacement import Lifetime

ONE = ProcessRange(1, 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a process may take: to load the app, between two reports once it is ready, and to stop."""

    start: timedelta
    silence: timedelta | None
    stop: timedelta

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Read the limits of worker processes from the settings."""
        supervisor = settings.supervisor
        return cls(supervisor.process_start_timeout, supervisor.process_hang_after, settings.worker.shutdown_timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of processes."""

    name: str
    """One word, for log lines and health: `worker`."""
    command: tuple[str, ...]
    processes: Callable[[Settings], ProcessRange] = lambda settings: ONE
    """How many processes there are. A range follows the load of the queues; only a kind that owns tasks can."""
    owns_tasks: bool = False
    """Whether the processes hold tasks. Then their leases are extended while they are late, and their tasks are given
    back after their death. A process that is replaced is drained first."""
    limits: Callable[[Settings], Limits] = Limits.of
    lifetime: Callable[[Settings], Lifetime] = lambda settings: Lifetime()
    """The limits at which a process is replaced."""
    overlaps: bool = True
    """Whether the successor of a process starts before the process is asked to stop, or after it has ended."""
    stop_turn: int = 0
    """The kinds with the lowest turn are asked to stop first. The next turn comes when all of these have ended."""
    required: bool = True
    """Whether the command is ready only while at least one process of this kind is."""
    is_wanted: Callable[[Settings, bool], bool] = lambda settings, schedules: True
    """Whether a command needs this kind, by its settings and by whether its app declares schedules."""


def program(module: str) -> tuple[str, ...]:
    """Return the command that runs the `main` of a module in a new process."""
    return sys.executable, "-c", "from rota.cli import start; start()", module


WORKER = Kind(
    name="worker",
    command=program("rota.cli.child"),
    processes=lambda settings: settings.supervisor.processes,
    owns_tasks=True,
    lifetime=lambda settings: Lifetime.of(settings.supervisor),
)


def _scheduler_limits(settings: Settings) -> Limits:
    supervisor = settings.supervisor
    return Limits(supervisor.process_start_timeout, supervisor.process_hang_after or HANGING_SCHEDULER, SCHEDULER_STOP)


HANGING_SCHEDULER = timedelta(seconds=30)
"""A scheduler runs no functions of the app, so one that does not report for this time hangs."""
SCHEDULER_STOP = timedelta(seconds=8)
SCHEDULER = Kind(
    name="scheduler",
    command=program("rota.cli.scheduler_child"),
    limits=_scheduler_limits,
    is_wanted=lambda settings, schedules: (
        settings.supervisor.scheduler and (schedules or settings.database.store is not None)
    ),
)
