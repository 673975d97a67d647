"""The acts on tasks as values: the script of an act, the replies that mean success, and the errors of the others.

`change` does an act to one task, and `change_many` to any number of tasks, with the same scripts and the same errors.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from rota.client.packing import textual
from rota.client.steps import Act, Burst, Change, Command, after_a_loss, asked_again, is_lost
from rota.core.duration import DurationLike, parse
from rota.errors import BrokerError, BrokerRefused, DuplicateTask, OptionError, RotaError, TaskNotFound, TaskStateError
from rota.wire import edit
from rota.wire.edit import MOST_CHANGED, Edited
from rota.wire.keys import Keys, QueueKeys
from rota.wire.names import raw
from rota.wire.script import Call

T = TypeVar("T")
Reply = TypeVar("Reply")

MOST_READINGS = 10
"""How often the message of a task is read that another program changes before the new one is written."""
AGAIN_SECONDS = 10.0
"""For how long the calls of many tasks whose answers were lost are sent again."""


def _never(refusal: Edited) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Verb:
    """An act on tasks of one queue.

    `done` are the replies that mean success. If the answer was lost and the call was sent again, `is_met` tells from a
    refusal whether the task is as the caller wanted it. `cannot` ends the sentence `Task x is active, so it ...`.
    """

    call: Callable[[QueueKeys, Sequence[str]], Call[list[Edited]]]
    cannot: str
    done: tuple[str, ...] = ("done",)
    is_met: Callable[[Edited], bool] = _never

    def refusal(self, queue: str, task_id: str, edited: Edited) -> RotaError | None:
        """Return the error for a reply; None if the act is done."""
        return None if edited.reply in self.done else refusal(queue, task_id, edited, self.cannot)


DELETE = Verb(edit.delete, "can't be deleted: cancel it first", is_met=lambda edited: edited.reply == "gone")
RUN = Verb(edit.run_now, "can't be made to run now", ("done", "same"), is_met=lambda edited: edited.state == "active")
ARCHIVE = Verb(edit.archive, "can't be archived: cancel it first", ("done", "same"))


def cancelling(reason: str) -> Verb:
    """Return the act that cancels a task for a reason."""
    checked = textual("reason", reason) or "no reason was given"
    return Verb(
        lambda keys, ids: edit.cancel(keys, ids, checked),
        "can't be cancelled now: try again in a moment",
        ("done", "asked", "ended"),
    )


def rescheduling(when: datetime | DurationLike) -> Verb:
    """Return the act that moves a task to an instant, or to a duration from now."""
    at = instant(when)
    cannot = "can't be moved to another time"
    return Verb(lambda keys, ids: edit.set_time(keys, ids, at), cannot)


def change(verb: Verb, keys: QueueKeys, task_id: str) -> Act[Edited]:
    """Do an act to one task. Raises the error of a refusal."""
    edited: Edited = yield Change(edit.one(verb.call(keys, [task_id])), verb.is_met)
    if error := verb.refusal(keys.queue, task_id, edited):
        raise error
    return edited


def change_many(verb: Verb, keys: Keys, tasks: Sequence[tuple[str, str]]) -> Act[list[Edited | BrokerError]]:
    """Do an act to tasks, each named by its queue and its ID, and return what was done to each."""
    outcomes = yield from in_calls(
        tasks,
        queue_of,
        lambda queue, some: verb.call(keys.queue(queue), [task_id for _, task_id in some]),
        verb.is_met,
    )
    asked = [i for i, each in enumerate(outcomes) if isinstance(each, Edited) and each.reply == "asked"]
    if asked:
        sent: list[Any] = yield Burst([told(keys, raw(tasks[i][1])) for i in asked])
        for i, answer in zip(asked, sent, strict=True):
            if isinstance(answer, BrokerError):
                outcomes[i] = answer
    return outcomes


def cancel_one(keys: Keys, queue: QueueKeys, task_id: str, reason: str) -> Act[None]:
    """Cancel one task, and tell the worker that runs it. Raises the error of a refusal."""
    edited = yield from change(cancelling(reason), queue, task_id)
    if edited.reply == "asked":
        yield told(keys, task_id)


def told(keys: Keys, task_id: str | bytes) -> Command:
    """Return the command that tells workers to cancel a task.

    The script cannot send it, because the channel, which Go servers subscribe to as well, does not belong to a queue.
    """
    return Command(("PUBLISH", keys.cancel, task_id))


def queue_of(task: tuple[str, str]) -> str:
    """Return the queue of a task."""
    return task[0]


def in_calls(
    items: Sequence[T],
    group: Callable[[T], str],
    make: Callable[[str, Sequence[T]], Call[list[Reply]]],
    is_met: Callable[[Edited], bool] = _never,
) -> Act[list[Reply | BrokerError]]:
    """Send calls that change several tasks each until none of them has the reply `later`.

    The tasks of a call have the same `group`, such as their queue. Returns the reply for each item, in their order. A
    call whose answer was lost is sent again. An error of a call is the outcome of each of its items.
    """
    outcomes: dict[int, Any] = {}
    left: list[int] = list(range(len(items)))
    while left:
        chunks = _chunks(left, lambda i: group(items[i]))
        calls = [make(group(items[chunk[0]]), [items[i] for i in chunk]) for chunk in chunks]
        lost: list[Any] = yield Burst(calls)
        replies: list[Any] = yield from asked_again(Burst(calls), list(lost), AGAIN_SECONDS)
        left = list[int]()
        for chunk, reply, first in zip(chunks, replies, lost, strict=True):
            for n, i in enumerate(chunk):
                outcome = reply if isinstance(reply, BrokerError) else reply[n]
                if isinstance(outcome, Edited) and outcome.reply == "later":
                    left.append(i)
                elif isinstance(outcome, Edited) and is_lost(first):
                    outcomes[i] = after_a_loss(outcome, is_met, first)
                else:
                    outcomes[i] = outcome
    return [outcomes[i] for i in range(len(items))]


def _chunks(numbers: Sequence[int], group: Callable[[int], Hashable]) -> list[list[int]]:
    """Sort numbers into chunks of one group each, of at most `MOST_CHANGED`."""
    open_chunks: dict[Hashable, list[int]] = {}
    chunks: list[list[int]] = []
    for number in numbers:
        chunk = open_chunks.get(group(number))
        if chunk is None or len(chunk) >= MOST_CHANGED:
            chunk = open_chunks[group(number)] = []
            chunks.append(chunk)
        chunk.append(number)
    return chunks


def instant(when: datetime | DurationLike) -> str:
    """Write an instant, or a duration from now, in the form that the scripts read."""
    if not isinstance(when, datetime):
        return f"+{parse(when, 'when').total_seconds():.6f}"
    if when.tzinfo is None:
        raise OptionError(f"{when} has no time zone: add one, as in datetime.now(UTC).")
    return f"{when.timestamp():.6f}"


def refusal(queue: str, task_id: str, edited: Edited, cannot: str) -> RotaError:
    """Return the error for a task that was left as it is."""
    what = f"Task {task_id} in queue {queue!r}"
    match edited.reply:
        case "gone":
            return gone(queue, task_id)
        case "locked":
            return DuplicateTask(
                f"{what} was left as it is: task {edited.id} ({edited.state}) holds the unique lock that it would "
                "need. Wait until that task has ended, or delete it.",
                task_id=edited.id,
            )
        case "aside":
            return TaskStateError(
                f"{what} is on its way to the queue {edited.state!r}, so it was left as it is. Finish what was cut off "
                "by moving it there again."
                if edited.state
                else f"{what} is about to be deleted, so it was left as it is. Finish what was cut off by deleting it "
                "again."
            )
        case "error":
            return BrokerRefused(f"{what} was left as it is, because the server refused the change: {edited.state}")
        case _:
            return TaskStateError(f"{what} is {edited.state}, so it {cannot}.")


def payload_refusal(queue: str, task_id: str, edited: Edited) -> RotaError | None:
    """Return the error for a task whose message was to be replaced; None if it is the new one."""
    return None if edited.reply in ("done", "same") else refusal(queue, task_id, edited, "can't get another payload")


def unsteady(queue: str, task_id: str) -> TaskStateError:
    """Return the error for a task whose message was another one at each of `MOST_READINGS`."""
    return TaskStateError(
        f"Task {task_id} in queue {queue!r} changed with every look at it, so its payload was not replaced. "
        "Look at what rewrites it, and try again."
    )


def gone(queue: str, task_id: str) -> TaskNotFound:
    """Return the error for a task that does not exist."""
    return TaskNotFound(
        f"There is no task {task_id} in queue {queue!r} (any more). "
        "A task that succeeded is gone unless it has a retention, and an ID counts only in its own queue."
    )
