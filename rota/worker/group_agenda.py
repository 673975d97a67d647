"""What is known of the groups of a worker: which have to be looked at, and when each of the others is due."""

import random
import time
from collections import defaultdict, deque
from collections.abc import Container
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
    relisted: set[str] = field(default_factory=set[str])
    """Queues whose list of groups has changed."""
    seen: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict[str, set[str]](set))
    """Groups of each queue that were looked at, and were not empty."""
    next_look: dict[str, float] = field(default_factory=dict[str, float])
    """When to look at all groups of a queue."""

    def note_change(self, queue: str | None, group: str | None) -> None:
        """Learn that a group has changed, or the list of a queue's groups, or anything."""
        if queue is None:
            self.next_look.clear()
        elif group is None:
            self.relisted.add(queue)
        else:
            self.changed[queue].add(group)

    def serve(self, queues: set[str]) -> None:
        """Forget queues that are served no longer."""
        if self.next_look.keys() - queues:
            self.next_look = {queue: at for queue, at in self.next_look.items() if queue in queues}
            for queue in self.seen.keys() - queues:
                for group in self.seen.pop(queue):
                    self.leave((queue, group))

    def wants_look(self, queue: str) -> bool:
        """Whether it is time to look at all groups of a queue."""
        return time.monotonic() >= self.next_look.get(queue, 0.0)

    def begin_look(self, queue: str, next_in_seconds: float) -> None:
        """Note a look at all groups of a queue. What changes from now on is seen by a later one."""
        self.next_look[queue] = time.monotonic() + next_in_seconds * random.uniform(0.9, 1.1)
        self.changed.pop(queue, None)
        self.relisted.discard(queue)

    def relist(self, queue: str, names: set[str]) -> None:
        """Compare the list of a queue's groups with what is known. New groups have to be looked at."""
        self.changed[queue] |= names - self.seen[queue]
        self.forget(queue, self.seen[queue] - names)

    def plan(self, key: Key, due_at: float, registered: Registered, *, sized: bool) -> None:
        """Note when a group is due."""
        holder, until = self.held.get(key, (None, 0.0))
        self.due[key] = (max(due_at, until) if holder is registered else due_at), registered
        if sized:
            self.sized.add(key)
        else:
            self.sized.discard(key)

    def leave(self, key: Key) -> None:
        """Forget a group that nobody here aggregates."""
        self.due.pop(key, None)
        self.sized.discard(key)
        self.held.pop(key, None)

    def forget(self, queue: str, groups: set[str]) -> None:
        """Forget groups that are gone."""
        self.seen[queue] -= groups
        for group in groups:
            self.leave((queue, group))

    def due_now(self, now: float, busy: Container[Key]) -> dict[Registered, deque[Key]]:
        """List the groups that are due by their aggregators, the full ones first, then those that are due longest."""
        found: dict[Registered, deque[Key]] = {}
        for _, key in sorted((at, key) for key, (at, _) in self.due.items() if at <= now and key not in busy):
            found.setdefault(self.due[key][1], deque()).append(key)
        return found

    def wait_seconds(self, now: float) -> float:
        """How long nothing is to be done, if nothing changes. Groups that are due at `now` are started elsewhere."""
        looks = min(self.next_look.values(), default=0.0) - time.monotonic()
        due = min((at for at, _ in self.due.values() if at > now), default=float("inf")) - now
        return max(0.0, min(looks, due))
