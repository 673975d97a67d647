"""Notifies the aggregator of groups that change, also by a Go client (`GroupWatch`), and keeps when each group is due.

The server remembers which keys a connection has read (`CLIENT TRACKING ON`) and sends one notification when such a
key changes; for the next notification the key has to be read again. So reading a group also subscribes to its next
change, and no change in between is missed. A group that a thousand tasks join in a second costs one notification for
each read. The keys are declared keys of the scripts, because older servers remember only those.

Each node has its own connection for this. If the server or the user's permissions do not allow tracking, the
aggregator polls.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rota import events
from rota.broker import Broker
from rota.broker.link import Link
from rota.core.randomness import RANDOM
from rota.errors import BrokerRefused
from rota.tasks.groups import GroupHandler as Registered
from rota.wire.keys import QueueKeys
from rota.wire.script import Call

T = TypeVar("T")


class GroupWatch:
    """Runs the scripts that read groups. `changed(queue, group)` is called once when a key that was read has changed.

    `group` is None if the list of a queue's groups has changed. Both are None if any group may have changed.
    """

    def __init__(self, broker: Broker, changed: Callable[[str | None, str | None], None]) -> None:
        self._broker = broker
        self._changed = changed
        self._links: dict[str, Link] = {}
        self._watched: dict[bytes, tuple[str, str | None]] = {}
        self.notifies = False
        """Whether the server sends notifications. Set it to true to use them; a refusal sets it to false again."""

    async def look(self, keys: QueueKeys, call: Call[T], groups: Mapping[str, str | None]) -> T:
        """Run a script that reads keys, and subscribe to their next change. `groups` maps each key to its group."""
        link = await self._link(keys) if self.notifies else None
        if link is None:
            return await self._broker.run(call)
        # Set before the call, because a notification may come right after the reply.
        self._watched.update({key.encode(): (keys.queue, group) for key, group in groups.items()})
        return await self._broker.run_via(link, call)

    def is_watched(self, key: str) -> bool:
        """Whether a change of this key would be notified."""
        return key.encode() in self._watched

    def forget(self, keys: Iterable[str]) -> None:
        """Stop reporting changes of these keys."""
        for key in keys:
            self._watched.pop(key.encode(), None)

    async def aclose(self) -> None:
        """Close the connections."""
        links, self._links = self._links, {}
        for link in links.values():
            await link.aclose()

    async def _link(self, keys: QueueKeys) -> Link | None:
        node = await self._broker.node_of(keys.groups)
        link = self._links.get(node)
        if link is None or link.closed:
            link = await self._broker.open_link(keys.groups)
            link.on_push = self._pushed
            try:
                await link.execute("CLIENT", "TRACKING", "ON")
            except BrokerRefused as error:
                self.notifies = False
                self._changed(None, None)
                events.emit(events.GroupsPolled(error=error))
                await link.aclose()
                return None
            except BaseException:  # for example while a script blocks the server, which accepts connections meanwhile
                link.close()
                raise
            link.on_close = self._closed
            self._links[node] = link
        return link

    def _closed(self) -> None:
        self._watched.clear()  # also the keys of other nodes, which are read again in the next check of all groups
        self._changed(None, None)

    def _pushed(self, words: list[Any]) -> None:
        if words[0] != b"invalidate":
            return
        if words[1] is None:  # the database was flushed, or the server has dropped its tracking table to save memory
            self._watched.clear()
            self._changed(None, None)
            return
        for key in words[1]:
            known = self._watched.pop(key, None)  # the server has forgotten the key too, until it is read again
            if known is not None:
                self._changed(*known)


Key = tuple[str, str]
"""Queue and group."""


@dataclass(slots=True)
class DueGroups:
    """Keeps when each group is due, and which groups to check.

    Times are the server's, except those in `next_look`, which are monotonic.
    """

    due: dict[Key, tuple[float, Registered]] = field(default_factory=dict[Key, tuple[float, Registered]])
    sized: set[Key] = field(default_factory=set[Key])
    """Groups that can become due by their size. They have to be checked whenever a task joins them."""
    held: dict[Key, tuple[Registered, float]] = field(default_factory=dict[Key, tuple[Registered, float]])
    """Groups in which an aggregator found no task for it, or failed, and until when it leaves them alone."""
    changed: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict[str, set[str]](set))
    relisted: set[str] = field(default_factory=set[str])
    """Queues whose list of groups has changed."""
    seen: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict[str, set[str]](set))
    """Groups of each queue that were checked and were not empty."""
    next_look: dict[str, float] = field(default_factory=dict[str, float])
    """When to check all groups of a queue."""

    def note_change(self, queue: str | None, group: str | None) -> None:
        """Note that a group, or the list of a queue's groups (group None), or any group (queue None) has changed."""
        if queue is None:
            self.next_look.clear()
        elif group is None:
            self.relisted.add(queue)
        else:
            self.changed[queue].add(group)

    def serve(self, queues: set[str]) -> None:
        """Forget queues that are no longer served."""
        if self.next_look.keys() - queues:
            self.next_look = {queue: at for queue, at in self.next_look.items() if queue in queues}
            for queue in self.seen.keys() - queues:
                for group in self.seen.pop(queue):
                    self.leave((queue, group))

    def wants_look(self, queue: str) -> bool:
        """Whether it is time to check all groups of a queue."""
        return time.monotonic() >= self.next_look.get(queue, 0.0)

    def begin_look(self, queue: str, next_in_seconds: float) -> None:
        """Note that a check of all groups of a queue begins. Changes from now on need another check."""
        self.next_look[queue] = time.monotonic() + next_in_seconds * RANDOM.uniform(0.9, 1.1)
        self.changed.pop(queue, None)
        self.relisted.discard(queue)

    def relist(self, queue: str, names: set[str]) -> None:
        """Compare the names of a queue's groups with the known ones. New groups are to be checked, others forgotten.

        A changed group that is not in the list is not checked either: the server would remember its key, which may
        never be written again. If the group is created again, the list changes.
        """
        changed = self.changed[queue] | (names - self.seen[queue])
        self.changed[queue] = changed & names
        self.forget(queue, (changed | self.seen[queue]) - names)

    def plan(self, key: Key, due_at: float, registered: Registered, *, sized: bool) -> None:
        """Note when a group is due."""
        holder, until = self.held.get(key, (None, 0.0))
        # Only the aggregator that failed has to wait. The tasks of another one may be in the same group.
        self.due[key] = (max(due_at, until) if holder is registered else due_at), registered
        if sized:
            self.sized.add(key)
        else:
            self.sized.discard(key)

    def leave(self, key: Key) -> None:
        """Forget the due time of a group that this worker does not aggregate."""
        self.due.pop(key, None)
        self.sized.discard(key)
        self.held.pop(key, None)

    def forget(self, queue: str, groups: set[str]) -> None:
        """Forget groups that no longer exist."""
        self.seen[queue] -= groups
        for group in groups:
            self.leave((queue, group))

    def due_now(self, now: float, busy: Container[Key]) -> dict[Registered, deque[Key]]:
        """Return the due groups for each aggregator: full groups first, then those that have been due longest."""
        found: dict[Registered, deque[Key]] = {}
        for _, key in sorted((at, key) for key, (at, _) in self.due.items() if at <= now and key not in busy):
            found.setdefault(self.due[key][1], deque()).append(key)
        return found

    def wait_seconds(self, now: float) -> float:
        """Seconds until the next check or due group, if no group changes. Groups that are due at `now` do not count."""
        looks = min(self.next_look.values(), default=0.0) - time.monotonic()
        due = min((at for at, _ in self.due.values() if at > now), default=float("inf")) - now
        return max(0.0, min(looks, due))
