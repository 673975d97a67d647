"""Maps each act on many to the function that does it to one batch of tasks."""

from collections.abc import Callable, Sequence

from rota.client.steps import Act
from rota.client.verbs import ARCHIVE, DELETE, RUN, Verb, cancelling, change_many, rescheduling
from rota.errors import OptionError
from rota.inspect.bulk_acts import Archive, BulkAct, Cancel, Delete, FreeLock, Requeue, Reschedule, RunNow
from rota.inspect.face import TaskRef
from rota.inspect.moving import Done
from rota.inspect.requeueing import requeue_many
from rota.inspect.targets import Matching, Targets
from rota.inspect.unlocking import free_many
from rota.wire.edit import Edited
from rota.wire.keys import Keys


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
