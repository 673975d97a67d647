"""Reads the data that the doctor checks: each queue, with the first tasks of some of its states."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from rota.broker.failure import WrongType
from rota.inspect.aside_reads import CutOff
from rota.inspect.inspector import Inspector
from rota.inspect.queue import AggregationSnapshot, QueueSnapshot
from rota.inspect.server_snapshot import ServerSnapshot
from rota.inspect.task_snapshot import TaskSnapshot
from rota.inspect.task_type import TypeList
from rota.tasks.job import TaskState

TASKS = 200
"""Most tasks that are read of each state."""
SEEN = (TaskState.PENDING, TaskState.ACTIVE, TaskState.SCHEDULED, TaskState.RETRY)


@dataclass(frozen=True, slots=True)
class QueueSample:
    """One queue, with the first tasks of each state in `SEEN`."""

    queue: QueueSnapshot
    tasks: Mapping[TaskState, Sequence[TaskSnapshot]]
    aggregations: Sequence[AggregationSnapshot]
    archived: Sequence[TaskSnapshot]
    """Some of the tasks that were archived last."""
    cut_off: Sequence[CutOff] = ()
    """Tasks whose move or deletion was cut off."""

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.queue.queue

    @property
    def all_tasks(self) -> Iterable[TaskSnapshot]:
        """The tasks of all states in `SEEN`."""
        return (task for tasks in self.tasks.values() for task in tasks)


@dataclass(frozen=True, slots=True)
class Sample:
    """All queues and servers."""

    queues: Sequence[QueueSample]
    servers: Sequence[ServerSnapshot]
    broken: Sequence[str] = ()
    """Queues that could not be read because one of their keys has the wrong Redis type."""
    unreadable: Sequence[bytes] = ()
    """Names in the set of all queues that are not UTF-8."""
    types: TypeList = field(default_factory=TypeList)
    """The task types that the servers handle."""

    @property
    def go_servers(self) -> Sequence[ServerSnapshot]:
        """The servers that run Asynq's Go library."""
        return [server for server in self.servers if server.is_go]


async def take(inspector: Inspector) -> Sample:
    """Read all queues, one after the other, and all servers."""
    queues: list[QueueSample] = []
    broken: list[str] = []
    for name in await inspector.queues():
        try:
            queues.append(await _queue(inspector, name))
        except WrongType:
            broken.append(name)
    servers = await inspector.servers()
    return Sample(queues, servers, broken, await inspector.unreadable_queues(), await _types(inspector, servers))


async def _types(inspector: Inspector, servers: Sequence[ServerSnapshot]) -> TypeList:
    try:
        return await inspector.types()
    except WrongType:
        return TypeList(unpublished=tuple(server.id for server in servers))


async def _queue(inspector: Inspector, name: str) -> QueueSample:
    snapshot = await inspector.queue(name)
    tasks = {state: (await inspector.tasks(name, state, size=TASKS)).tasks for state in SEEN}
    groups = await inspector.groups(name) if snapshot.in_aggregation else []
    aggregations = [each for group in groups for each in group.aggregations]
    archived = await _archived(inspector, name, snapshot.archived)
    return QueueSample(snapshot, tasks, aggregations, archived, await inspector.cut_off(name))


async def _archived(inspector: Inspector, name: str, total: int) -> Sequence[TaskSnapshot]:
    # The oldest tasks come first, so the last page is read. The page size divides the tasks evenly among the pages,
    # because otherwise the last page could hold only one task.
    pages = max(1, ceil(total / TASKS))
    size = max(1, ceil(total / pages))
    return (await inspector.tasks(name, TaskState.ARCHIVED, page=pages, size=size)).tasks
