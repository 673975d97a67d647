"""Counts tasks of types that have no handler here, and logs them once a minute instead of once for each task."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable

from rota.health.type_names import OTHER_TYPES, TypeNames
from rota.sentences import counted, nearest
from rota.worker.outcome_log import log

FIRST_SECONDS = 1.0
"""Tasks seldom come alone, so the first line waits for those that come with the first task."""
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
    """`registered` returns the type names that have handlers. `later` is the event loop's by default."""

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
        log(
            logging.WARNING,
            "Handed back %s, because this worker has no handler for the type: %s%s. %s",
            counted(unsaid.total(), "task"),
            ", ".join(named),
            more,
            _CAUSE if registered else _NO_TYPES,
        )


def _named(name: str, count: int, registered: list[str]) -> str:
    near = None if name == OTHER_TYPES else nearest(name, registered)
    shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
    return f"{shown!r} ({count}; did you mean {near!r}?)" if near else f"{shown!r} ({count})"
