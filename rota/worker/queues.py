"""Which queues a worker asks, and in what order: Asynq's two rules, for many slots at once.

Strict: the highest priority that has tasks, always. Weighted: each slot draws a queue with a chance proportional to
its weight (Asynq shuffles one ticket for each unit of weight; drawing slot by slot has the same odds). A queue that was
found empty is left out of the draw until something says that it may have tasks again, so its share goes to the others,
as in Asynq, where an empty queue passes the turn on.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from rota.errors import OptionError


class Subscription:
    """The queues a worker serves: names or patterns (`mail-*`) with a priority of at least 1 each."""

    def __init__(self, queues: Mapping[str, int], *, strict: bool = False) -> None:
        self.strict = strict
        self._priorities: dict[str, int] = {}
        self._patterns: dict[str, int] = {}
        for name, priority in queues.items():
            self.add(name, priority)

    @property
    def queues(self) -> dict[str, int]:
        """The queues served now with their priorities, highest first."""
        return dict(sorted(self._priorities.items(), key=lambda item: -item[1]))

    @property
    def patterns(self) -> dict[str, int]:
        """The patterns that new queues are matched with."""
        return dict(self._patterns)

    def add(self, name: str, priority: int = 1) -> None:
        """Serve one more queue, or every queue that matches a pattern."""
        if not name.strip():
            raise OptionError("The name of a queue must not be blank. Give it a name such as 'default'.")
        if name.startswith("}"):
            raise OptionError(f"Queue {name!r} must not start with '}}': its keys would spread over a Cluster.")
        if priority < 1:
            raise OptionError(f"The priority of queue {name!r} is {priority}, but must be at least 1.")
        (self._patterns if is_pattern(name) else self._priorities)[name] = priority

    def remove(self, name: str) -> None:
        """Serve this queue (or pattern, with the queues that came by it) no longer."""
        if self._patterns.pop(name, None) is not None:
            for queue in [q for q in self._priorities if fnmatchcase(q, name)]:
                del self._priorities[queue]
        self._priorities.pop(name, None)

    def discover(self, known: Iterable[str]) -> list[str]:
        """Take up the queues that match a pattern; return those that are new."""
        fresh: list[str] = []
        for queue in known:
            if queue in self._priorities or queue.startswith("}"):
                continue
            matching = [priority for pattern, priority in self._patterns.items() if fnmatchcase(queue, pattern)]
            if matching:
                self._priorities[queue] = max(matching)
                fresh.append(queue)
        return fresh

    def shares(self, candidates: Iterable[str], slots: int) -> list[tuple[str, int]]:
        """Spread free slots over the queues that may have tasks, in the order in which they are asked."""
        weights = {queue: self._priorities[queue] for queue in candidates if queue in self._priorities}
        if not weights:
            return []
        if len(weights) == 1:
            return [(next(iter(weights)), slots)]
        if self.strict:
            ordered = sorted(weights, key=lambda queue: (-weights[queue], queue))
            return [(queue, slots if rank == 0 else 0) for rank, queue in enumerate(ordered)]
        return _draw(weights, slots)


def is_pattern(name: str) -> bool:
    """Tell whether a name subscribes to a pattern of queues."""
    return any(mark in name for mark in "*?[")


def _draw(weights: Mapping[str, int], slots: int) -> list[tuple[str, int]]:
    drawn = Counter(random.choices(list(weights), list(weights.values()), k=slots))
    # The order decides who gets what the shares left over, so it is drawn by weight as well.
    order = sorted(weights, key=lambda queue: random.random() ** (1 / weights[queue]), reverse=True)
    return [(queue, drawn[queue]) for queue in order]
