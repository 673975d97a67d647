"""The time limits of the running attempts, with one timer for all."""

import asyncio
from collections.abc import Callable

from rota.worker.run.attempt import Attempt

FAR = float("inf")


class TimeLimits:
    """Calls `expired` for attempts that reach their time limit.

    One timer serves all attempts, because most tasks end long before their limit, and a timer for each would cost more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[Attempt], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._watched: dict[Attempt, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = FAR

    def watch(self, attempt: Attempt) -> None:
        """Call `expired` at the attempt's `deadline_at`."""
        self._watched[attempt] = None
        if attempt.deadline_at < self._timer_at:
            self._arm(attempt.deadline_at)

    def forget(self, attempt: Attempt) -> None:
        """Do not call `expired` for this attempt any more."""
        self._watched.pop(attempt, None)

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._fire) if at < FAR else None

    def _fire(self) -> None:
        now = self._loop.time()
        for attempt in [a for a in self._watched if a.deadline_at <= now]:
            self.forget(attempt)
            self._expired(attempt)
        self._timer = None
        self._arm(min((a.deadline_at for a in self._watched), default=FAR))
