"""What is known of the groups of a worker: which have to be looked at, and when each of the others is due."""

import random
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from rota.aggregator import Aggregator as Registered

Key = tuple[str, str]
"""Queue and group."""


@dataclass(slots=True)
class GroupAgenda:
    """Times are those of the server, but `next_look`, which is monotonic."""

    due: dict[Key, tuple[float, Registered]] = field(default_factory=dict[Key, tuple[float, Registered]])
    sized: set[Key] = field(default_factory=set[Key])
    """Groups that are due by their size. They have to be looked at whenever a task joins them."""
    held: dict[Key, tuple[Registered, float]] = field(default_factory=dict[Key, tuple[Registered, float]])
    """Groups in which an aggregator found nothing for itself, or failed, and until when it leaves them alone."""
    changed: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict[str, set[str]](set))
    next_look: dict[str, float] = field(default_factory=dict[str, float])
    """When to look at all groups of a queue."""

    def note_change(self, queue: str | None, group: str | None) -> None:
        """Learn that a group has changed, or the list of a queue's groups, or anything."""
        if queue is None:
            self.next_look.clear()
        elif group is None:
            self.next_look.pop(queue, None)
        else:
            self.changed[queue].add(group)

    def serve(self, queues: set[str]) -> None:
        """Forget queues that are served no longer."""
        if self.next_look.keys() - queues:
            self.next_look = {queue: at for queue, at in self.next_look.items() if queue in queues}
            self.forget(key for key in list(self.due) if key[0] not in queues)

    def wants_look(self, queue: str) -> bool:
        """Whether it is time to look at all groups of a queue."""
        return time.monotonic() >= self.next_look.get(queue, 0.0)

    def begin_look(self, queue: str, next_in_seconds: float) -> None:
        """Note a look at all groups of a queue. What changes from now on is seen by a later one."""
        self.next_look[queue] = time.monotonic() + next_in_seconds * random.uniform(0.9, 1.1)
        self.changed.pop(queue, None)

    def plan(self, key: Key, due_at: float, registered: Registered, *, sized: bool) -> None:
        """Note when a group is due."""
        holder, until = self.held.get(key, (None, 0.0))
        self.due[key] = (max(due_at, until) if holder is registered else due_at), registered
        if sized:
            self.sized.add(key)
        else:
            self.sized.discard(key)

    def forget(self, keys: Iterable[Key]) -> None:
        """Forget groups that are gone, or that nobody here aggregates."""
        for key in keys:
            self.due.pop(key, None)
            self.sized.discard(key)
            self.held.pop(key, None)

    def wait_seconds(self, now: float, busy: Iterable[Key]) -> float:
        """How long nothing is to be done, if nothing changes. `now` is the server's time."""
        looks = min(self.next_look.values(), default=0.0) - time.monotonic()
        running = set(busy)
        due = min((at for key, (at, _) in self.due.items() if key not in running), default=float("inf")) - now
        return max(0.0, min(looks, due))
