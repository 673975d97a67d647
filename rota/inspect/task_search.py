"""Searches the tasks of all states and queues, page by page, in bounded memory.

A search reads, of each queue that can match, the lists and sorted sets of the states that can match (`rota.wire.scan`),
and compares each task with the query (`rota.inspect.match`). A query that names IDs reads these tasks only.

1. A task that stays in its state from the start of the search to its end is found, whatever other tasks do.
2. A task that changes its state meanwhile may be found twice, once in each state, or not at all. States are read in the
   order in which tasks usually pass through them, so that it is more likely found. A search drops a task that is among
   its last `REMEMBERED` hits.
3. Each page says how many tasks have been looked at, and has a cursor. A search that starts from the cursor goes on
   behind the page, also in another process and days later. It does not remember earlier hits.

No page is larger than `scan.MOST_TASKS` tasks, so a search can be stopped after each page: just take no more.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from rota.broker.failure import WrongType
from rota.client.steps import Act, Command, together
from rota.errors import OptionError
from rota.inspect.candidate import Candidate, Hit, hit_of
from rota.inspect.face import Stream
from rota.inspect.match import Matcher
from rota.inspect.query import Query
from rota.inspect.queue import aggregation_sets, groups
from rota.inspect.search_position import Position, SearchPage, read_position
from rota.inspect.search_scope import PLACES, QUEUES_AT_ONCE, Scope, container, new_scope, resumed_scope, state_of
from rota.tasks.job import TaskState
from rota.wire import look_task, scan
from rota.wire.keys import Keys, QueueKeys
from rota.wire.names import text as id_text
from rota.wire.scan import ListPosition, Rows, SetPosition

REMEMBERED = 100_000
MOST_READ, READ_AT_LEAST = 3, 5000
"""A list is given up after as many times its length, and this number of tasks. It is read again from its head if none
of the last tasks is in it any more, for example because an action has moved all of them away."""

_SETS_OF_SETS = ("groups", "aggregations")
_LISTS = ("pending", "active")
_LATEST_FIRST = ("completed", "archived")


class Search(Stream[SearchPage]):
    """A search that is under way. After `limit` hits it ends, and the last cursor goes on right behind the last hit."""

    def __init__(
        self,
        keys: Keys,
        query: Query,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        with_tracebacks: bool = False,
    ) -> None:
        if limit is not None and limit < 1:
            raise OptionError(f"limit is {limit}, but a search needs room for at least one hit.")
        self._keys = keys
        self._query = query
        self._room = scan.MOST_TASKS if limit is None else limit
        self._has_limit = limit is not None
        self._traces = ("rota_traceback",) if with_tracebacks else ()
        self._at = Position() if cursor is None else read_position(cursor, query)
        self._is_begun = False
        self._is_done = False
        self._scope = Scope((), {})
        self._remembered: dict[int, None] = {}
        self._matcher = Matcher(query, datetime.now(UTC))

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues that the search reads; empty before the first page."""
        return tuple(self._scope.queues)

    @property
    def started(self) -> float:
        """The time of the server at the start of the search; 0 before the first page."""
        return self._at.started

    def next_batch(self) -> Act[SearchPage | None]:
        """Read the next page. After an error, calling it again reads the same page."""
        if not self._is_begun:
            yield from self._begin()
            self._is_begun = True
        if self._is_done or not self._room:
            return None
        before, hits = self._at.scanned, list[Hit]()
        while self._at.scanned == before and self._advance():
            hits = yield from self._chosen() if self._matcher.exact_ids else self._some_tasks()
        if self._has_limit:
            self._room -= len(hits)
        at = self._at
        total = at.scanned if self._is_done else max(at.total, at.scanned)
        return SearchPage(
            hits=tuple(hits),
            scanned=at.scanned,
            total=total,
            cursor=at.cursor(self._query),
            unread=tuple(at.unread),
            is_last=self._is_done,
        )

    def _begin(self) -> Act[None]:
        if self._at.started:
            self._scope = yield from resumed_scope(self._keys, self._matcher)
        else:
            self._scope = yield from new_scope(self._keys, self._matcher)
            self._at = Position(started=self._scope.started, total=self._scope.total, unread=list(self._scope.unread))
        self._matcher = Matcher(self._query, datetime.fromtimestamp(self._at.started, UTC))

    # The tasks that the query names

    def _chosen(self) -> Act[list[Hit]]:
        """Read the named tasks of some queues at once. Nothing is noted before all of them are read."""
        at, ids = self._at, self._matcher.exact_ids
        queues = [name for name in self._scope.queues if name >= at.queue][:QUEUES_AT_ONCE]
        asked = [ids[at.index if queue == at.queue else 0 :] for queue in queues]
        replies: list[list[look_task.StoredTask]] = yield from together(
            [look_task.chosen(self._keys.queue(queue), each) for queue, each in zip(queues, asked, strict=True)]
        )
        read: list[tuple[look_task.StoredTask, Candidate | None]] = []
        for wanted, stored in zip(asked, replies, strict=True):
            for task in stored:
                candidate = yield from self._candidate_of(task)
                read.append((task, candidate))
            if len(stored) < len(wanted):  # the reply was full, and the next page goes on here
                break
        return self._chosen_hits(read)

    def _chosen_hits(self, read: Sequence[tuple[look_task.StoredTask, Candidate | None]]) -> list[Hit]:
        at, number = self._at, len(self._matcher.exact_ids)
        hits: list[Hit] = []
        for task, candidate in read:
            if task.queue != at.queue:
                at.queue = task.queue
                at.enter(0)
            at.index += 1
            at.scanned += 1
            if candidate is not None and self._matcher.matches(candidate):
                hits.append(hit_of(candidate))
                if len(hits) == self._room:
                    break
        if at.index == number:
            self._leave()
        return hits

    def _candidate_of(self, task: look_task.StoredTask) -> Act[Candidate | None]:
        """Return what the query is compared with; None if the task is in no state that can match."""
        if not task.state or TaskState(task.state) not in self._matcher.states:
            return None
        score = task.score
        if task.state == TaskState.AGGREGATING:
            keys = self._keys.queue(task.queue)
            found: bytes | None = yield Command(("ZSCORE", keys.group(task.text("group") or ""), task.id), keys.groups)
            score = None if found is None else float(found)
        running = self._scope.running.get((task.queue, task.id))
        return Candidate(task.queue, task.id, TaskState(task.state), score, task.fields, running)

    # Where the search is

    def _advance(self) -> bool:
        """Go to the next place that has tasks, if the search is not in one. Returns false if all are read."""
        at = self._at
        while True:
            places = self._places(at.queue) if at.queue in self._scope.queues and at.place >= 0 else ()
            place = next((number for number in places if number >= at.place), None)
            if place is not None:
                if place != at.place:
                    at.enter(place)
                return True
            queue = next((name for name in self._scope.queues if name > at.queue), None)
            if queue is None:
                self._is_done = True
                return False
            at.queue = queue
            at.enter(0)

    def _places(self, queue: str) -> Sequence[int]:
        """The numbers of the places of a queue that have to be read."""
        if self._matcher.exact_ids:
            return (0,)
        keys = self._keys.queue(queue)
        return [
            number
            for number, place in enumerate(PLACES)
            if state_of(place) in self._matcher.states and container(keys, place) not in self._scope.empty
        ]

    def _leave(self) -> None:
        self._at.enter(self._at.place + 1)
        self._advance()

    # All tasks

    def _some_tasks(self) -> Act[list[Hit]]:
        """Read tasks of the place at which the search is."""
        at = self._at
        keys, place = self._keys.queue(at.queue), PLACES[at.place]
        try:
            if place in _SETS_OF_SETS:
                return (yield from self._some_of_sets(keys, place))
            if place in _LISTS:
                return (yield from self._some_of_list(keys, place))
            return (yield from self._some_of_set(keys, place))
        except WrongType:
            self._give_up(container(keys, place))
            return []

    def _give_up(self, key: str) -> None:
        if key not in self._at.unread:
            self._at.unread.append(key)
        self._leave()

    def _some_of_set(self, keys: QueueKeys, place: str) -> Act[list[Hit]]:
        at = self._at
        page: scan.SetRows = yield scan.set_page(
            keys,
            [container(keys, place)],
            SetPosition(at.score, at.id),
            self._fields(state_of(place)),
            up=place not in _LATEST_FIRST,
            bounds=self._matcher.bounds(state_of(place)),
        )
        hits, looked_at = self._hits(state_of(place), page.rows)
        self._note_set_position(page.rows, looked_at)
        if looked_at == len(page.rows.ids) and page.ended:
            self._leave()
        return hits

    def _some_of_sets(self, keys: QueueKeys, place: str) -> Act[list[Hit]]:
        """Read tasks of some groups, or of some sets that are under aggregation."""
        at = self._at
        if not at.names:
            if at.is_listed and not at.more:
                self._leave()
                return []
            yield from self._list_names(keys, place)
        names = at.names[: scan.MOST_SETS]
        if not names:
            return []
        sets = [keys.group(name) for name in names]
        page: scan.SetRows = yield scan.set_page(
            keys, sets, SetPosition(at.score, at.id), self._fields(TaskState.AGGREGATING)
        )
        hits, looked_at = self._hits(TaskState.AGGREGATING, page.rows)
        last = page.rows.sets[looked_at - 1] if looked_at else 0
        read = page.ended if looked_at == len(page.rows.ids) else last  # the sets that are read to their end
        if read:
            at.names, at.score, at.id = at.names[read:], "", ""
        if last >= read:
            self._note_set_position(page.rows, looked_at)
        return hits

    def _list_names(self, keys: QueueKeys, place: str) -> Act[None]:
        at = self._at
        if place == "groups":
            page = yield groups(keys, at.more, 50)
            at.names, at.more = [name for name, size in page.sizes.items() if size], page.cursor
        else:
            found = yield aggregation_sets(keys, at.more)
            at.names = [f"{group}:{each.id}" for group, each in found]
            at.more = at.more + len(found) if len(found) == look_task.MAX_PAGE else 0
        at.is_listed = True

    def _note_set_position(self, rows: Rows, looked_at: int) -> None:
        if looked_at:
            self._at.score, self._at.id = rows.scores[looked_at - 1].decode(), id_text(rows.ids[looked_at - 1])

    def _some_of_list(self, keys: QueueKeys, place: str) -> Act[list[Hit]]:
        at, key = self._at, container(keys, place)
        here = ListPosition(at.index, tuple(at.anchors))
        page: scan.ListRows = yield scan.list_page(keys, key, here, self._fields(state_of(place)))
        at.longest = max(at.longest, page.length)
        if page.next_index == scan.LOST:
            yield from self._find_again(keys, key, here)
            return []
        hits, looked_at = self._hits(state_of(place), page.rows)
        index = page.next_index - (len(page.rows.ids) - looked_at)
        at.read += looked_at
        here = here.after(index, list(map(id_text, page.rows.ids[:looked_at][-scan.ANCHORS :])))
        at.index, at.anchors = here.at, list(here.anchors)
        if looked_at == len(page.rows.ids) and not page.more:
            self._leave()
        return hits

    def _find_again(self, keys: QueueKeys, key: str, position: ListPosition) -> Act[None]:
        """Find the position in a list that has changed much. If none of the last tasks is in it, begin it again."""
        at, start, more = self._at, 0, True
        while more:
            page: scan.ListRows = yield scan.find_position(keys, key, position, start)
            if page.next_index != scan.LOST:
                at.index = page.next_index
                return
            start, more = start + scan.MOST_LOOKED_AT - scan.MARGIN, page.more
        at.index, at.anchors = 0, []
        if at.read > MOST_READ * at.longest + READ_AT_LEAST:
            self._give_up(key)

    # Comparing

    def _fields(self, state: TaskState) -> tuple[str, ...]:
        own = ("pending_since",) if state is TaskState.PENDING else ()
        return ("msg", *own, *self._matcher.extra_fields, *self._traces)

    def _hits(self, state: TaskState, rows: Rows) -> tuple[list[Hit], int]:
        """Return the hits among some tasks, and how many tasks were looked at until the page was full."""
        hits: list[Hit] = []
        names, may_match = self._fields(state), self._matcher.may_match
        looked_at, queue = len(rows.ids), self._at.queue
        for number, (message, raw_id) in enumerate(zip(rows.columns[0], rows.ids, strict=True)):
            if not may_match(message, raw_id):
                continue
            id = id_text(raw_id)
            fields = dict(zip(names, rows.fields(number), strict=True))
            running = self._scope.running.get((queue, id))
            task = Candidate(queue, id, state, rows.score(number), fields, running)
            if self._matcher.matches(task) and self._is_new(queue, id):
                hits.append(hit_of(task))
                if len(hits) == self._room:
                    looked_at = number + 1
                    break
        self._at.scanned += looked_at
        return hits, looked_at

    def _is_new(self, queue: str, id: str) -> bool:
        """Whether the task is not among the last hits. Only hashes are remembered, because they are small."""
        key = hash((queue, id))
        if key in self._remembered:
            return False
        self._remembered[key] = None
        if len(self._remembered) > REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return True
