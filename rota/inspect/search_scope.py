"""The scope of a search: the queues and places that can have matching tasks, and how many tasks these are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rota.client.steps import Act, Burst, together
from rota.errors import BrokerError
from rota.inspect.candidate import Running
from rota.inspect.match import Matcher
from rota.inspect.queue import aggregation_sets, groups
from rota.inspect.queue_reads import queue_names
from rota.inspect.server_reads import live_servers
from rota.tasks.job import TaskState
from rota.wire import scan
from rota.wire.keys import Keys, QueueKeys
from rota.wire.names import read_queue_names

PLACES = ("scheduled", "groups", "aggregations", "retry", "pending", "active", "completed", "archived")
"""The lists and sets of a queue, in the order in which tasks usually pass through them."""
QUEUES_AT_ONCE = 32
_STATE_OF = {"groups": TaskState.AGGREGATING, "aggregations": TaskState.AGGREGATING}


@dataclass(slots=True)
class Scope:
    """The queues that can match, and the tasks that servers run, if the query asks for them.

    `started` is the server's time at the start, and `total` the number of tasks to read. Keys that were `empty` then do
    not have to be read, and `unread` ones cannot be read, because they have another type.
    """

    queues: Sequence[str]
    running: Mapping[tuple[str, str], Running]
    started: float = 0.0
    total: int = 0
    empty: set[str] = field(default_factory=set[str])
    unread: list[str] = field(default_factory=list[str])


def resumed_scope(keys: Keys, matcher: Matcher) -> Act[Scope]:
    """Read the scope of a search that goes on, without counting again."""
    names = read_queue_names((yield from queue_names(keys)))
    running: Mapping[tuple[str, str], Running] = {}
    if matcher.needs_servers:
        running = {
            (task.queue, task.id): Running(server.id, server.host, server.pid, task.started_at)
            for server in (yield from live_servers(keys))
            for task in server.running
        }
    return Scope([name for name in names if matcher.takes_queue(name)], running)


def new_scope(keys: Keys, matcher: Matcher) -> Act[Scope]:
    """Read the scope of a search that begins."""
    scope = yield from resumed_scope(keys, matcher)
    scope.started = datetime.now(UTC).timestamp()
    if scope.queues:  # durations in the query count by the clock of the server, as the times of tasks do
        sizes: scan.Sizes = yield scan.sizes([(keys.queue(scope.queues[0]).pending, scan.Bounds())])
        scope.started = sizes.now
    if matcher.exact_ids:
        scope.total = len(matcher.exact_ids) * len(scope.queues)
        return scope
    queues = [keys.queue(name) for name in scope.queues]
    for first in range(0, len(queues), QUEUES_AT_ONCE):
        yield from _count_queues(scope, matcher, queues[first : first + QUEUES_AT_ONCE])
    return scope


def state_of(place: str) -> TaskState:
    """Return the state of the tasks in a place."""
    return _STATE_OF.get(place) or TaskState(place)


def container(keys: QueueKeys, place: str) -> str:
    """Return the key of a place; of `groups` and `aggregations` the key of the set that has their names."""
    names = {"groups": keys.groups, "aggregations": keys.aggregation_sets}
    return names.get(place) or keys.tasks_in(place)


def _count_queues(scope: Scope, matcher: Matcher, queues: Sequence[QueueKeys]) -> Act[None]:
    if TaskState.AGGREGATING in matcher.states:
        for keys in queues:
            waiting, taken = yield from _grouped(keys)
            scope.total += waiting + taken
            sizes = ((keys.groups, waiting), (keys.aggregation_sets, taken))
            scope.empty |= {key for key, size in sizes if not size}
    places = [place for place in PLACES if place not in _STATE_OF and state_of(place) in matcher.states]
    if not places:
        return
    bounds = [matcher.bounds(state_of(place)) for place in places]
    containers = [[container(keys, place) for place in places] for keys in queues]
    found: list[scan.Sizes] = yield from together(
        [scan.sizes(list(zip(each, bounds, strict=True))) for each in containers]
    )
    for each, counted in zip(containers, found, strict=True):
        scope.total += sum(max(0, size) for size in counted.numbers)
        scope.unread += [key for key, size in zip(each, counted.numbers, strict=True) if size < 0]
        scope.empty |= {key for key, size in zip(each, counted.numbers, strict=True) if size <= 0}


def _grouped(keys: QueueKeys) -> Act[tuple[int, int]]:
    """Count the tasks that wait in groups, and those in aggregation.

    A key of another type counts as one task, so that the search comes to it and names it.
    """
    page, found = yield Burst([groups(keys, 0), aggregation_sets(keys, 0)], again=True)
    waiting = taken = 1
    if not isinstance(page, BrokerError):
        sizes = dict(page.sizes)
        while page.cursor:
            page = yield groups(keys, page.cursor)
            sizes.update(page.sizes)
        waiting = sum(sizes.values())
    if not isinstance(found, BrokerError):
        taken = sum(each.size for _, each in found)
    return waiting, taken
