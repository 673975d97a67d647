"""When and how a process is replaced: at a limit for its tasks, age or memory, and after its death.

`Recycling` starts the successor of a process at its limit, and then stops the process. The processes of a kind that
does not overlap are only stopped here, and their fleet starts the successor after their end.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from rota import events
from rota.core.randomness import RANDOM
from rota.core.text import counted
from rota.core.this_process import resident_bytes
from rota.settings.setting_groups import SupervisorSettings

if TYPE_CHECKING:
    from rota.supervisor.process import ChildProcess

_MIB = 1024 * 1024
FIRST_SECONDS = 0.5
MOST_SECONDS = 10.0
STABLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The limits of one process; 0 is no limit.

    The limits for tasks and age are lowered by a random part of up to 10 % for each process, so that processes that
    were started together are not replaced together.
    """

    tasks: int = 0
    age_seconds: float = 0
    rss_bytes: int = 0
    share: float = field(default_factory=lambda: RANDOM.uniform(0.9, 1))

    @classmethod
    def of(cls, settings: SupervisorSettings) -> "Lifetime":
        """Read the limits from the settings."""
        age = settings.process_max_age
        return cls(
            settings.process_max_tasks,
            age.total_seconds() if age is not None else 0,
            settings.process_max_rss_mb * _MIB,
        )

    def over(self, ended: int, age_seconds: float, rss_bytes: int | None) -> str:
        """Return a text that says which limit the process has reached; empty if none."""
        if self.tasks and ended >= self.tasks * self.share:
            return f"it has run {counted(ended, 'task')}"
        if self.age_seconds and age_seconds >= self.age_seconds * self.share:
            return f"it is {age_seconds:.0f} s old"
        if self.rss_bytes and (rss_bytes or 0) >= self.rss_bytes:
            return f"its memory has grown to {(rss_bytes or 0) // _MIB} MiB"
        return ""


class RestartBackoff:
    """Counts the deaths of one process and its successors: each process passes this object on to its replacement."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started_at = clock()
        self._deaths = 0

    def started(self) -> None:
        """Note that a process was started."""
        self._started_at = self._clock()

    def died(self) -> float:
        """Note that the process died by itself; return the seconds to wait before its successor is started."""
        stable = self._clock() - self._started_at >= STABLE_SECONDS  # then it is not the app that fails at each start
        self._deaths = 1 if stable else self._deaths + 1
        if self._deaths == 1:
            return 0.0
        wait: float = min(FIRST_SECONDS * 2 ** min(self._deaths - 2, 30), MOST_SECONDS)
        return wait * RANDOM.uniform(0.5, 1)


class Recycling:
    """Replaces one process at a time.

    The old process goes on until the new one is ready. If the new one dies before that, the replacement starts over.
    """

    def __init__(
        self, start: "Callable[[RestartBackoff], Awaitable[ChildProcess]]", drain: timedelta, *, overlaps: bool = True
    ) -> None:
        self._start = start
        self._overlaps = overlaps
        self._drain_seconds = drain.total_seconds()
        self._pair: tuple[ChildProcess, ChildProcess] | None = None
        self._backoff = RestartBackoff()
        self._not_before = 0.0

    @property
    def extra(self) -> int:
        """How many processes exist beyond the target number: 1 while an old process and its successor both run."""
        return int(self._pair is not None and all(process.exit is None for process in self._pair))

    async def look(self, staying: "Iterable[ChildProcess]") -> None:
        """Continue the replacement under way, or start replacing the first process that has reached a limit."""
        if self._pair is not None:
            self._follow(*self._pair)
        if self._pair is not None or time.monotonic() < self._not_before:
            return
        for process in staying:
            why = self._over(process)
            if why:
                events.emit(events.ChildProcessReplaced(**process.about, why=why))
                if not self._overlaps:
                    process.drain(self._drain_seconds)
                    return
                self._backoff.started()
                with suppress(OSError):
                    self._pair = process, await self._start(RestartBackoff())
                return

    def _follow(self, old: "ChildProcess", new: "ChildProcess") -> None:
        if old.exit is None and new.exit is None and not new.report.ready:
            return
        self._pair = None
        if new.exit is not None:  # the old one goes on, also if its successor was ready before it died
            self._not_before = time.monotonic() + self._backoff.died()
        elif old.exit is None:
            old.drain(self._drain_seconds)

    @staticmethod
    def _over(process: "ChildProcess") -> str:
        if process.leaving or not process.report.ready:
            return ""
        age = time.monotonic() - process.started_at
        return process.lifetime.over(process.report.ended, age, resident_bytes(process.pid))
