"""Which tasks an act on many is about: named ones, all in a state, all that match a query, or a stream of batches.

The targets are read in batches while the act goes on, so that any number of tasks fits into memory. An act takes tasks
out of the list that is being read, or leaves them there, and meanwhile workers and producers change it too. So each
read begins before the position that was reached, and passes by the tasks that it knows from the last batches.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from rota.client.steps import Act, Command
from rota.core.duration import DurationLike
from rota.core.duration import parse as parse_duration
from rota.inspect.face import Stream, TaskRef
from rota.inspect.query import Query, Term
from rota.inspect.query_parser import parse
from rota.inspect.queue_reads import check_queue, exists
from rota.inspect.task_reads import check_group
from rota.inspect.task_search import Search
from rota.tasks.job import TaskState
from rota.wire.keys import Keys
from rota.wire.names import text
from rota.wire.times import whole_milliseconds

BATCH = 1000
"""The tasks of one batch: a few calls of the server, which are sent together."""
_BEFORE = 2 * BATCH
"""How many IDs before the reached position a read begins. As many tasks may leave the list between two reads."""
_TIMED = (TaskState.SCHEDULED, TaskState.RETRY)


class Targets(ABC):
    """The tasks of an act on many, which are read once."""

    total: int | None = None
    """How many tasks there are, if it is known. Known after `begin`."""
    batch = BATCH
    """The most tasks of a batch; that of a search is one page."""

    def begin(self, keys: Keys, *, stays: bool) -> Act[None]:
        """Begin to read. `stays` says that a task may be in the same state after the act."""
        return
        yield  # makes this a generator

    @abstractmethod
    def next(self) -> Act[Sequence[TaskRef] | None]:
        """Return the next batch; None after the last one."""


class Chosen(Targets):
    """Named tasks: `Chosen([TaskRef("mail", task_id)])`."""

    def __init__(self, tasks: Iterable[tuple[str, str]]) -> None:
        self.tasks = tuple(dict.fromkeys(TaskRef(*task) for task in tasks))
        self.total = len(self.tasks)
        self._left = iter(self.tasks)

    def next(self) -> Act[Sequence[TaskRef] | None]:
        """Return the next batch."""
        return list(islice(self._left, self.batch)) or None
        yield


class FromStream(Targets):
    """The tasks of a stream of batches, such as a search."""

    def __init__(self, batches: Stream[Sequence[TaskRef]]) -> None:
        self._batches = batches

    def next(self) -> Act[Sequence[TaskRef] | None]:
        """Return the next batch."""
        return (yield from self._batches.next_batch())


class Matching(Targets):
    """The tasks that a query finds, such as `state:archived error:timeout` (docs/search.md).

    `scanned` of about `of` tasks have been looked at, and the lists `unread` could not be read to the end. A batch may
    be empty, because it is a page of the search.
    """

    scanned = of = 0
    unread: tuple[str, ...] = ()

    def __init__(self, query: Query | str) -> None:
        """Raises QueryError for a text that is not a query."""
        self.query = parse(query) if isinstance(query, str) else query
        self._search: Search | None = None
        self._instant: datetime | None = None

    def without(self, term: Term) -> "Matching":
        """Return the same tasks except those that match a term."""
        return Matching(replace(self.query, terms=(*self.query.terms, replace(term, is_negated=not term.is_negated))))

    def fixed(self, when: datetime | DurationLike) -> datetime:
        """Return the instant to which the tasks are moved: a duration counts from the start of the search.

        A search meets tasks again that are moved to a later time. So they all get one instant, by which `next` knows
        them. If each batch had its own, the search would never end.
        """
        if self._instant is None:
            begun = datetime.now(UTC) if self._search is None else datetime.fromtimestamp(self._search.started, UTC)
            self._instant = whole_milliseconds(when if isinstance(when, datetime) else _after(begun, when))
        return self._instant

    def begin(self, keys: Keys, *, stays: bool) -> Act[None]:
        """Begin the search."""
        self._search = Search(keys, self.query)
        return
        yield

    def next(self) -> Act[Sequence[TaskRef] | None]:
        """Return the hits of the next page."""
        page = None if self._search is None else (yield from self._search.next_batch())
        if page is None:
            return None
        self.scanned, self.of, self.unread = page.scanned, page.total, page.unread
        return [hit.ref for hit in page.hits if hit.state not in _TIMED or hit.at is None or hit.at != self._instant]


def _after(begun: datetime, length: DurationLike) -> datetime:
    try:
        return begun + parse_duration(length, "when")
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


class InState(Targets):
    """All tasks of a queue in one state; grouped tasks are named by their group too.

    It takes as many tasks as there were at its beginning, in the order in which they would run. Tasks that come or go
    meanwhile may be among them or not.
    """

    def __init__(self, queue: str, state: TaskState | str, group: str = "") -> None:
        self.queue, self.state, self.group = queue, TaskState(state), group
        check_group(self.state, group or None)
        self._key = ""
        self._is_list = self.state in (TaskState.PENDING, TaskState.ACTIVE)
        self._by_cursor = self._from_head = False
        self._cursor: bytes | str | None = "0"
        self._last: deque[bytes] = deque(maxlen=4 * _BEFORE)
        self._passed = self._read = 0

    def begin(self, keys: Keys, *, stays: bool) -> Act[None]:
        """Count the tasks. Raises QueueNotFound."""
        check_queue(self.queue, (yield exists(keys, self.queue)))
        self._key = keys.queue(self.queue).tasks_in(self.state, self.group)
        # A task whose score changes may be read again by its rank, but not by a cursor, which follows no order.
        self._by_cursor = stays and not self._is_list
        # Workers take tasks from the tail, so positions from the head stay right while the tasks are left in the list.
        self._from_head = stays and self._is_list
        self.total = yield Command(("LLEN" if self._is_list else "ZCARD", self._key), self._key)

    def next(self) -> Act[Sequence[TaskRef] | None]:
        """Read the next batch."""
        ids = yield from (self._scan() if self._by_cursor else self._page())
        self._read += len(ids)
        return [TaskRef(self.queue, text(task_id)) for task_id in ids] or None

    def _page(self) -> Act[list[bytes]]:
        """Read the next IDs that are not known from the last batches. Those that are have stayed, and are passed by."""
        total = self.total or 0
        # New tasks push the others on, so some are read again. So this reads on to the end of the list.
        while (number := min(self.batch, (2 * total + self.batch if self._from_head else total) - self._read)) > 0:
            known = set(self._last)
            first = max(0, self._passed - _BEFORE)
            ids = yield from self._range(first, self._passed + number - 1)
            new = [task_id for task_id in (_from_known(ids, known) if self._from_head else ids) if task_id not in known]
            reached = len(ids) < self._passed + number - first
            self._passed = first + len(ids) - len(new)
            if new or reached:
                self._last.extend(new)
                return new
        return []

    def _range(self, first: int, last: int) -> Act[list[bytes]]:
        if self._from_head:
            return (yield Command(("LRANGE", self._key, first, last), self._key))  # type: ignore[no-any-return]
        if self._is_list:  # the task that runs next is at the tail
            ids: list[bytes] = yield Command(("LRANGE", self._key, -last - 1, -first - 1), self._key)
            return ids[::-1]
        found: list[bytes] = yield Command(("ZRANGE", self._key, first, last), self._key)
        return found

    def _scan(self) -> Act[list[bytes]]:
        ids: list[bytes] = []
        while not ids and self._cursor is not None:
            reply: Any = yield Command(("ZSCAN", self._key, self._cursor, "COUNT", BATCH), self._key)
            self._cursor = None if int(reply[0]) == 0 else reply[0]
            ids = reply[1][::2]
        return ids


def _from_known(ids: Sequence[bytes], known: Set[bytes]) -> Sequence[bytes]:
    """Leave out the IDs before the first known one: they have come since, because new tasks come before the others."""
    first = next((i for i, task_id in enumerate(ids) if task_id in known), 0)
    return ids[first:]
