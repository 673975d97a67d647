"""The queues a worker asks, and in what order: Asynq's two rules, applied to many slots at once.

Strict: tasks are taken from the queue with the highest priority that has tasks. Weighted: each slot draws a queue with
a chance proportional to its weight. (Asynq shuffles one ticket for each unit of weight; drawing once for each slot has
the same odds.) A queue that was found empty is left out of the draw until it may have tasks again. Its share goes to
the other queues, as in Asynq, where the next queue is asked after an empty one.

Patterns such as `mail:*` are matched against the set of all queues. The server notifies an idle worker when that set
changes, so that the first task of a new queue starts at once. Other workers read the set at regular intervals: a busy
worker, a worker that polls, and in a Cluster a worker whose connection is to another node than the one with the set.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

from rota import events
from rota.broker.broker import Broker
from rota.core.duration import display
from rota.core.randomness import RANDOM
from rota.errors import OptionError
from rota.settings.values import check_queue
from rota.wire.fetch import LastChance, Spared
from rota.wire.names import read_queue_names
from rota.worker.ticker import Ticker


class QueueSelection:
    """The queues a worker serves: names or patterns (`mail-*`), each with a priority of at least 1.

    A pattern also matches the queue of exactly that name, so that a queue called `jobs[eu]` can be served.
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
        """The patterns that new queues are matched against, with their priorities."""
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
        """Stop serving this queue, or this pattern and the queues that no other pattern matches.

        A removed queue is not served until it is added again, even if a pattern matches it.
        """
        if self._patterns.pop(name, None) is None:
            self._removed.add(name)
        self._named.pop(name, None)
        self._found = {queue: best for queue in self._found if (best := self._best(queue))}
        self._update()

    def discover(self, known: Iterable[str]) -> list[str]:
        """Start serving the known queues that match a pattern; return those that are new."""
        fresh: list[str] = []
        for queue in known:
            # A name with `}` in front has no hash tag, so its keys would be on several nodes of a Cluster (trap 73).
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
        # A new dict, because the heartbeat reads it in its own thread. A priority by name beats that of a pattern.
        self._priorities = self._found | self._named

    def shares(self, candidates: Iterable[str], slots: int) -> list[tuple[str, int]]:
        """Divide the free slots among the queues that may have tasks; return them in the order in which to ask them."""
        served = self._priorities.keys() & candidates
        if not served:
            return []
        if len(served) == 1:
            return [(served.pop(), slots)]
        weights = {queue: self._priorities[queue] for queue in served}
        if self.strict:
            ordered = sorted(weights, key=lambda queue: (-weights[queue], queue))
            # The script gives the slots that the first queue leaves unused to the others, in this order.
            return [(queue, slots if rank == 0 else 0) for rank, queue in enumerate(ordered)]
        return _draw(weights, slots)


def is_pattern(name: str) -> bool:
    """Whether a name is a pattern."""
    return any(mark in name for mark in "*?[")


def matches(queue: str, pattern: str) -> bool:
    """Whether a pattern matches a queue: by its wildcards, or because it equals the name of the queue."""
    return queue == pattern or fnmatchcase(queue, pattern)


def _draw(weights: Mapping[str, int], slots: int) -> list[tuple[str, int]]:
    drawn = Counter(RANDOM.choices(list(weights), list(weights.values()), k=slots))
    # Slots that some queues leave unused go to the others in this order, so the order is drawn by weight as well
    # (weighted sampling without replacement, by the method of Efraimidis and Spirakis).
    order = sorted(weights, key=lambda queue: RANDOM.random() ** (1 / weights[queue]), reverse=True)
    return [(queue, drawn[queue]) for queue in order]


class Discovery:
    """Adds the queues that match a pattern of the subscription. A pattern that matches no queue is logged once."""

    def __init__(self, broker: Broker, subscription: QueueSelection, every: timedelta) -> None:
        self._broker = broker
        self._subscription = subscription
        self._every = every
        self._reported: set[str] = set()
        self._sooner = asyncio.Event()

    def look_soon(self) -> None:
        """Search soon, because there may be new queues."""
        self._sooner.set()

    async def look(self) -> None:
        """Search once for new queues."""
        if not self._subscription.patterns:
            return
        key = self._broker.keys.queues
        self._subscription.discover(read_queue_names(await self._broker.execute("SMEMBERS", key, key=key)))
        for pattern in self._subscription.fruitless():
            if pattern not in self._reported:
                self._reported.add(pattern)
                events.emit(events.PatternMatchesNothing(pattern=pattern, every=display(self._every)))

    async def keep(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Search at intervals until cancelled. `changed` is called when the set of served queues has changed."""

        async def look() -> None:
            before = set(self._subscription.queues)
            await self.look()
            if set(self._subscription.queues) != before:
                await changed()

        await Ticker("search for queues", self._every).keep(look, sooner=self._sooner)


@dataclass(frozen=True, slots=True)
class FetchRules:
    """Which tasks a fetcher may take at the moment.

    `serves` says which queues of the selection are on its node. `queues_may_be_new` asks for a search for new queues.
    """

    selection: QueueSelection
    serves: Callable[[str], bool]
    last_chance: Callable[[], LastChance]
    spared: Callable[[], Spared]
    queues_may_be_new: Callable[[], None]
