"""The acts on many tasks as values, what each does to a batch, and what it means for the targets that are being read.

To add one, make the act on one task first (`rota.client.operations`), and then:

1. Describe it here as a class, and name it in `BulkAct`.
2. `_verb` maps it to its value in `rota.client.verbs`. An act that takes several requests is a case of `doing`.
3. If a task may be in the same state after the act, it is a case of `stays`. If it has nothing to do for some of the
   tasks that a query finds, it is a case of `_as_wanted`.
4. Name it in the three lists of `rota/inspect/__init__.py`.
5. Its command is a function in `rota.cli.task.acting`, and its texts are in `rota.cli.task.many`.
6. `ONE` and `MANY` in `tests/integration/inspect/test_bulk.py` compare it with the act on one task in each state, and
   `docs/acting.md` has a line for it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rota.client.steps import Act
from rota.client.verbs import ARCHIVE, DELETE, RUN, Verb, cancelling, change_many, rescheduling
from rota.core.duration import DurationLike
from rota.errors import OptionError
from rota.inspect.face import TaskRef
from rota.inspect.moving import Done
from rota.inspect.query import Field, Pattern, StateTerm, Term, TextTerm
from rota.inspect.requeueing import requeue_many
from rota.inspect.targets import InState, Matching, Targets
from rota.inspect.unlocking import free_many
from rota.tasks.job import TaskState
from rota.wire.edit import Edited
from rota.wire.keys import Keys


@dataclass(frozen=True, slots=True)
class RunNow:
    """Make tasks pending, so that they run next."""


@dataclass(frozen=True, slots=True)
class Archive:
    """Archive tasks that are not running."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete tasks that are not running; with a store they are kept for undo, unless `undo` is false."""

    undo: bool = True


@dataclass(frozen=True, slots=True)
class Cancel:
    """Archive waiting tasks as cancelled, and ask the workers of running ones to cancel them."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reschedule:
    """Move waiting tasks to an instant, or to a duration from now."""

    when: datetime | DurationLike


@dataclass(frozen=True, slots=True)
class MoveTo:
    """Move tasks to another queue. Only with `create` may that queue be new."""

    queue: str
    create: bool = False


@dataclass(frozen=True, slots=True)
class Requeue:
    """Return active tasks that no worker runs any more to their queues."""


@dataclass(frozen=True, slots=True)
class FreeLock:
    """Free the unique locks that tasks name, if the task that holds a lock is gone or has ended.

    With `force` a lock is freed too that one of these tasks holds itself, so that a second one can be enqueued. A lock
    that another task holds is left alone.
    """

    force: bool = False


@dataclass(frozen=True, slots=True)
class EditPayload:
    """Give tasks that are not running another payload; with `run` they become pending in the same step.

    `payload` replaces the whole payload. `fields` are set in a payload that is JSON, and the rest of it stays as it is:
    `EditPayload(fields={"user.name": "Anna"})`. The keys are written as in a query after `payload.` (docs/search.md).
    Each new payload is checked against the JSON Schema that the workers of its type publish; without `check` it is not.
    """

    payload: bytes | None = None
    fields: Mapping[str, Any] | None = None
    run: bool = False
    check: bool = True

    def __post_init__(self) -> None:
        if (self.payload is None) == (not self.fields):
            raise OptionError("EditPayload needs a payload, which replaces the old one, or fields to set in it.")


BulkAct = RunNow | Archive | Delete | Cancel | Reschedule | MoveTo | Requeue | FreeLock | EditPayload


def verb_of(act: BulkAct) -> str:
    """Return the name of an act: the first word of its class, in small letters."""
    return re.split(r"(?<!^)(?=[A-Z])", type(act).__name__)[0].lower()


def _verb(act: BulkAct) -> Verb:
    match act:
        case RunNow():
            return RUN
        case Archive():
            return ARCHIVE
        case Delete():
            return DELETE
        case Cancel(reason):
            return cancelling(reason)
        case Reschedule(when):
            return rescheduling(when)
        case _:
            raise OptionError(f"{act!r} is not an act on many tasks: use one of the classes in rota.inspect.bulk_acts.")


def doing(act: BulkAct, keys: Keys, targets: Targets) -> Callable[[Sequence[TaskRef]], Act[list[Done]]]:
    """Return what does an act to one batch of tasks. Raises OptionError for something that is not such an act."""
    match act:
        case Requeue():
            return lambda tasks: requeue_many(keys, tasks)
        case FreeLock(force):
            return lambda tasks: free_many(keys, tasks, force=force)
        case Reschedule(when) if isinstance(targets, Matching):
            _verb(act)  # raises OptionError for a wrong time
            return lambda tasks: _done(rescheduling(targets.fixed(when)), keys, tasks)
        case _:
            verb = _verb(act)
            return lambda tasks: _done(verb, keys, tasks)


def _done(verb: Verb, keys: Keys, tasks: Sequence[TaskRef]) -> Act[list[Done]]:
    outcomes = yield from change_many(verb, keys, tasks)
    return [
        (verb.refusal(task.queue, task.id, each) or each.reply) if isinstance(each, Edited) else each
        for task, each in zip(tasks, outcomes, strict=True)
    ]


def stays(act: BulkAct, targets: Targets) -> bool:
    """Whether a task may be in the same state after the act."""
    match act:
        case Reschedule() | FreeLock() | EditPayload(run=False):
            return True
        case EditPayload():
            return isinstance(targets, InState) and targets.state is TaskState.PENDING
        case _:
            return False


def meant(act: BulkAct, targets: Targets) -> Targets:
    """Leave out of all that match a query what the act has nothing to do with, because it is as wanted.

    The search comes to the place later to which the act brings tasks. It would find them again there, and count them
    twice or as refused.
    """
    term = _as_wanted(act)
    return targets.without(term) if term is not None and isinstance(targets, Matching) else targets


def _as_wanted(act: BulkAct) -> Term | None:
    match act:
        case RunNow():
            return StateTerm((TaskState.PENDING,))
        case Archive():
            return StateTerm((TaskState.ARCHIVED,))
        case Cancel():
            return StateTerm((TaskState.ARCHIVED, TaskState.COMPLETED))
        case MoveTo(queue):
            return TextTerm(Field.QUEUE, (Pattern((queue,)),))
        case _:
            return None
