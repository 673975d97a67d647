"""How fast the places of a limited type change hands, and so when a task that found none is called up again.

A long line behind a slow type must not go round once a second; behind a quick one it is called up soon.
"""

import random
import time

LEAST_SECONDS, MOST_SECONDS = 1.0, 30.0


class Turnover:
    """Measures one type in one worker."""

    def __init__(self) -> None:
        self._changed_at = time.monotonic()
        self._interval = 0.0
        self.put_off_until = 0.0
        """When the last task that found no place is due again, on the monotonic clock."""

    def begin(self) -> None:
        """Note that a task starts where none ran: the time before says nothing."""
        self._changed_at = time.monotonic()

    def end(self) -> None:
        """Note that a place has become free."""
        now = time.monotonic()
        self._interval, self._changed_at = now - self._changed_at, now

    def wait_seconds(self) -> float:
        """How long a task that found no place stays away: about as long as the next change takes."""
        now = time.monotonic()
        expected = max(self._interval, now - self._changed_at)
        seconds = random.uniform(0.5, 1.5) * min(max(expected, LEAST_SECONDS), MOST_SECONDS)
        self.put_off_until = max(self.put_off_until, now + seconds)
        return seconds
