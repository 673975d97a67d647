"""What the doctor looks at: each queue, with the first tasks of some of its states."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from rota.broker.failure import WrongType
from rota.inspect.inspector import Inspector
from rota.inspect.queue import AggregationSnapshot, QueueSnapshot
from rota.inspect.server import ServerSnapshot
from rota.inspect.task import TaskSnapshot
from rota.tasks.info import TaskState

TASKS = 200
"""Of each state that is looked at, at most."""
SEEN = (TaskState.PENDING, TaskState.ACTIVE, TaskState.SCHEDULED, TaskState.RETRY)


@dataclass(frozen=True, slots=True)
class QueueSample:
    """One queue. Of a long state only the first tasks are there."""

    queue: QueueSnapshot
    tasks: Mapping[TaskState, Sequence[TaskSnapshot]]
    aggregations: Sequence[AggregationSnapshot]
    archived: Sequence[TaskSnapshot]
    """Some of those that were archived last."""

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.queue.queue

    @property
    def all_tasks(self) -> Iterable[TaskSnapshot]:
        """The tasks of all states that were looked at."""
        return (task for tasks in self.tasks.values() for task in tasks)


@dataclass(frozen=True, slots=True)
class Sample:
    """All queues and servers at one time."""

    queues: Sequence[QueueSample]
    servers: Sequence[ServerSnapshot]
    broken: Sequence[str] = ()
    """Queues that could not be read, because a key is of another type."""
    unreadable: Sequence[bytes] = ()
    """Names in the set of all queues that are not UTF-8."""

    @property
    def go_servers(self) -> Sequence[ServerSnapshot]:
        """The servers that are Go's."""
        return [server for server in self.servers if server.is_go]


async def take(inspector: Inspector) -> Sample:
    """Look at everything, queue by queue."""
    queues: list[QueueSample] = []
    broken: list[str] = []
    for name in await inspector.queues():
        try:
            queues.append(await _queue(inspector, name))
        except WrongType:
            broken.append(name)
    return Sample(queues, await inspector.servers(), broken, await inspector.unreadable_queues())


async def _queue(inspector: Inspector, name: str) -> QueueSample:
    snapshot = await inspector.queue(name)
    tasks = {state: (await inspector.tasks(name, state, size=TASKS)).tasks for state in SEEN}
    groups = await inspector.groups(name) if snapshot.in_aggregation else []
    aggregations = [each for group in groups for each in group.aggregations]
    return QueueSample(snapshot, tasks, aggregations, await _archived(inspector, name, snapshot.archived))


async def _archived(inspector: Inspector, name: str, total: int) -> Sequence[TaskSnapshot]:
    # The oldest come first: as few pages as there can be, of one size, and the last of them.
    pages = max(1, ceil(total / TASKS))
    size = max(1, ceil(total / pages))
    return (await inspector.tasks(name, TaskState.ARCHIVED, page=pages, size=size)).tasks
