"""Asynq's retry delay (`DefaultRetryDelayFunc` in `server.go`)."""

import random
from collections.abc import Callable


def default_delay_seconds(retried: int, draw: Callable[[int], int] = random.randrange) -> int:
    """Return the wait after a failure: about half a minute at first, days after twenty, 2.7 million years after 3000.

    `retried` counts the retries so far, 0 at the first failure. `draw(n)` returns a number from 0 to n - 1.
    """
    return retried**4 + 15 + draw(30) * (retried + 1)
