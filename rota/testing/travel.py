"""The clock of a sandbox: what is due later becomes due when a test moves the clock.

All scripts read this clock (`rota.wire.script`), so delays, retries, retention, groups, deadlines and unique locks
follow it. It is not the clock of Python: `datetime.now()` does not move.
"""

from datetime import UTC, datetime, timedelta

from rota.broker.sync import SyncBroker
from rota.core.duration import DurationLike, parse
from rota.errors import OptionError
from rota.settings.settings import Settings
from rota.wire.names import read_queue_names
from rota.wire.script import MOST_DELETED, MOST_FORWARDED, Call, set_test_clock
from rota.wire.sweep import clean, forward
from rota.wire.times import EPOCH, whole_milliseconds

MICROSECOND = timedelta(microseconds=1)
LATEST = datetime(2255, 1, 1, tzinfo=UTC)
"""Until here a Lua number holds the microseconds since 1970 exactly."""


class SandboxClock:
    """The server's clock, as the programs that are connected to a sandbox see it.

    A move makes the tasks that became due pending, and deletes the completed tasks whose retention is over, as a worker
    would. Leases move with the clock, so a task that runs meanwhile is not taken for lost.
    """

    def __init__(self, broker: SyncBroker, settings: Settings) -> None:
        self._broker = broker
        self._settings = settings

    def now(self) -> datetime:
        """The time that the clock shows, in UTC."""
        return self._run(set_test_clock("read"))

    def travel(self, by: DurationLike) -> datetime:
        """Move the clock ahead by a duration such as `"1h"`; return the new time."""
        return self._move(parse(by, "the duration to travel"))

    def travel_to(self, instant: datetime) -> datetime:
        """Move the clock ahead to an instant; return the new time. An empty sandbox can also go back in time."""
        return self._move(self._step_to(instant))

    def freeze(self, at: datetime | None = None) -> datetime:
        """Stop the clock, at an instant if one is given; return the time that it shows. It can still be moved.

        Without an instant it shows whole milliseconds, as the times of waiting tasks have them. So the time of a task
        is exactly this time and its delay.
        """
        if at is not None:
            self._step_to(at)  # a clock that cannot go there goes on
        self._run(set_test_clock("freeze"))
        return self.travel_to(whole_milliseconds(self.now()) if at is None else at)

    def resume(self) -> datetime:
        """Let a stopped clock go on from the time that it shows; return that time."""
        return self._run(set_test_clock("resume"))

    def queues(self) -> list[str]:
        """The names of the queues that exist in the sandbox."""
        key = self._broker.keys.queues
        return read_queue_names(self._broker.execute("SMEMBERS", key, key=key))

    def next_due(self) -> datetime | None:
        """When the next scheduled or retried task is due; None if there is none."""
        due: list[float] = []
        for name in self.queues():
            keys = self._broker.keys.queue(name)
            for key in (keys.scheduled, keys.retry):
                due += [float(score) for _, score in self._broker.execute("ZRANGE", key, 0, 0, "WITHSCORES", key=key)]
        return rounded_up(min(due)) if due else None

    def _step_to(self, instant: datetime) -> timedelta:
        """Return how far the clock has to move. Raises OptionError if it cannot."""
        if not isinstance(instant, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError(
                f"{instant!r} is not an instant: write datetime(2030, 1, 31, 12, tzinfo=UTC), for example."
            )
        if instant.tzinfo is None:
            raise OptionError(f"{instant} has no time zone: add one, as in datetime(..., tzinfo=UTC).")
        now = self.now()
        if instant < now and self.queues():
            raise OptionError(
                f"The clock shows {now} and cannot go back to {instant}, because tasks were enqueued already: "
                "set an earlier time before the first task."
            )
        step = instant - now
        self._check(step, now)
        return step

    def _check(self, step: timedelta, now: datetime) -> None:
        if not EPOCH - now <= step <= LATEST - now:
            raise OptionError(
                f"The clock shows {now} and cannot move by {step}: it goes from {EPOCH:%Y} to {LATEST:%Y}, because "
                "Lua counts microseconds exactly only until then."
            )

    def _move(self, step: timedelta) -> datetime:
        self._check(step, self.now())
        now = self._run(set_test_clock("move", step // MICROSECOND))
        sweep = self._settings.sweep
        for name in self.queues():
            keys = self._broker.keys.queue(name)
            while self._broker.run(forward(keys, MOST_FORWARDED)).more:
                pass
            cleaning = clean(keys, limit=MOST_DELETED, archive_size=sweep.archive_max, archive_age=sweep.archive_age)
            while self._broker.run(cleaning).more:
                pass
        return now

    def _run(self, call: Call[int]) -> datetime:
        return EPOCH + self._broker.run(call) * MICROSECOND


def rounded_up(seconds: float) -> datetime:
    """Return an instant at which the clock is not before a score, which is rounded."""
    return EPOCH + timedelta(seconds=seconds) + MICROSECOND
