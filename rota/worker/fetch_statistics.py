"""What a fetcher counts."""

import time
from dataclasses import dataclass, field

COUNTS = ("rounds", "empty_rounds", "taken", "dangling", "reconnects")


@dataclass(slots=True)
class FetchStatistics:
    """What a fetcher has done, and how it waits."""

    wakeup: str = ""
    rounds: int = 0
    empty_rounds: int = 0
    taken: int = 0
    dangling: int = 0
    reconnects: int = 0
    waiting: bool = False
    last_success_at: float = field(default_factory=time.monotonic)

    def add(self, other: "FetchStatistics") -> None:
        """Add what another fetcher has counted."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
