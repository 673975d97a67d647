"""How soon a worker process that died is replaced: at once the first time, then after growing pauses."""

import random
import time
from collections.abc import Callable

FIRST_SECONDS = 0.5
MOST_SECONDS = 10.0
STABLE_SECONDS = 60.0


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
        stable = self._clock() - self._started_at >= STABLE_SECONDS
        self._deaths = 1 if stable else self._deaths + 1
        if self._deaths == 1:
            return 0.0
        wait: float = min(FIRST_SECONDS * 2 ** min(self._deaths - 2, 30), MOST_SECONDS)
        return wait * random.uniform(0.5, 1)
