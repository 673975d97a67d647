"""The acts on many tasks as values, and what they mean for the targets that are being read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rota.core.duration import DurationLike
from rota.errors import OptionError
from rota.inspect.query import Field, Pattern, StateTerm, Term, TextTerm
from rota.inspect.targets import InState, Matching, Targets
from rota.tasks.job import TaskState


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
    """Put active tasks back that no worker runs any more."""


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
