"""Checks queues: queues without a worker, tasks that are stuck, paused queues, full archives.

Each function checks one kind of problem in a `QueueSample` and yields its findings. Only the first tasks of a state are
in the sample, so a problem further back in a long queue is not found.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from rota.core.text import counted
from rota.inspect.doctor.finding import Finding, error, note, warning
from rota.inspect.doctor.sample import QueueSample, Sample
from rota.inspect.server_snapshot import ServerSnapshot
from rota.tasks.job import TaskState

RECOVERED_WITHIN = timedelta(seconds=65)
"""Time after which a sweep should have put back the tasks of a dead server."""
LONG_WAIT = timedelta(hours=1)
TAKEN_WITHIN = timedelta(seconds=15)
"""Longest normal wait in a queue whose servers have free slots.

Such a server takes a task at once, but the number of its free slots is as of its last heartbeat, some seconds ago.
"""
MOST_NAMED = 3


def queues(sample: Sample, archive_max: int) -> Iterator[Finding]:
    """Check all queues."""
    for name in sample.broken:
        yield error(
            "broken-queue",
            f"The queue {name!r} cannot be read: one of its keys is of another type.",
            "Another program has written to it. Workers do not serve the queue; their log names the key.",
            "Find the key (TYPE tells), and delete or rename it.",
        )
    if sample.unreadable:
        yield warning(
            "unreadable-names",
            f"The set of all queues holds {counted(len(sample.unreadable), 'name')} in bytes that are not UTF-8; "
            f"one is {sample.unreadable[0]!r}.",
            "Another program has written to the set. Workers and Rota's commands skip these names.",
            "Find that program, and remove the names with SREM.",
        )
    for each in sample.queues:
        yield from _consumers(each, sample)
        yield from _pause(each)
        yield from _lost(each)
        yield from _aggregations(each)
        yield from _missing(each)
        yield from _archive(each, archive_max)
        yield from _cut_off(each)


def _consumers(each: QueueSample, sample: Sample) -> Iterator[Finding]:
    queue, name = each.queue, each.name
    waiting = queue.pending + queue.scheduled + queue.retry + queue.aggregating
    if not waiting:
        return
    consumers = [server for server in sample.servers if name in server.queues]
    taking = [server for server in consumers if server.status == "active"]
    if not consumers:
        make = error if queue.pending else warning
        yield make(
            "queue-without-a-server",
            f"No live server serves the queue {name!r}: {counted(queue.pending, 'pending task')}, "
            f"{waiting:,} waiting in all.",
            "No server is running, the servers serve other queues, or a producer misspells the name.",
            f"Start one with --queues {name}, or move the tasks.",
        )
    elif not taking:
        yield warning(
            "queue-without-a-server",
            f"The servers of the queue {name!r} do not fetch any more tasks: {_states(consumers)}.",
            "They were quieted (TSTP) or are stopping, and no other server has replaced them.",
            "Start the new ones of the deploy.",
        )
    elif queue.is_paused or queue.latency is None:
        return
    elif queue.latency > TAKEN_WITHIN and (idle := [each for each in taking if each.active < each.concurrency]):
        yield error(
            "tasks-not-taken",
            f"The next task of the queue {name!r} has been waiting for {_words(queue.latency)}, although servers that "
            f"serve it have free slots: {_usage(idle)}.",
            "These servers are alive but cannot fetch: their connection for fetching is cut off or half-open, or they "
            "lack rights.",
            "Ask them with rota health on their machines, and read their logs. Restart those that do not recover.",
        )
    elif queue.latency > LONG_WAIT:
        yield warning(
            "long-wait",
            f"The next task of the queue {name!r} has been waiting for {_words(queue.latency)}, "
            f"first of {queue.pending:,}.",
            "More tasks come in than are done, long tasks hold all slots, or heavier queues go first (strict).",
            "Add processes or slots, give the queue a greater weight, or give long tasks their own queue.",
        )


def _pause(each: QueueSample) -> Iterator[Finding]:
    queue = each.queue
    if queue.is_paused and queue.pending:
        since = f" (since {queue.paused_at:%Y-%m-%d %H:%M} UTC)" if queue.paused_at else ""
        yield warning(
            "paused-queue",
            f"The queue {each.name!r} is paused{since} with {counted(queue.pending, 'pending task')}.",
            "It was paused by a user or a program, and stays paused until it is resumed.",
            f"Resume it: rota queue resume {each.name}.",
        )


def _lost(each: QueueSample) -> Iterator[Finding]:
    now = each.queue.taken_at or datetime.now(UTC)
    lost = [
        task
        for task in each.tasks[TaskState.ACTIVE]
        if task.is_orphaned and (task.lease_until is None or now - task.lease_until > RECOVERED_WITHIN)
    ]
    if lost:
        oldest = min((task.lease_until for task in lost if task.lease_until), default=None)
        age = f", the oldest for {_words(now - oldest)}" if oldest else ""
        yield error(
            "lost-tasks",
            f"The queue {each.name!r} has {counted(len(lost), 'active task')} without a living lease{age}; one is "
            f"{lost[0].id}.",
            "Their server died, and no other server serves the queue and could return them.",
            "Start a worker of this queue: it returns them to the queue within seconds.",
        )


def _aggregations(each: QueueSample) -> Iterator[Finding]:
    now = each.queue.taken_at or datetime.now(UTC)
    stale = [one for one in each.aggregations if one.deadline and now - one.deadline > RECOVERED_WITHIN]
    if stale:
        yield error(
            "stale-aggregation",
            f"The queue {each.name!r} has {counted(sum(one.size for one in stale), 'grouped task')} in "
            f"{counted(len(stale), 'set')} that no server aggregates any more.",
            "The server that took them died, and no other server serves the queue.",
            "Start a worker of this queue: it puts them back into their groups.",
        )


def _missing(each: QueueSample) -> Iterator[Finding]:
    gone = [task for task in each.all_tasks if task.is_dangling]
    broken = [task for task in each.all_tasks if task.is_unreadable]
    if gone:
        yield error(
            "missing-tasks",
            f"The queue {each.name!r} lists {counted(len(gone), 'task')} whose hashes are gone; one is {gone[0].id}.",
            "The server evicted them, or their keys were deleted by hand.",
            "Set maxmemory-policy noeviction, and delete tasks through Rota or Asynq's tools only.",
        )
    if broken:
        yield error(
            "unreadable-tasks",
            f"The queue {each.name!r} has {counted(len(broken), 'task')} with an unreadable message; "
            f"one is {broken[0].id}.",
            "Their message is not a message of Asynq: another program writes to these keys.",
            "Find that program. A worker archives such a task when it comes to it.",
        )


def _archive(each: QueueSample, archive_max: int) -> Iterator[Finding]:
    if each.queue.archived >= archive_max:
        yield warning(
            "full-archive",
            f"The archive of the queue {each.name!r} is full ({counted(each.queue.archived, 'task')}).",
            "With each task that fails for good the oldest one is deleted for good.",
            "Run the archived tasks again or delete them, after mending why they fail; archive_max keeps more.",
        )
    elif each.queue.archived * 10 >= archive_max * 9:
        yield note(
            "full-archive",
            f"The archive of the queue {each.name!r} is nearly full ({each.queue.archived:,} of {archive_max:,}).",
            "When it is full the oldest ones are deleted for good.",
            "Run the archived tasks again or delete them.",
        )


def _cut_off(each: QueueSample) -> Iterator[Finding]:
    if not each.cut_off:
        return
    task, to, since = each.cut_off[0].task, each.cut_off[0].to, each.cut_off[0].since
    was = f"to be moved to the queue {to!r}" if to else "to be deleted"
    yield warning(
        "cut-off-moves",
        f"The queue {each.name!r} has {counted(len(each.cut_off), 'task')} in its archive whose move or deletion was "
        f"cut off; one is {task.id}, which was {was} at {since:%Y-%m-%d %H:%M:%S} UTC.",
        "The program that moved or deleted them ended in the middle, so no worker runs them.",
        f"Finish it with the same act: rota task {f'move --to {to}' if to else 'delete'} --queue {each.name} {task.id}",
    )


def _states(servers: Sequence[ServerSnapshot]) -> str:
    return ", ".join(sorted({server.status for server in servers}))


def _usage(servers: Sequence[ServerSnapshot]) -> str:
    named = [f"{each.host}:{each.pid} ({each.active} of {each.concurrency} in use)" for each in servers[:MOST_NAMED]]
    more = len(servers) - MOST_NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _words(span: timedelta) -> str:
    return str(timedelta(seconds=int(span.total_seconds())))
