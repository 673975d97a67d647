"""Compares all tasks with the lists and sets of their queue, and all uniqueness locks with their tasks. Only reads.

1. Page through the lists and sorted sets of each queue. This finds IDs that should not be there.
2. `SCAN` the names of all keys of each node. This finds tasks that are in no list or set, and locks without a holder.
3. Look again at tasks that seem to be missing in their list, because a script does not search a long list.

Each request is small and is sent when the one before was answered, so that the server answers others in between. Only
queues that are in the set of all queues are compared. A queue with a key of the wrong type is left out.
"""

import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import TypeVar

from rota.broker import Broker
from rota.broker.failure import WrongType
from rota.core.text import counted
from rota.errors import BrokerError, BrokerRefused
from rota.inspect.doctor.finding import Finding, error, note, warning
from rota.inspect.inspector import Inspector
from rota.wire.keys import QueueKeys
from rota.wire.reconcile import BEGIN, Discrepancy, StrayLock, locks, places, tasks
from rota.wire.rights import Role
from rota.wire.script import Call

T = TypeVar("T")
Found = tuple[QueueKeys, Discrepancy | StrayLock]

PAGE = 100
"""Tasks that are compared in one call, of each list and set."""
NAMES = 500
LIST_PAGE = 1000
MOST_SUSPECTS = 10_000
MOST_NAMED = 3
_SPECIAL = re.compile(r"([*?\[\]\\])")

TROUBLES = {
    "ghost": "an ID without a task",
    "stub": "a hash without a message",
    "stray": "a lease of a task that does not run",
    "unleased": "an active task without a lease",
    "misplaced": "an ID in a place that its task does not name",
    "unlisted": "a task in no list or set",
    "ungrouped": "a task whose group is not in the set of groups",
    "lock": "a uniqueness lock that no task holds",
}


