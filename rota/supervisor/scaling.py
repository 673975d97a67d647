"""How many worker processes there should be, by their load."""

from collections.abc import Sequence
from dataclasses import dataclass

from rota.settings.values import ProcessRange
from rota.supervisor.messages import ProcessReport

MARGIN = 0.5


@dataclass(slots=True)
class Scaling:
    """Grows by one when all were full for a while and tasks wait, shrinks by one when the others would do.

    Full for a while, because a burst is over before a new process has started; and the others would do with half of
    their slots, so that what shrank does not have to grow again at once.
    """

    range: ProcessRange
    up_after_seconds: float
    down_after_seconds: float
    _full_since: float | None = None
    _idle_since: float | None = None

    def look(self, reports: Sequence[ProcessReport], now: float) -> None:
        """Take notice of how the processes are now. One that is not ready yet counts as neither full nor idle."""
        count, used = len(reports), sum(report.used for report in reports)
        capacity = max((report.capacity for report in reports), default=0)
        settled = count > 0 and all(report.ready for report in reports)
        full = settled and all(report.used >= report.capacity for report in reports)
        idle = settled and used <= (count - 1) * capacity * MARGIN
        self._full_since = (now if self._full_since is None else self._full_since) if full else None
        self._idle_since = (now if self._idle_since is None else self._idle_since) if idle else None

    def may_grow(self, count: int, now: float) -> bool:
        """Tell whether one more is due, if tasks wait."""
        return count < self.range.most and _for(self._full_since, now, self.up_after_seconds)

    def may_shrink(self, count: int, now: float) -> bool:
        """Tell whether one less will do."""
        return count > self.range.least and _for(self._idle_since, now, self.down_after_seconds)

    def changed(self) -> None:
        """Begin to look anew: the fleet has just changed."""
        self._full_since = self._idle_since = None


def _for(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since >= seconds
