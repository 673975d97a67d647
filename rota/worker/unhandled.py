"""Types of tasks that nobody here runs. Their tasks are left for a moment to those who may: new workers, Go servers.

An idle worker is woken before a Go server looks, so it would take each of them first, again and again. So the first
ones of a type go back at once, and from then on the fetch script leaves young ones of that type where they are. One
that nobody else takes meanwhile is put off, with the reason as its error, and left alone again when it is due.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from rota.wire.fetch import Spared

MOST_TYPES = 32
SPARED_SECONDS = 3.0
"""A Go server without work looks each second (`task_check_interval`)."""


class Unhandled:
    """What came here of such types. `handles` tells whether a type is run here by now."""

    def __init__(self, handles: Callable[[str], bool], delay: timedelta) -> None:
        self._handles = handles
        self._seconds = min(SPARED_SECONDS, delay.total_seconds())
        self._types: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    def meet(self, type: str, token: str) -> bool:
        """Note a task. Returns whether it came with the first fetch that brought its type: then nobody was left it yet.

        `token` is the attempt token, one for each fetch.
        """
        self.counts[type] += 1
        if len(self._types) < MOST_TYPES:
            self._types.setdefault(type, token)
        return self._types.get(type) == token

    def spared(self) -> Spared:
        """Return what the next fetch leaves alone."""
        if not self._types:
            return Spared()
        self._types = {type: token for type, token in self._types.items() if not self._handles(type)}
        return Spared(tuple(self._types), self._seconds)
