"""Good manners among many idle workers: each change wakes all that listen, and all but one come for nothing.

A worker that came for nothing several times in a row stops to listen for a while, longer each time, so that the crowd
shrinks to what is needed. One that got a task is needed, and listens on.
"""

import random

LOSSES_BEFORE_BACKOFF = 3
FIRST_SECONDS = 0.02
MOST_SECONDS = 1.0


class Crowd:
    """Counts the races that this worker has lost."""

    def __init__(self) -> None:
        self._losses = 0
        self._lost_last = False
        self._racing = False

    def race(self) -> None:
        """Note a change that several workers race for."""
        self._racing = True

    def result(self, taken: int) -> None:
        """Note what came of a look."""
        self._lost_last = self._racing and not taken
        if taken:
            self._losses = 0
        elif self._racing:
            self._losses += 1
        self._racing = False

    def pause_seconds(self) -> float:
        """How long to stay out of the next races; 0 for a worker that is needed."""
        if not self._lost_last or self._losses < LOSSES_BEFORE_BACKOFF:
            return 0.0
        self._lost_last = False
        pause: float = min(FIRST_SECONDS * 2 ** (self._losses - LOSSES_BEFORE_BACKOFF), MOST_SECONDS)
        return random.uniform(0.5, 1) * pause
