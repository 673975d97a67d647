"""Asynq's retry delay (`DefaultRetryDelayFunc` in `server.go`)."""

import random
from collections.abc import Callable
from datetime import timedelta


def default_delay(retried: int, draw: Callable[[int], int] = random.randrange) -> timedelta:
    """Return the wait after a failure: about half a minute at first, days after twenty.

    `retried` counts the retries so far, 0 at the first failure. `draw(n)` returns a number from 0 to n - 1.
    """
    return timedelta(seconds=retried**4 + 15 + draw(30) * (retried + 1))
