"""Task types that have no handler in this worker: their tasks are left to other workers, and logged.

A notification wakes an idle worker before a Go server polls, so this worker would take each of these tasks first, again
and again. So:

1. The first tasks of such a type are handed back at once.
2. From then on, the fetch script leaves tasks of that type in the queue for their first seconds (`SPARED_SECONDS`).
3. A task that no other server takes in this time is put off, with the reason as its error. When it is due, step 2
   applies again.

The log has one line a minute with the counts, instead of one line for each task.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from rota import events
from rota.core.text import counted, nearest
from rota.health.process_status import OTHER_TYPES, TypeNames
from rota.wire.fetch import Spared
from rota.worker.clock import lease_clock

FIRST_SECONDS = 1.0
"""How long the first log line waits, because more tasks of unknown types usually follow the first one."""
EVERY_SECONDS = 60.0
_MOST_NAMED = 5
_LONGEST_NAME = 80

_CAUSE = (
    "Perhaps the module of a type is not imported by the app, a name is misspelt, or another program or a newer "
    "version serves the queue too. No retry is used."
)
_NO_TYPES = (
    "This worker has no task types at all: the module that defines the tasks is not imported. Import it where the app "
    "is made, or name it in the command. No retry is used."
)

Later = Callable[[float, Callable[[], None]], object]


class UnknownTypes:
    """Counts and logs the tasks that were handed back because their type has no handler.

    `registered` returns the type names that have handlers. `later` is `call_later` of the event loop by default.
    """

    def __init__(
        self,
        registered: Callable[[], Iterable[str]] = tuple,
        later: Later | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._names = TypeNames()
        self._registered = registered
        self._later = later
        self._clock = clock
        self._unsaid: Counter[str] = Counter()
        self._waiting = False
        self._next_at = 0.0

    def note(self, type: str) -> None:
        """Count a task that is handed back."""
        name = self._names.name(type)
        self.counts[name] += 1
        self._unsaid[name] += 1
        if not self._waiting:
            self._waiting = True
            later = self._later or asyncio.get_running_loop().call_later
            later(max(FIRST_SECONDS, self._next_at - self._clock()), self._say)

    def _say(self) -> None:
        self._waiting, self._next_at = False, self._clock() + EVERY_SECONDS
        unsaid, self._unsaid = self._unsaid, Counter()
        registered = list(self._registered())
        named = [_named(name, count, registered) for name, count in unsaid.most_common(_MOST_NAMED)]
        more = f" and {counted(len(unsaid) - _MOST_NAMED, 'more type')}" if len(unsaid) > _MOST_NAMED else ""
        names, advice = f"{', '.join(named)}{more}", _CAUSE if registered else _NO_TYPES
        events.emit(events.UnknownTypesHandedBack(tasks=unsaid.total(), names=names, advice=advice))


def _named(name: str, count: int, registered: list[str]) -> str:
    near = None if name == OTHER_TYPES else nearest(name, registered)
    shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
    return f"{shown!r} ({count}; did you mean {near!r}?)" if near else f"{shown!r} ({count})"


MOST_TYPES = 32
"""Most types that are spared at once. Types come from other programs, which may put an ID into each of them."""
FORGET_SECONDS = 600.0
"""A type is forgotten when none of its tasks came for this time, because each spared type costs every fetch a little.
If the type comes again, its first task is handed back once more."""
SPARED_SECONDS = 3.0
"""An idle Go server polls each second (`task_check_interval`), so it takes a spared task within this time."""


@dataclass(slots=True)
class Arrivals:
    """When a task of a type arrived for the first time, and for the last time."""

    first: float
    last: float


class Unhandled:
    """Remembers the types without a handler that came to this worker.

    `handles` says whether a type has a handler by now. `delay` is how long a task of an unknown type is put off.
    """

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
        # Otherwise a task would be left in its queue for longer than it would be put off.
        self._seconds = min(SPARED_SECONDS, delay.total_seconds())
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._arrivals: dict[str, Arrivals] = {}
        self.unknown = unknown or UnknownTypes()

    def arrived(self, type: str, lease_until: float) -> bool:
        """Note a task of an unknown type. Returns whether the task is to be handed back at once.

        That is so if its fetch was sent before the type was first noted, and therefore could not spare it. A later
        fetch has spared the task, and no other server has taken it.
        """
        self.unknown.note(type)
        now = self._clock()
        if type not in self._arrivals and len(self._arrivals) < MOST_TYPES:
            self._arrivals[type] = Arrivals(now, now)
        arrivals = self._arrivals.get(type)
        if arrivals is None:
            return False
        arrivals.last = now
        # The left side is when its fetch was sent, because no heartbeat has extended the lease yet.
        return lease_until - self._lease_seconds <= arrivals.first

    def spared(self) -> Spared:
        """Return the types whose young tasks the next fetch leaves in their queues."""
        if not self._arrivals:
            return Spared()
        since = self._clock() - FORGET_SECONDS
        self._arrivals = {
            type: arrivals
            for type, arrivals in self._arrivals.items()
            if arrivals.last >= since and not self._handles(type)
        }
        return Spared(tuple(self._arrivals), self._seconds) if self._arrivals else Spared()
