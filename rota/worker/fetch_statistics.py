"""What a fetcher counts."""

import time
from dataclasses import dataclass, field


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
