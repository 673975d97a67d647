"""The server's time, which decides when a planned time has come, so that the clocks of the machines do not matter.

Each answer to a candidacy brings the time. The answer was on its way for a while, so the time is known only up to the
length of that way. The estimate takes the answer of the last minute that was on its way for the shortest time.
"""

import time
from collections import deque
from datetime import UTC, datetime

REMEMBERED = 60
JUMP_SECONDS = 0.5
"""If the server's time differs from the estimate by more than this, its clock was set, or another server answers."""


class ServerTime:
    """Tells the server's time between its answers, with this machine's monotonic clock. It does not run ahead."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()
        self._answers: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)
        self.jumps = 0
        """How often the server's clock was set, as far as seen from here."""

    def set(self, now: float, sent_at: float, read_at: float) -> None:
        """Note the server's time from an answer that was read at `read_at`, on the monotonic clock."""
        # The server read its clock between `sent_at` and `read_at`, so the offset lies between these two.
        least, most = now - read_at, now - sent_at
        if self._answers and not least - JUMP_SECONDS < self._offset < most + JUMP_SECONDS:
            self._answers.clear()
            self.jumps += 1
        self._answers.append((most - least, least))
        self._offset = min(self._answers)[1]

    def now(self) -> float:
        """The server's time in seconds since 1970."""
        return time.monotonic() + self._offset

    def moment(self) -> datetime:
        """The server's time as a datetime in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)
