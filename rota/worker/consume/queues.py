"""Which queues a worker asks, and in what order: Asynq's two rules, for many slots at once.

Strict: the highest priority that has tasks, always. Weighted: each slot draws a queue with a chance proportional to
its weight (Asynq shuffles one ticket for each unit of weight; drawing slot by slot has the same odds). A queue that
was found empty is left out of the draw until something says that it may have tasks again, so its share goes to the
others, as in Asynq, where an empty queue passes the turn on.

Patterns such as `mail:*` are matched with the set of all queues. The server notifies an idle worker when that set
changes, so that the first task of a new queue starts at once. A busy worker, a worker that polls, and a worker of a
Cluster whose set is on another node read the set at regular intervals.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase

from rota.broker.broker import Broker
from rota.broker.queue_names import read_queue_names
from rota.core.duration import display
from rota.errors import OptionError
from rota.settings.values import check_queue
from rota.worker.ticker import Ticker


class QueueSelection:
    """The queues a worker serves: names or patterns (`mail-*`) with a priority of at least 1 each.

    A pattern also stands for the queue of just that name, so a queue `jobs[eu]` is served under its own name.
    """

    def __init__(self, queues: Mapping[str, int], *, strict: bool = False) -> None:
        self.strict = strict
        self._named: dict[str, int] = {}
        self._patterns: dict[str, int] = {}
        self._found: dict[str, int] = {}
        self._removed: set[str] = set()
        self._priorities: dict[str, int] = {}
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
        check_queue(name, OptionError)
        if priority < 1:
            raise OptionError(f"The priority of queue {name!r} is {priority}, but must be at least 1.")
        (self._patterns if is_pattern(name) else self._named)[name] = priority
        self._removed.discard(name)
        self._update()

    def remove(self, name: str) -> None:
        """Serve this queue no longer, or this pattern and the queues that only it has found.

        A queue that was removed stays so until it is added again, also where a pattern matches it.
        """
        if self._patterns.pop(name, None) is None:
            self._removed.add(name)
        self._named.pop(name, None)
        self._found = {queue: best for queue in self._found if (best := self._best(queue))}
        self._update()

    def discover(self, known: Iterable[str]) -> list[str]:
        """Take up the queues that match a pattern; return those that are new."""
        fresh: list[str] = []
        for queue in known:
            if queue in self._priorities or queue.startswith("}"):
                continue
            if priority := self._best(queue):
                self._found[queue] = priority
                fresh.append(queue)
        self._update()
        return fresh

    def fruitless(self) -> list[str]:
        """Return the patterns that no queue matches."""
        return [name for name in self._patterns if not any(matches(queue, name) for queue in self._priorities)]

    def _best(self, queue: str) -> int:
        if queue in self._removed:
            return 0
        return max((priority for name, priority in self._patterns.items() if matches(queue, name)), default=0)

    def _update(self) -> None:
        self._priorities = self._found | self._named

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


def matches(queue: str, pattern: str) -> bool:
    """Tell whether a pattern stands for a queue: by its wildcards, or because it is the very name of the queue."""
    return queue == pattern or fnmatchcase(queue, pattern)


def _draw(weights: Mapping[str, int], slots: int) -> list[tuple[str, int]]:
    drawn = Counter(random.choices(list(weights), list(weights.values()), k=slots))
    # The order decides who gets what the shares left over, so it is drawn by weight as well.
    order = sorted(weights, key=lambda queue: random.random() ** (1 / weights[queue]), reverse=True)
    return [(queue, drawn[queue]) for queue in order]


logger = logging.getLogger("rota.worker")


class Discovery:
    """Adds the queues that match a pattern of the subscription. A pattern that matches none is logged once."""

    def __init__(self, broker: Broker, subscription: QueueSelection, every: timedelta) -> None:
        self._broker = broker
        self._subscription = subscription
        self._every = every
        self._reported: set[str] = set()
        self._sooner = asyncio.Event()

    def look_soon(self) -> None:
        """Learn that there may be new queues."""
        self._sooner.set()

    async def look(self) -> None:
        """Look once."""
        if not self._subscription.patterns:
            return
        key = self._broker.keys.queues
        self._subscription.discover(read_queue_names(await self._broker.execute("SMEMBERS", key, key=key)))
        for pattern in self._subscription.fruitless():
            if pattern not in self._reported:
                self._reported.add(pattern)
                logger.warning(
                    "No queue matches %r yet: a queue exists from its first task on. The worker looks again every %s.",
                    pattern,
                    display(self._every),
                )

    async def keep(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Look again and again until cancelled. `changed` is called when there are other queues than before."""

        async def look() -> None:
            before = set(self._subscription.queues)
            await self.look()
            if set(self._subscription.queues) != before:
                await changed()

        await Ticker("search for queues", self._every).keep(look, sooner=self._sooner)
