"""Describes the search for tasks, the groups of errors, and the causes of a wait, for both faces of the read model."""

from collections.abc import Sequence
from datetime import timedelta

from rota.client.operations import operation
from rota.client.steps import Act, Pause
from rota.core.duration import DurationLike
from rota.core.duration import parse as parse_duration
from rota.errors import BrokerUnavailable, TaskNotFound
from rota.inspect.error_groups import ErrorSearch
from rota.inspect.face import Reads, streamed
from rota.inspect.query import Query
from rota.inspect.query_parser import parse
from rota.inspect.search_position import read_query
from rota.inspect.server_reads import live_servers, published_types
from rota.inspect.server_snapshot import ServerSnapshot
from rota.inspect.task_search import Search
from rota.inspect.waiting import Circumstances, Reason, Waiting, cause, judge
from rota.tasks.job import TaskState
from rota.wire import minute, wait
from rota.wire import pause as wire_pause
from rota.wire.pause import Pauses

LONGEST_WATCH = timedelta(seconds=60)
RATE_MINUTES = 5
"""Minutes from which the rate of a queue is taken."""


class SearchReads(Reads):
    """Describes reads that look at many tasks, or at one task from all sides."""

    @streamed
    def search(self, query: Query | str = "", *, limit: int | None = None, cursor: str | None = None) -> Search:
        """Yield pages of the tasks that match a query (docs/search.md), in all states and queues.

        The first page comes at once. To stop, leave the loop. After `limit` hits the search ends. With the `cursor` of
        a page a search goes on behind that page, and the query may be left out. Raises QueryError.
        """
        if cursor is not None and query == "":
            return Search(self._keys, read_query(cursor), limit=limit, cursor=cursor)
        return Search(self._keys, _query(query), limit=limit, cursor=cursor)

    @streamed
    def errors(self, query: Query | str = "", *, within: DurationLike | None = None) -> ErrorSearch:
        """Yield the groups of the errors of failed tasks, more complete with each page.

        Tasks in the states `retry` and `archived` are read, unless the query names states. `within` leaves out tasks
        whose last failure is longer ago.
        """
        length = None if within is None else parse_duration(within, "within")
        return ErrorSearch(self._keys, _query(query), within=length)

    @operation
    def why(self, queue: str, task_id: str, *, watch: DurationLike | None = None) -> Act[Waiting]:
        """Return why a task does not run now. Raises TaskNotFound.

        If the task is behind others, its forecast comes from the last five minutes, as Rota's workers count them. If
        they have counted nothing, or Go servers serve the queue too, the queue is watched for the time `watch`.
        """
        keys = self._keys.queue(queue)
        try:
            look: wait.WaitLook = yield wait.look(keys, task_id)
            if not look.task.state:
                raise TaskNotFound(
                    f"Queue {queue!r} has no task under the ID {task_id!r}: it was deleted, has ended, or was never "
                    "there."
                )
            pauses: Pauses = yield wire_pause.look(keys)
            servers = yield from live_servers(self._keys)
            around = Circumstances(
                pause=pauses.workers,
                servers=servers,
                types=(yield from published_types(self._keys, servers)),
                per_second=(yield from self._rate(look, servers, watch)),
            )
        except BrokerUnavailable as error:
            return Waiting(
                queue=queue, id=task_id, state=None, causes=(cause(Reason.SERVER_UNREACHABLE, error=str(error)),)
            )
        return judge(look, around)

    def _rate(
        self, look: wait.WaitLook, servers: Sequence[ServerSnapshot], watch: DurationLike | None
    ) -> Act[float | None]:
        """Return how many tasks of the queue end in a second, if the task is behind others."""
        if look.task.state != TaskState.PENDING or look.ahead == 0:
            return None
        queue = look.task.queue
        if not any(server.is_go and queue in server.queues for server in servers):
            # The present minute is not complete, so it does not count.
            seen: minute.Minutes = yield minute.look(self._keys.queue(queue), None, RATE_MINUTES + 1)
            if rate := _ended_per_second(seen):
                return rate
        return None if watch is None else (yield from self._watched(look, watch))

    def _watched(self, look: wait.WaitLook, watch: DurationLike) -> Act[float | None]:
        yield Pause(min(parse_duration(watch, "watch"), LONGEST_WATCH).total_seconds())
        later: wait.WaitLook = yield wait.look(self._keys.queue(look.task.queue), look.task.id)
        passed, ended = later.task.now - look.task.now, later.processed - look.processed
        return ended / passed if passed > 0 and ended > 0 else None


def _ended_per_second(seen: minute.Minutes) -> float:
    """Return the rate of the complete minutes that have been read."""
    present = int(seen.now // 60)
    complete = [counts for number, counts in seen.counts.items() if present - RATE_MINUTES <= number < present]
    counts = minute.added(each for part in complete for each in (*part.by_type.values(), part.others))
    return sum(counts.get(how, 0) for how in minute.PROCESSED) / (60 * len(complete)) if complete else 0.0


def _query(query: Query | str) -> Query:
    return parse(query) if isinstance(query, str) else query
