"""Whether the queues' counters say what has happened."""

from collections import defaultdict
from dataclasses import dataclass

from tests.crash.keyspace import Keyspace, Stored
from tests.crash.ledger import History, Run


@dataclass
class _Sum:
    """What the counters of a queue should be; `unclear` more of `processed` and `failed` are as right."""

    processed: int = 0
    failed: int = 0
    crashed: int = 0
    unclear: int = 0


def check_counters(
    history: History, keyspace: Keyspace, stored: dict[str, Stored], by_task: dict[str, list[Run]]
) -> list[str]:
    """Compare them with the runs and the tasks, queue by queue."""
    sums: defaultdict[str, _Sum] = defaultdict(_Sum)
    digests: dict[str, tuple[str, list[Run]]] = {}
    for task_id, queue in (history.accepted | history.unsure).items():
        runs, digest = by_task.get(task_id, []), history.joined.get(task_id)
        if task_id in history.repeated:
            sums[queue].unclear += len(runs)  # each may have been of a task that was enqueued again
        if digest is None:
            _add(sums[queue], stored.get(task_id), runs, task_id in history.removed)
        else:
            sums[queue].processed += 1  # a member counts as soon as there is something that stands for it
            digests[digest] = queue, runs
    for digest, (queue, runs) in digests.items():
        _add(sums[queue], stored.get(digest), runs, removed=False)
    for queue, _ in keyspace.counters:
        sums.setdefault(queue, _Sum())
    found: list[str] = []
    for queue, of in sorted(sums.items()):
        for name, least in (("processed", of.processed), ("failed", of.failed)):
            counted = keyspace.counters[queue, name]
            if not least <= counted <= least + of.unclear:
                upto = f" to {least + of.unclear}" if of.unclear else ""
                found.append(f"{name} of {queue} is {counted}, the runs and tasks make {least}{upto}")
        if (counted := keyspace.counters[queue, "crashed"]) < of.crashed:
            found.append(f"crashed of {queue} is {counted}, the tasks make at least {of.crashed}")
    return found


def _add(of: _Sum, task: Stored | None, runs: list[Run], removed: bool) -> None:
    # How often it had failed is what its last run was told, or what its message says now.
    retried = task.retried if task is not None else max((run.retried for run in runs), default=0)
    of.processed += retried
    of.failed += retried
    if task is None:
        well = any(run.end == "ok" for run in runs)
        if removed and runs:
            of.unclear += 1  # processed if it was over before it was removed, and it may have failed once more
        else:
            of.processed += well
    elif task.ending == "cancelled":
        of.unclear += 1  # processed if it ran, not if it waited
    elif task.state in ("completed", "archived"):
        of.processed += 1
        of.failed += task.state == "archived"
    of.crashed += task.crashes if task is not None else 0
