"""Puts stuck tasks back: active ones that no worker runs any more. A sweep of the workers does the same by itself.

1. The script puts a task back whose lease expired longer ago than a sweep waits.
2. A task without any lease is put back if no live server says that it runs it. A sweep would first give it a lease.
"""

from collections.abc import Sequence
from datetime import timedelta

from rota.client.steps import Act
from rota.client.verbs import in_calls, queue_of, refusal
from rota.errors import BrokerError, TaskStateError
from rota.inspect.face import TaskRef
from rota.inspect.moving import Done
from rota.inspect.server_reads import live_servers
from rota.wire import edit
from rota.wire.edit import Edited
from rota.wire.keys import Keys

SLACK = timedelta(seconds=5), timedelta(seconds=30)
"""How long ago a lease of Rota, and one of Go, must have expired: the defaults of the sweep."""


def requeue_many(keys: Keys, tasks: Sequence[TaskRef]) -> Act[list[Done]]:
    """Put those tasks back that are stuck."""
    outcomes = yield from _send(keys, tasks, leaseless=False)
    unclear = [i for i, each in enumerate(outcomes) if isinstance(each, Edited) and each.reply == "leaseless"]
    if unclear:
        live = yield from live_servers(keys)
        running = {TaskRef(task.queue, task.id) for server in live for task in server.running}
        free = [i for i in unclear if tasks[i] not in running]
        again = yield from _send(keys, [tasks[i] for i in free], leaseless=True)
        for i, outcome in zip(free, again, strict=True):
            outcomes[i] = outcome
    return [_done(task, each) for task, each in zip(tasks, outcomes, strict=True)]


def _send(keys: Keys, tasks: Sequence[TaskRef], *, leaseless: bool) -> Act[list[Edited | BrokerError]]:
    return (
        yield from in_calls(
            tasks,
            queue_of,
            lambda queue, some: edit.requeue(
                keys.queue(queue), [task.id for task in some], slack=SLACK, leaseless=leaseless
            ),
            lambda edited: edited.reply == "alive",  # a worker has taken it since
        )
    )


def _done(task: TaskRef, outcome: Edited | BrokerError) -> Done:
    if isinstance(outcome, BrokerError) or outcome.reply in ("done", "same"):
        return outcome if isinstance(outcome, BrokerError) else outcome.reply
    what = f"Task {task.id} in queue {task.queue!r}"
    if outcome.reply == "alive":
        return TaskStateError(
            f"{what} was left as it is: its worker is alive or died only a moment ago, because its lease has not been "
            "expired for long. To end a run, cancel the task."
        )
    if outcome.reply == "leaseless":
        return TaskStateError(
            f"{what} was left as it is: it has no lease, but a live server says that it runs the task. To end a run, "
            "cancel the task."
        )
    return refusal(task.queue, task.id, outcome, "can't be requeued: only a stuck active task can")
