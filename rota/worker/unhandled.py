"""Types of tasks that nobody here runs. Their tasks are left for a moment to those who may: new workers, Go servers.

An idle worker is woken before a Go server looks, so it would take each of them first, again and again. So the first
ones of a type go back at once, and from then on the fetch script leaves young ones of that type where they are. One
that nobody else takes meanwhile is put off, with the reason as its error, and left alone again when it is due.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from rota.wire.fetch import Spared
from rota.worker.clock import lease_clock
from rota.worker.unknown_types import UnknownTypes

MOST_TYPES = 32
FORGET_SECONDS = 600.0
"""To pass a type by costs each fetch a little. One that comes again is met again, at the cost of one way back."""
SPARED_SECONDS = 3.0
"""A Go server without work looks each second (`task_check_interval`)."""


@dataclass(slots=True)
class Meeting:
    """When a type came first, and last."""

    first: float
    last: float


class Unhandled:
    """What came here of such types. `handles` tells whether one is run here by now; `delay` is for what is put off."""

    def __init__(
        self,
        handles: Callable[[str], bool],
        delay: timedelta,
        lease_seconds: float,
        clock: Callable[[], float] = lease_clock,
        *,
        unknown: UnknownTypes | None = None,
    ) -> None:
        self.delay = delay
        self._handles = handles
        self._seconds = min(SPARED_SECONDS, delay.total_seconds())
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._met: dict[str, Meeting] = {}
        self.unknown = unknown or UnknownTypes()

    def meet(self, type: str, lease_until: float) -> bool:
        """Note a task. Returns whether its fetch had left before the type was first met, and so could not spare it."""
        self.unknown.note(type)
        now = self._clock()
        if type not in self._met and len(self._met) < MOST_TYPES:
            self._met[type] = Meeting(now, now)
        met = self._met.get(type)
        if met is None:
            return False
        met.last = now
        return lease_until - self._lease_seconds <= met.first

    def spared(self) -> Spared:
        """Return what the next fetch leaves alone."""
        if not self._met:
            return Spared()
        since = self._clock() - FORGET_SECONDS
        self._met = {type: met for type, met in self._met.items() if met.last >= since and not self._handles(type)}
        return Spared(tuple(self._met), self._seconds) if self._met else Spared()
