"""One act on many tasks: what it is about, how far it has come, and which tasks were left as they were.

`actions.bulk(Delete(), InState("mail", "archived"))` makes a `Bulk`. It does nothing until its batches are read:
`async for progress in actions.batches(bulk)`, and `for` in blocking code. `stop()` ends it after the batch that is
being done; every task of that batch is done as a whole or left as it was. A bulk is not kept anywhere: if the program
ends, the rest is left undone, and the same bulk again does it.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from rota.client.steps import Act
from rota.errors import BrokerError, RotaError, StoreError
from rota.inspect.bulk_acts import BulkAct, stays, verb_of
from rota.inspect.face import Stream, TaskRef
from rota.inspect.moving import Done
from rota.inspect.targets import Matching, Targets
from rota.tasks.job import TaskInfo
from rota.wire.keys import Keys

if TYPE_CHECKING:
    from rota.inspect.kept_deletion import KeptDeletion

MOST_FAILURES = 100
"""How many failures of a bulk are kept. All are counted."""
_AS_WANTED = ("same", "none", "ended")


@dataclass(frozen=True, slots=True)
class BulkFailure:
    """A task that was left as it was, and why."""

    task: TaskRef
    error: RotaError


@dataclass(frozen=True, slots=True)
class BulkProgress:
    """How far a bulk has come.

    `total` is None if it is not known how many tasks there are. `seen` tasks were tried: `done` of them were changed or
    were as wanted already (`same` counts these alone), `failed` were left as they were. `failures` are the first of
    these, `reasons` counts the kinds of all their errors. `ended` is true after the last task, `stopped` after
    `stop()`. `deletion` names what `undo_all` puts back; empty if nothing was kept. `unkept` of the deleted tasks are
    not kept any more, because deletions of others have needed the room; this is known at the end. `unread` names the
    lists that the search of a query could not read to the end, so that tasks in them may have been left out.
    """

    act: str
    total: int | None = None
    seen: int = 0
    done: int = 0
    same: int = 0
    failed: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict[str, int])
    failures: tuple[BulkFailure, ...] = ()
    stopped: bool = False
    ended: bool = False
    took: timedelta = timedelta()
    deletion: str = ""
    unkept: int = 0
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """The tasks of an act on many: how many there are, and some of them.

    If `is_exact` is false, there are at least `count` tasks. A search has looked at `scanned` of about `of` tasks; None
    without a search.
    """

    count: int
    is_exact: bool
    sample: tuple[TaskInfo, ...] = ()
    scanned: int | None = None
    of: int | None = None


class Bulk(Stream[BulkProgress]):
    """An act on many tasks. `progress` tells how far it has come, `outcomes` what was done to each of the last batch.

    An outcome is a word, such as `done`, or the error of a task that was left as it was.
    """

    def __init__(
        self,
        act: BulkAct,
        targets: Targets,
        *,
        keys: Keys,
        do: Callable[[Sequence[TaskRef]], Act[Sequence[Done]]],
        prepare: Callable[[], Act[None]] | None = None,
        kept: "KeptDeletion | None" = None,
    ) -> None:
        """`do` does the act to one batch. `prepare` checks before the first one whether it can be done at all.

        `kept` is what keeps deleted tasks for undo.
        """
        self.act, self.targets = act, targets
        self.progress = BulkProgress(verb_of(act), targets.total, deletion=kept.deletion if kept else "")
        self.outcomes: Mapping[TaskRef, Done] = {}
        self._keys, self._do, self._prepare = keys, do, prepare
        self._kept = kept
        self._begun: float | None = None
        self._is_to_stop = False
        self._reasons: Counter[str] = Counter()

    def stop(self) -> None:
        """End the bulk after the batch that is being done. May be called from any thread."""
        self._is_to_stop = True

    def next_batch(self) -> Act[BulkProgress | None]:
        """Do the next batch. Raises the error if the server or the store fails; what was done is in `progress`."""
        if self.progress.ended or self.progress.stopped:
            return None
        if self._begun is None:
            yield from self._begin()
        if self._is_to_stop and self.progress.seen != self.targets.total:  # else it is at its end
            return (yield from self._over(stopped=True))
        batch = yield from self.targets.next()
        if batch is None:
            return (yield from self._over(ended=True))
        outcomes: Sequence[str | RotaError] = (yield from self._do(batch)) if batch else ()
        self._count(batch, outcomes)
        errors = [each for each in outcomes if isinstance(each, BrokerError | StoreError)]
        of_store = [each for each in errors if isinstance(each, StoreError)]
        if of_store or (errors and len(errors) == len(outcomes)):  # the next batch would fail as this one
            raise (of_store or errors)[0]
        return self.progress

    def end(self) -> Act[None]:
        """Close the store, if deleted tasks are kept there."""
        if self._kept is not None:
            self._note(unkept=max(self.progress.unkept, (yield from self._kept.end())))

    def _over(self, **how: bool) -> Act[BulkProgress]:
        yield from self.end()
        return self._note(**how)

    def _begin(self) -> Act[None]:
        if self._prepare is not None:
            yield from self._prepare()
        yield from self.targets.begin(self._keys, stays=stays(self.act, self.targets))
        self._begun = time.monotonic()
        self._note()

    def _count(self, batch: Sequence[TaskRef], outcomes: Sequence[Done]) -> None:
        self.outcomes = dict(zip(batch, outcomes, strict=True))
        failures = [
            BulkFailure(task, outcome)
            for task, outcome in zip(batch, outcomes, strict=True)
            if isinstance(outcome, RotaError)
        ]
        self._reasons.update(type(each.error).__name__ for each in failures)
        room = MOST_FAILURES - len(self.progress.failures)
        self._note(
            seen=self.progress.seen + len(batch),
            failed=self.progress.failed + len(failures),
            done=self.progress.done + len(batch) - len(failures),
            same=self.progress.same + sum(outcome in _AS_WANTED for outcome in outcomes),
            failures=(*self.progress.failures, *failures[: max(0, room)]),
        )

    def _note(self, **changes: object) -> BulkProgress:
        took = timedelta(seconds=time.monotonic() - (self._begun or time.monotonic()))
        unread = self.targets.unread if isinstance(self.targets, Matching) else ()
        known = {"total": self.targets.total, "reasons": dict(self._reasons), "took": took, "unread": unread}
        self.progress = replace(self.progress, **known, **changes)  # type: ignore[arg-type]
        return self.progress
