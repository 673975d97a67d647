"""The time limits of the running attempts, with one timer for all.

One timer serves all attempts, because most tasks end long before their limit, and a timer for each would cost more. An
attempt is limited while its `deadline_at` is finite. So the limit of an attempt that has ended, or that waits for a
thread, is taken off by `deadline_at = FAR`, and the timer finds nothing to do.
"""

import asyncio
from collections.abc import Callable, Collection
from time import monotonic

from rota.wire.message import deadline_text, timeout_text
from rota.wire.times import LAST_SECOND, whole_seconds
from rota.worker.clock import BrokerClock
from rota.worker.run.attempt import FAR, Attempt, Stop

ASYNQ_DEFAULT_TIMEOUT_SECONDS = 1800


class TimeLimits:
    """Calls `stop` for attempts that reach their time limit. `held` has all attempts that may be limited."""

    def __init__(
        self, clock: BrokerClock, held: Collection[Attempt], stop: Callable[[Attempt, Stop, str], None]
    ) -> None:
        self._clock = clock
        self._held = held
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = FAR

    def start(self, attempt: Attempt, now: float) -> float:
        """Start the time limit at `now`. Returns the time at which it ends. Both are times of the server's clock."""
        message = attempt.message
        seconds: float = message.timeout
        unsaid = seconds in (0, ASYNQ_DEFAULT_TIMEOUT_SECONDS) and "timeout" not in attempt.explicit
        if unsaid and (own := attempt.handler.timeout) is not None:
            # Asynq's clients write 30 minutes if no timeout was given, so the handler's own limit applies.
            seconds = whole_seconds(own)
        until = message.deadline
        # As in Asynq: a deadline alone is the only limit, and a task without either gets 30 minutes (trap 3).
        attempt.limit_seconds = seconds or (FAR if until else ASYNQ_DEFAULT_TIMEOUT_SECONDS)
        deadline = now + attempt.limit_seconds
        if until or deadline > LAST_SECOND:
            # A Go client may give times beyond the range of Python's datetime and of the record of running tasks.
            deadline = min(deadline, until or LAST_SECOND, LAST_SECOND)
        attempt.deadline_unix = deadline
        attempt.deadline_at = at = deadline - self._clock.offset  # `monotonic`, inlined for the path of every task
        if at < self._timer_at:
            self._arm(at)
        return deadline

    def restart(self, attempt: Attempt) -> None:
        """Give an attempt that has waited for a thread or process its full time limit."""
        attempt.began_at = monotonic()
        deadline = self.start(attempt, self._clock.now())
        attempt.context.begin(deadline, attempt.deadline_at)

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._fire) if at < FAR else None

    def _fire(self) -> None:
        now = self._loop.time()
        self._timer, self._timer_at = None, FAR
        for attempt in [a for a in self._held if a.deadline_at <= now]:
            attempt.deadline_at = FAR
            self._time_out(attempt)
        self._arm(min((a.deadline_at for a in self._held), default=FAR))

    def _time_out(self, attempt: Attempt) -> None:
        deadline = min(attempt.message.deadline, LAST_SECOND)
        passed = deadline and attempt.deadline_unix >= deadline
        said = deadline_text(deadline) if passed else timeout_text(attempt.limit_seconds)
        self._stop(attempt, "deadline" if passed else "timeout", said)
        if deadline and not passed:
            # A handler that goes on is stopped again at the deadline of its task; `_fire` arms the timer for that.
            attempt.deadline_unix, attempt.deadline_at = deadline, self._clock.monotonic(deadline)
