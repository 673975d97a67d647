"""Says why a task waits: each cause as data, the worst first. `rota.inspect.waiting_words` puts the causes into words.

A task can wait for several causes at once, such as a time that has not come and a queue without a server. `causes`
lists all that can be known. Facts that only the workers know, such as the weights of their queues, are not seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from rota.inspect.server_snapshot import ServerSnapshot
from rota.inspect.task_type import TypeList, TypeSnapshot
from rota.tasks.job import TaskState
from rota.wire.pause import Stop
from rota.wire.times import from_unix, from_unix_ns
from rota.wire.wait import MOST_LOOKED_AT, WaitLook

PROMOTED_WITHIN = timedelta(seconds=10)
"""How long a due task may stay in `scheduled` or `retry`: servers look for due tasks every five seconds."""
TAKEN_WITHIN = timedelta(seconds=15)
"""How long the next task of a queue may wait although servers have free slots: heartbeats tell of them with a delay."""


class Reason(StrEnum):
    """Why a task does not run now. The order is from the worst to the most harmless."""

    SERVER_UNREACHABLE = "server-unreachable"
    MISSING = "missing"
    NOT_LISTED = "not-listed"
    LEASE_EXPIRED = "lease-expired"
    QUEUE_PAUSED = "queue-paused"
    NO_SERVER = "no-server"
    SERVERS_QUIET = "servers-quiet"
    TYPE_UNKNOWN = "type-unknown"
    TYPE_UNSURE = "type-unsure"
    NOT_TAKEN = "not-taken"
    NOT_PROMOTED = "not-promoted"
    TYPE_BUSY = "type-busy"
    SLOTS_BUSY = "slots-busy"
    BEHIND = "behind"
    RETRY_LATER = "retry-later"
    NOT_DUE = "not-due"
    IN_GROUP = "in-group"
    IN_AGGREGATION = "in-aggregation"
    LOCK_HELD = "lock-held"
    NEXT = "next"
    RUNNING = "running"
    COMPLETED = "completed"
    ARCHIVED = "archived"


Fact: TypeAlias = str | int | float | datetime | timedelta | tuple[str, ...] | None

FACTS: Mapping[Reason, tuple[str, ...]] = {
    Reason.SERVER_UNREACHABLE: ("error",),
    Reason.MISSING: ("queue",),
    Reason.NOT_LISTED: ("queue", "state"),
    Reason.LEASE_EXPIRED: ("since",),
    Reason.QUEUE_PAUSED: ("queue", "since", "by", "why"),
    Reason.NO_SERVER: ("queue", "servers"),
    Reason.SERVERS_QUIET: ("queue", "servers"),
    Reason.TYPE_UNKNOWN: ("type", "queue", "servers"),
    Reason.TYPE_UNSURE: ("type", "queue", "servers"),
    Reason.NOT_TAKEN: ("queue", "waited", "free", "servers"),
    Reason.NOT_PROMOTED: ("since",),
    Reason.TYPE_BUSY: ("type", "running", "limit"),
    Reason.SLOTS_BUSY: ("queue", "slots", "servers"),
    Reason.BEHIND: ("queue", "ahead", "at_least", "per_second", "forecast"),
    Reason.RETRY_LATER: ("at", "after", "retried", "max_retry", "error"),
    Reason.NOT_DUE: ("at", "after"),
    Reason.IN_GROUP: ("group", "size", "since"),
    Reason.IN_AGGREGATION: ("group",),
    Reason.LOCK_HELD: ("holder", "state"),
    Reason.NEXT: ("queue",),
    Reason.RUNNING: ("server", "since"),
    Reason.COMPLETED: ("at",),
    Reason.ARCHIVED: ("end", "error"),
}
"""The names of the facts of each reason. A fact is None if it cannot be known."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause with its facts, whose names `FACTS` lists."""

    reason: Reason
    facts: Mapping[str, Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Why a task waits: its causes, the worst first. `state` is None if the server could not be asked."""

    queue: str
    id: str
    state: TaskState | None
    type: str = ""
    causes: tuple[Cause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """The facts around a task: the stop of the workers of its queue, all live servers, the types that they publish.

    `per_second` is how many tasks of the queue end in a second; None if it is not known.
    """

    pause: Stop | None = None
    servers: Sequence[ServerSnapshot] = ()
    types: TypeList = field(default_factory=TypeList)
    per_second: float | None = None


def judge(look: WaitLook, around: Circumstances) -> Waiting:
    """Find the causes from what has been read."""
    state, message = TaskState(look.task.state), look.task.message()
    causes = list(_Judge(look, around, message.type).causes(state))
    order = list(Reason)
    causes.sort(key=lambda cause: order.index(cause.reason))
    return Waiting(queue=look.task.queue, id=look.task.id, state=state, type=message.type, causes=tuple(causes))


def cause(reason: Reason, **facts: Fact) -> Cause:
    """Make a cause. The names of the facts must be those of the reason."""
    if tuple(facts) != FACTS[reason]:
        raise ValueError(f"{reason} has the facts {FACTS[reason]}, not {tuple(facts)}.")
    return Cause(reason, facts)


class _Judge:
    """Finds the causes of one task."""

    def __init__(self, look: WaitLook, around: Circumstances, type: str) -> None:
        self._look = look
        self._around = around
        self._type = type
        self._queue = look.task.queue
        self._now = look.task.now
        self._serving = [server for server in around.servers if self._queue in server.queues]
        self._taking = [server for server in self._serving if server.status == "active"]

    def causes(self, state: TaskState) -> Iterator[Cause]:
        if "msg" not in self._look.task.fields:
            yield cause(Reason.MISSING, queue=self._queue)
        match state:
            case TaskState.ACTIVE:
                yield self._running()
            case TaskState.COMPLETED:
                yield cause(Reason.COMPLETED, at=from_unix(self._look.task.message().completed_at))
            case TaskState.ARCHIVED:
                end, error = self._look.task.text("rota_end"), self._look.task.message().error_msg
                yield cause(Reason.ARCHIVED, end=end, error=error or None)
            case _:
                yield from self._waits(state)

    def _running(self) -> Cause:
        until = self._look.lease_until
        if until is None or until <= self._now:
            return cause(Reason.LEASE_EXPIRED, since=from_unix(until))
        for server in self._around.servers:
            for task in server.running:
                if (task.queue, task.id) == (self._queue, self._look.task.id):
                    return cause(Reason.RUNNING, server=_name(server), since=task.started_at)
        return cause(Reason.RUNNING, server=None, since=None)

    def _waits(self, state: TaskState) -> Iterator[Cause]:
        pause = self._around.pause
        if pause is not None:
            yield cause(
                Reason.QUEUE_PAUSED, queue=self._queue, since=pause.since, by=pause.by or None, why=pause.reason or None
            )
        yield from self._consumers()
        match state:
            case TaskState.PENDING:
                yield from self._pending()
            case TaskState.AGGREGATING:
                yield self._grouped()
            case _:
                yield self._planned(state)
        if self._look.holder and self._look.holder != self._look.task.id:
            yield cause(Reason.LOCK_HELD, holder=self._look.holder, state=self._look.holder_state)

    def _consumers(self) -> Iterator[Cause]:
        if not self._serving:
            yield cause(Reason.NO_SERVER, queue=self._queue, servers=len(self._around.servers))
        elif not self._taking:
            names = tuple(f"{_name(server)} ({server.status})" for server in self._serving)
            yield cause(Reason.SERVERS_QUIET, queue=self._queue, servers=names)
        elif self._type:
            yield from self._types()

    def _types(self) -> Iterator[Cause]:
        taking = {server.id: _name(server) for server in self._taking}
        known = self._around.types.find(self._type, taking)
        if known is not None:
            yield from self._type_limit(known)
            return
        silent = tuple(name for id, name in taking.items() if id in self._around.types.unpublished)
        reason = Reason.TYPE_UNSURE if silent or self._around.types.omitted else Reason.TYPE_UNKNOWN
        yield cause(reason, type=self._type, queue=self._queue, servers=silent or tuple(taking.values()))

    def _type_limit(self, known: TypeSnapshot) -> Iterator[Cause]:
        """The limit of a type counts for each process. A version without a limit runs as many as there are slots."""
        taking = {server.id for server in self._taking}
        limit = 0
        for version in known.versions:
            processes = len(taking.intersection(version.servers))
            if processes and version.defaults.concurrency is None:
                return
            limit += processes * (version.defaults.concurrency or 0)
        types = [task.type for server in self._taking for task in server.running]
        same = {type for type in set(types) if (found := self._around.types.find(type)) and found.type == known.type}
        running = sum(type in same for type in types)
        if running >= limit:
            yield cause(Reason.TYPE_BUSY, type=self._type, running=running, limit=limit)

    def _pending(self) -> Iterator[Cause]:
        look = self._look
        if look.ahead is None and look.pending <= MOST_LOOKED_AT:
            yield cause(Reason.NOT_LISTED, queue=self._queue, state="pending")
            return
        free = sum(max(0, server.concurrency - server.active) for server in self._taking)
        if self._taking and not free:
            slots, names = sum(server.concurrency for server in self._taking), tuple(map(_name, self._taking))
            yield cause(Reason.SLOTS_BUSY, queue=self._queue, slots=slots, servers=names)
        if look.ahead == 0:
            yield self._first(free)
        else:
            yield self._behind()

    def _first(self, free: int) -> Cause:
        since = from_unix_ns(look_ns) if (look_ns := self._look.task.number("pending_since")) else None
        at = from_unix(self._now)
        waited = None if since is None or at is None else max(timedelta(0), at - since)
        if free and self._around.pause is None and waited is not None and waited > TAKEN_WITHIN:
            names = tuple(map(_name, self._taking))
            return cause(Reason.NOT_TAKEN, queue=self._queue, waited=waited, free=free, servers=names)
        return cause(Reason.NEXT, queue=self._queue)

    def _behind(self) -> Cause:
        ahead, rate = self._look.ahead, self._around.per_second
        known = MOST_LOOKED_AT if ahead is None else ahead
        forecast = timedelta(seconds=min(known / rate, 10**9)) if rate and self._around.pause is None else None
        return cause(
            Reason.BEHIND,
            queue=self._queue,
            ahead=known,
            at_least=int(ahead is None),
            per_second=rate,
            forecast=forecast,
        )

    def _planned(self, state: TaskState) -> Cause:
        at = self._look.scheduled_at if state is TaskState.SCHEDULED else self._look.retry_at
        if at is None:
            return cause(Reason.NOT_LISTED, queue=self._queue, state=state.value)
        after = timedelta(seconds=at - self._now)
        if after <= -PROMOTED_WITHIN:
            return cause(Reason.NOT_PROMOTED, since=from_unix(at))
        after = max(timedelta(0), after)
        if state is TaskState.SCHEDULED:
            return cause(Reason.NOT_DUE, at=from_unix(at), after=after)
        message = self._look.task.message()
        return cause(
            Reason.RETRY_LATER,
            at=from_unix(at),
            after=after,
            retried=message.retried,
            max_retry=message.retry,
            error=message.error_msg or None,
        )

    def _grouped(self) -> Cause:
        group = self._look.task.text("group") or ""
        if self._look.joined_at is None:
            return cause(Reason.IN_AGGREGATION, group=group)
        return cause(Reason.IN_GROUP, group=group, size=self._look.group_size, since=from_unix(self._look.group_since))


def _name(server: ServerSnapshot) -> str:
    return f"{server.host}:{server.pid}{' (Go)' if server.is_go else ''}"
