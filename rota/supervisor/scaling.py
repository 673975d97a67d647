"""Decides from the load how many worker processes there should be."""

from collections.abc import Sequence
from dataclasses import dataclass

from rota.settings.values import ProcessRange
from rota.supervisor.messages import ProcessReport

MARGIN = 0.5


@dataclass(slots=True)
class Scaling:
    """Decides when to start or stop one process.

    - Grow when all slots of all processes have been in use for `up_after_seconds`, and tasks wait. A shorter peak is
      over before a new process has started.
    - Shrink when the running tasks have fitted into half of the slots of the other processes for `down_after_seconds`.
      With more than half in use, the fleet might have to grow again at once.
    """

    range: ProcessRange
    up_after_seconds: float
    down_after_seconds: float
    _full_since: float | None = None
    _idle_since: float | None = None

    def look(self, reports: Sequence[ProcessReport], now: float) -> None:
        """Update from the current reports. While one process is not ready, the fleet is neither full nor idle."""
        count, used = len(reports), sum(report.used for report in reports)
        capacity = max((report.capacity for report in reports), default=0)
        settled = count > 0 and all(report.ready for report in reports)  # a new process may soon take the load
        full = settled and all(report.used >= report.capacity for report in reports)
        idle = settled and used <= (count - 1) * capacity * MARGIN
        self._full_since = (now if self._full_since is None else self._full_since) if full else None
        self._idle_since = (now if self._idle_since is None else self._idle_since) if idle else None

    def may_grow(self, count: int, now: float) -> bool:
        """Whether to start one more process, provided that tasks wait."""
        return count < self.range.most and _for(self._full_since, now, self.up_after_seconds)

    def may_shrink(self, count: int, now: float) -> bool:
        """Whether to stop one process."""
        return count > self.range.least and _for(self._idle_since, now, self.down_after_seconds)

    def changed(self) -> None:
        """Forget the past load, because the number of processes has just changed."""
        self._full_since = self._idle_since = None


def _for(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since >= seconds