class Comparison:
    """One scan of all queues and keys. `tasks` counts the tasks whose hashes were compared."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._start = f"{broker.keys.prefix}:{{".encode()
        self._pattern = _SPECIAL.sub(r"\\\1", self._start.decode()) + "*"
        self._suspects: defaultdict[QueueKeys, dict[bytes, Discrepancy]] = defaultdict(dict)
        self._broken: set[QueueKeys] = set()
        self.tasks = 0

    async def find(self) -> AsyncIterator[Found]:
        """Yield what may be wrong. The same task can be found several times."""
        queues = {name.encode(): self._broker.keys.queue(name) for name in await Inspector(self._broker).queues()}
        for queue in queues.values():
            try:
                async for found in self._in_places(queue):
                    yield found
            except WrongType:
                self._broken.add(queue)
        async for found in self._in_keys(queues):
            yield found

    async def _in_places(self, queue: QueueKeys) -> AsyncIterator[Found]:
        cursors: Sequence[str] = BEGIN
        while any(cursors):
            page = await self._broker.run(places(queue, cursors, PAGE))
            cursors = page.cursors
            for finding in page.findings:
                yield queue, finding

    async def _in_keys(self, queues: dict[bytes, QueueKeys]) -> AsyncIterator[Found]:
        for key in await self._nodes(queues.values()):
            cursor, more = b"0", True
            while more:
                cursor, names = await self._broker.execute(
                    "SCAN", cursor, "MATCH", self._pattern, "COUNT", NAMES, key=key
                )
                more = cursor != b"0"
                async for found in self._compare(names, queues):
                    yield found
                if not more or sum(map(len, self._suspects.values())) > MOST_SUSPECTS:
                    async for found in self._confirmed():
                        yield found

    async def _nodes(self, queues: Iterable[QueueKeys]) -> list[str]:
        """Return for each node a key on it, which routes a call to the node."""
        nodes: dict[str, str] = {}
        for queue in queues:
            nodes.setdefault(await self._broker.node_of(queue.pending) if self._broker.clustered else "", queue.pending)
        return list(nodes.values())

    async def _compare(self, names: Iterable[bytes], queues: dict[bytes, QueueKeys]) -> AsyncIterator[Found]:
        """Compare the tasks and locks among these keys. Tasks that seem to be in no place are kept as suspects."""
        ids: defaultdict[QueueKeys, list[bytes]] = defaultdict(list)
        held: defaultdict[QueueKeys, list[str]] = defaultdict(list)
        for name in names:
            its_queue, _, rest = name.removeprefix(self._start).partition(b"}:")
            if (keys := queues.get(its_queue)) is None:
                continue
            if rest.startswith(b"t:"):
                ids[keys].append(rest[2:])
            elif rest.startswith(b"unique:"):
                held[keys].append(name.decode(errors="replace"))
        for queue, found in [(queue, found) for queue, all_ids in ids.items() for found in chunks(all_ids)]:
            self.tasks += len(found)
            for finding in await self._unless_broken(queue, tasks(queue, found)):
                if finding.trouble == "unlisted":
                    self._suspects[queue][finding.id] = finding
                else:
                    yield queue, finding
        for queue, all_locks in held.items():
            for chunk in chunks(all_locks):
                for lock in await self._unless_broken(queue, locks(queue, chunk)):
                    yield queue, lock

    async def _confirmed(self) -> AsyncIterator[Found]:
        """Yield the suspects that are not in the list of pending tasks, and unchanged."""
        suspects, self._suspects = self._suspects, defaultdict(dict)
        for queue, missing in suspects.items():
            await self._strike_pending(queue, missing)
            for ids in chunks(list(missing)):
                for finding in await self._unless_broken(queue, tasks(queue, ids)):
                    if finding.mark == missing[finding.id].mark:
                        yield queue, finding

    async def _unless_broken(self, queue: QueueKeys, call: Call[list[T]]) -> list[T]:
        if queue in self._broken:
            return []
        try:
            return await self._broker.run(call)
        except WrongType:
            self._broken.add(queue)
            return []

    async def _strike_pending(self, queue: QueueKeys, missing: dict[bytes, Discrepancy]) -> None:
        # From the young end: tasks that come or go meanwhile do not move the others towards the pages that were read.
        start = 0
        while missing:
            page = await self._broker.execute("LRANGE", queue.pending, start, start + LIST_PAGE - 1, key=queue.pending)
            for task_id in page:
                missing.pop(task_id, None)
            if len(page) < LIST_PAGE:
                return
            start += LIST_PAGE


class Discrepancies:
    """The findings of a comparison: the number by queue and kind, and some names."""

    def __init__(self) -> None:
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._names: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._seen: set[tuple[str, bytes | str]] = set()

    def add(self, queue: str, found: Discrepancy | StrayLock) -> None:
        """Count a finding, unless one of the same task was counted before."""
        name, kind = (found.key, "lock") if isinstance(found, StrayLock) else (found.id, found.trouble)
        if (queue, name) in self._seen:
            return
        self._seen.add((queue, name))
        self.counts[queue][kind] += 1
        if len(names := self._names[queue, kind]) < MOST_NAMED:
            names.append(name if isinstance(name, str) else name.decode(errors="replace"))

    @property
    def total(self) -> int:
        """The number of all findings."""
        return sum(kinds.total() for kinds in self.counts.values())

    def findings(self) -> Iterator[Finding]:
        """Return one finding for each queue."""
        for queue, kinds in sorted(self.counts.items()):
            shown = "; ".join(self._shown(queue, kind, number) for kind, number in kinds.most_common())
            yield warning(
                "inconsistent-tasks",
                f"In the queue {queue!r} {counted(kinds.total(), 'entry', 'entries')} contradict each other: {shown}.",
                "A crash, an eviction, Asynq's scripts, or another program that wrote to the keys has left them.",
                "rota doctor --repair asks and then repairs them, beside running workers.",
            )

    def _shown(self, queue: str, kind: str, number: int) -> str:
        return f"{number} × {TROUBLES[kind]} ({', '.join(self._names[queue, kind])})"


async def compare(broker: Broker) -> tuple[Discrepancies, int]:
    """Compare everything. Returns what was found, and the number of tasks that were compared."""
    comparison, found = Comparison(broker), Discrepancies()
    async for queue, finding in comparison.find():
        found.add(queue.queue, finding)
    return found, comparison.tasks


def chunks(items: Sequence[T], size: int = PAGE) -> Iterator[Sequence[T]]:
    """Divide items into parts of this size."""
    return (items[start : start + size] for start in range(0, len(items), size))


def not_compared(failure: BrokerError, role: Role) -> Finding:
    """Make a finding of a comparison that the server refused. Only a repairer needs it."""
    make = note if isinstance(failure, BrokerRefused) and role != "repairer" else error
    return make(
        "not-compared",
        f"The tasks and locks could not be compared with the lists and sets: {failure}",
        "The user of the broker URL lacks the rights of an inspector, or the server does not answer any more.",
        "Run the doctor as a user with the rights of an inspector, which include SCAN.",
    )
