"""Rota's read model and Go's Inspector, asked about the same moment and compared field by field."""

import math
import time
from dataclasses import fields, replace
from datetime import datetime, timedelta

from interop.programs import Go
from interop.shapes import STATES, GoDump, GoQueue, GoRunning, GoServerInfo, GoTask
from rota.errors import RotaError
from rota.inspect import Inspector, QueueSnapshot, RunningSnapshot, ServerSnapshot, TaskSnapshot

LOOKS_AT_WHAT_MOVES = 5
OURS_ALONE = {
    *(
        "in_aggregation",
        "orphaned",
        "paused_at",
        "is_paused",
        "workers",
        "producers",
        "latency",
        "memory_bytes",
        "taken_at",
    ),
    *("crashed", "crashed_total"),
    "repaired",
}


async def assert_they_agree(go: Go, inspector: Inspector) -> GoDump:
    """Compare everything Go shows with what we show; return what Go shows.

    Two things may differ: the clock moves between the two looks (latency; the "now" that both show as the next time of
    a pending task), and Go cuts a time to whole seconds where ours keeps the fraction.

    What moves between the two looks (a beat, a record that expires) is no difference of theirs: where they disagree, Go
    is asked again, and only what it still shows as before counts.
    """
    for _ in range(LOOKS_AT_WHAT_MOVES):
        began, theirs = time.monotonic(), await go.inspect()
        try:
            await _compare(inspector, theirs, began)
        except (AssertionError, RotaError):
            if _at_rest(await go.inspect()) == _at_rest(theirs):
                raise
        else:
            return theirs
    raise AssertionError(f"it moved in each of {LOOKS_AT_WHAT_MOVES} looks")


async def _compare(inspector: Inspector, theirs: GoDump, began: float) -> None:
    assert await inspector.queues() == sorted(theirs.queues)
    seen = await inspector.overview()
    assert [queue.queue for queue in seen.queues] == sorted(theirs.queues)
    for each in seen.queues:
        _compare_queue(each, theirs.queues[each.queue], began)
    for name, queue in theirs.queues.items():
        _compare_queue(await inspector.queue(name), queue, began)
        assert {
            day.day.isoformat(): (day.processed, day.failed) for day in await inspector.history(name, 2)
        } == queue.days
        assert {group.name: group.size for group in await inspector.groups(name) if group.size} == queue.group_sizes
        for state in STATES:
            assert await _tasks(inspector, name, state, queue) == [_still(task) for task in queue.tasks[state]]
    ours = sorted(map(_server, await inspector.servers()), key=lambda server: server.id)
    assert ours == [_sorted_workers(server) for server in theirs.servers]


def _at_rest(seen: GoDump) -> GoDump:
    """All but what the clock alone changes."""
    queues = {
        name: replace(queue, latency_s=0, tasks={state: [*map(_still, each)] for state, each in queue.tasks.items()})
        for name, queue in seen.queues.items()
    }
    return replace(seen, queues=queues, servers=[*map(_sorted_workers, seen.servers)])


def _compare_queue(ours: QueueSnapshot, theirs: GoQueue, began: float) -> None:
    shared = [field.name for field in fields(ours) if field.name not in OURS_ALONE]
    for name in (*shared, "size"):
        assert getattr(ours, name) == getattr(theirs, name), f"{name} of queue {theirs.queue}"
    assert ours.is_paused == theirs.paused
    elapsed = time.monotonic() - began
    assert math.isclose((ours.latency or timedelta()).total_seconds(), theirs.latency_s, abs_tol=1 + elapsed)
    assert ours.memory_bytes is not None
    assert math.isclose(ours.memory_bytes, theirs.memory_usage, rel_tol=0.25)


async def _tasks(inspector: Inspector, name: str, state: str, theirs: GoQueue) -> list[GoTask]:
    groups = list(theirs.group_sizes) if state == "aggregating" else [None]
    found: list[GoTask] = []
    for group in groups:
        for listed in (await inspector.tasks(name, state, size=500, group=group)).tasks:
            alone = await inspector.task(name, listed.id)
            assert _task(alone) == _task(listed)
            found.append(_still(_task(alone)))
    return found


def _task(ours: TaskSnapshot) -> GoTask:
    return _still(
        GoTask(
            id=ours.id,
            queue=ours.queue,
            type=ours.type,
            payload=ours.payload,
            headers=dict(ours.headers),
            state=ours.state,
            max_retry=ours.max_retry,
            retried=ours.retried,
            last_error=ours.last_error,
            last_failed_at=_unix(ours.last_failed_at),
            timeout_s=_seconds(ours.timeout),
            deadline=_unix(ours.deadline),
            group=ours.group,
            next_process_at=_unix(ours.next_process_at),
            is_orphaned=ours.is_orphaned,
            retention_s=_seconds(ours.retention),
            completed_at=_unix(ours.completed_at),
            result=ours.result,
        )
    )


def _still(task: GoTask) -> GoTask:
    return replace(task, next_process_at=0) if task.state == "pending" else task


def _server(ours: ServerSnapshot) -> GoServerInfo:
    assert ours.active == len(ours.running)
    return GoServerInfo(
        id=ours.id,
        host=ours.host,
        pid=ours.pid,
        concurrency=ours.concurrency,
        queues=dict(ours.queues),
        strict=ours.strict_priority,
        started=_unix(ours.started_at),
        status=ours.status,
        workers=[_running(task) for task in ours.running],
    )


def _running(ours: RunningSnapshot) -> GoRunning:
    return GoRunning(
        task_id=ours.id,
        task_type=ours.type,
        payload=ours.payload,
        queue=ours.queue,
        started=_unix(ours.started_at),
        deadline=_unix(ours.deadline),
    )


def _sorted_workers(server: GoServerInfo) -> GoServerInfo:
    server.workers.sort(key=lambda task: (task.queue, task.task_id))
    return server


def _unix(instant: datetime | None) -> int:
    return 0 if instant is None else math.floor(instant.timestamp())


def _seconds(length: timedelta | None) -> float:
    return 0 if length is None else length.total_seconds()
