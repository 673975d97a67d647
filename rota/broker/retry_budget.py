"""How long a request that was not carried out is retried, and the delays between the attempts."""

import random
import time

from rota.broker.failure import NotNow, SlotMoved

_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 2.0
_MOST_REDIRECTS = 5


def pause_seconds(failures: int) -> float:
    """Return the delay after this number of failures in a row: exponential, with an upper limit and jitter."""
    pause: float = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 10))
    return pause * random.uniform(0.5, 1.0)


class RetryBudget:
    """The time that one request has for retries."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._failures = 0
        self._redirects = 0

    def left_seconds(self) -> float:
        """Return the seconds that are left."""
        return max(0.0, self._deadline - time.monotonic())

    def pause_after(self, error: NotNow) -> float:
        """Return the seconds to wait before the next attempt. Raises the error if that exceeds the time left.

        The first redirects of a Cluster (`SlotMoved`) are followed without a delay.
        """
        if isinstance(error, SlotMoved) and self._redirects < _MOST_REDIRECTS:
            self._redirects += 1
            return 0.0
        self._failures += 1
        pause = pause_seconds(self._failures)
        if pause > self.left_seconds():
            raise error
        return pause
