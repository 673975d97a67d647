"""The counts and the status of a scheduler, for health, metrics and tests."""

from collections import Counter, deque
from dataclasses import dataclass, field

REMEMBERED = 1000


@dataclass(slots=True)
class Tally:
    """Counts since the start, and how late the last runs were."""

    fired: int = 0
    refused: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    """Planned times by the reason of their skip."""
    late_seconds: "deque[float]" = field(default_factory=lambda: deque[float](maxlen=REMEMBERED))

    def lateness(self, share: float) -> float | None:
        """Return the lateness that this share of the last runs did not exceed; None if there was no run."""
        seen = sorted(self.late_seconds.copy())
        return seen[min(int(len(seen) * share), len(seen) - 1)] if seen else None

    def copy(self) -> "Tally":
        """Return a copy."""
        late = deque[float](tuple(self.late_seconds), maxlen=REMEMBERED)
        return Tally(self.fired, self.refused, Counter[str](self.skipped), late)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerStatus:
    """A snapshot. Of the schedulers of an installation only the leader ticks.

    `leader` is `host:pid:id` of the scheduler that led when this one last asked. `ticked_seconds_ago` is None for a
    scheduler that does not lead, `asked_seconds_ago` None before the server has first answered.
    """

    scheduler: str
    leading: bool
    leader: str
    epoch: int
    schedules: int
    ticked_seconds_ago: float | None
    asked_seconds_ago: float | None
    failed_sources: tuple[str, ...]
    spoilt: tuple[str, ...] = ()
    """The names of the schedules that cannot be used."""
    tally: Tally
