"""What has to be done later: thaw what was frozen, end an outage."""

import time
from collections.abc import Callable


class Agenda:
    """Things to do, each at its time."""

    def __init__(self) -> None:
        self._things: list[tuple[float, Callable[[], object]]] = []

    def add(self, seconds: float, do: Callable[[], object]) -> None:
        """Do this in so many seconds."""
        self._things.append((time.monotonic() + seconds, do))

    def look(self) -> None:
        """Do what is due."""
        self._do(time.monotonic())

    def finish(self) -> None:
        """Do everything that is left, now."""
        self._do(float("inf"))

    def _do(self, now: float) -> None:
        due = sorted((thing for thing in self._things if thing[0] <= now), key=lambda thing: thing[0])
        self._things = [thing for thing in self._things if thing[0] > now]
        for _, do in due:
            do()
