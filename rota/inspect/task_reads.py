"""The reads of tasks: one task, a page of the tasks in a state, and many tasks by their IDs."""

from collections.abc import Iterable
from typing import NamedTuple

from rota.client.operations import operation
from rota.client.steps import Act, together
from rota.core.text import did_you_mean
from rota.errors import OptionError, TaskNotFound
from rota.inspect.face import Reads, Stream, TaskRef, streamed
from rota.inspect.list_cursor import read_cursor, write_cursor
from rota.inspect.queue_reads import check_queue, exists
from rota.inspect.task_snapshot import TaskList, TaskSnapshot, read_task
from rota.tasks.job import TaskState
from rota.wire import look_task
from rota.wire.keys import Keys, QueueKeys
from rota.wire.look_task import Mark, StoredTask, TaskPage
from rota.wire.script import Call

QUEUES_AT_ONCE = 32
"""`stored_tasks` reads at most this many queues in one round, so that the replies stay below some megabytes."""

TASKS_AT_ONCE = 250
"""A page of more tasks is read in several calls, because the server takes 5 µs for each task."""


class TaskReads(Reads):
    """Describes the reads of tasks."""

    @operation
    def tasks(
        self,
        queue: str,
        state: TaskState | str,
        *,
        page: int = 1,
        size: int = 30,
        cursor: str | None = None,
        group: str | None = None,
        aggregation: str | None = None,
    ) -> Act[TaskList]:
        """Return one page of the tasks in one state, in the order in which they will run; at most 500 a page.

        `next` of a page is the `cursor` of the next one. While tasks come and go, pages by cursor can show a task
        twice, but do not leave out one that stays where it is; pages by number can. The state `aggregating` needs a
        `group`; with the ID of an `aggregation`, the tasks that an aggregator has taken from that group are listed.
        Raises QueueNotFound.
        """
        state = _state(state)
        container = _container(self._keys.queue(queue), state, group, aggregation)
        check_page(page, size)
        if cursor is not None and page != 1:
            raise OptionError("A page is named by its number or by the cursor of the page before: give one of both.")
        after = None if cursor is None else read_cursor(state, cursor)
        listing = _Listing(self._keys, queue, state, container)
        return (yield from listing.read((page - 1) * size, size, after))

    @streamed
    def all_tasks(
        self,
        queue: str,
        state: TaskState | str,
        *,
        size: int = look_task.MAX_PAGE,
        group: str | None = None,
        aggregation: str | None = None,
    ) -> Stream[TaskList]:
        """Yield all tasks in one state, page by page (see `tasks`)."""
        state = _state(state)
        check_page(1, size)
        container = _container(self._keys.queue(queue), state, group, aggregation)
        return _Pages(_Listing(self._keys, queue, state, container), size)

    @operation
    def task(self, queue: str, task_id: str) -> Act[TaskSnapshot]:
        """Return one task with its log and its traceback. Raises TaskNotFound."""
        stored: StoredTask = yield look_task.task(self._keys.queue(queue), task_id)
        if not stored.state:
            rest = f"only the leftover fields {', '.join(stored.fields)}" if stored.fields else "no task"
            raise TaskNotFound(f"Queue {queue!r} has {rest} under the ID {task_id!r}: it was deleted, or never there.")
        return read_task(stored)

    @operation
    def chosen_tasks(self, wanted: Iterable[tuple[str, str]]) -> Act[dict[TaskRef, TaskSnapshot]]:
        """Return those of many tasks that exist, by queue and ID, each as `task` returns it.

        One request reads up to 500 tasks of each of some queues, so this is the way to follow many tasks. Raises
        BrokerError if a queue cannot be read.
        """
        found = yield from stored_tasks(self._keys, wanted)
        return {ref: read_task(stored) for ref, stored in found.items() if stored.state}


class _Listing(NamedTuple):
    """The tasks of one queue in one state. `container` is the key that has their IDs."""

    keys: Keys
    queue: str
    state: TaskState
    container: str

    def read(self, start: int, size: int, after: Mark | None) -> Act[TaskList]:
        """Read a page, in several calls if one reply would be too large, or the position is far from where it was."""
        found: list[StoredTask] = []
        is_known, page = yield from together([exists(self.keys, self.queue), self._call(start, size, after)])
        check_queue(self.queue, is_known)
        while True:
            found += page.tasks
            if page.end is None or (len(found) >= size and not page.again):
                break
            page = yield self._call(start, size - len(found), page.end)
        end = None if page.end is None else write_cursor(self.state, page.end)
        return TaskList(tuple(map(read_task, found)), page.total, end)

    def _call(self, start: int, size: int, after: Mark | None) -> Call[TaskPage]:
        keys = self.keys.queue(self.queue)
        return look_task.tasks(keys, self.state, self.container, start, min(size, TASKS_AT_ONCE), after=after)


class _Pages(Stream[TaskList]):
    """All pages of a listing."""

    def __init__(self, listing: _Listing, size: int) -> None:
        self._listing, self._size = listing, size
        self._after: Mark | None = None
        self._ended = False

    def next_batch(self) -> Act[TaskList | None]:
        """Read the next page. An empty list has one page."""
        if self._ended:
            return None
        page: TaskList = yield from self._listing.read(0, self._size, self._after)
        self._ended = page.next is None
        self._after = None if page.next is None else read_cursor(self._listing.state, page.next)
        return page


def stored_tasks(keys: Keys, wanted: Iterable[tuple[str, str]]) -> Act[dict[TaskRef, StoredTask]]:
    """Read many tasks by queue and ID, as they are stored. A task that does not exist has an empty state."""
    left: dict[str, list[str]] = {}
    for queue, task_id in dict.fromkeys(wanted):
        left.setdefault(queue, []).append(task_id)
    found: dict[TaskRef, StoredTask] = {}
    while left:
        now = [(queue, ids[: look_task.MAX_PAGE]) for queue, ids in list(left.items())[:QUEUES_AT_ONCE]]
        replies = yield from together([look_task.chosen(keys.queue(queue), ids) for queue, ids in now])
        for (queue, _), read in zip(now, replies, strict=True):
            found.update((TaskRef(queue, stored.id), stored) for stored in read)
            left[queue] = left[queue][len(read) :]
            if not left[queue]:
                del left[queue]
    return found


def check_page(page: int, size: int) -> None:
    """Raise OptionError for a page that cannot be read."""
    if page < 1 or not 1 <= size <= look_task.MAX_PAGE:
        raise OptionError(
            f"There is no page {page} of size {size}: give a page from 1, a size from 1 to {look_task.MAX_PAGE}."
        )


def check_group(state: TaskState, group: str | None) -> None:
    """Raise OptionError unless a group is named for the state `aggregating`, and for no other."""
    if (group is not None) != (state is TaskState.AGGREGATING):
        raise OptionError("Aggregating tasks are named by group: give group= with that state, and with no other.")


def _state(state: TaskState | str) -> TaskState:
    try:
        return TaskState(state)
    except ValueError as error:
        raise OptionError(f"There is no state {state!r}. {did_you_mean(state, TaskState)}") from error


def _container(keys: QueueKeys, state: TaskState, group: str | None, aggregation: str | None) -> str:
    check_group(state, group)
    if aggregation is not None:
        return keys.group(f"{group}:{aggregation}")
    return keys.tasks_in(state, group or "")
