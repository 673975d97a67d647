"""Checks plans: refuses arguments that are not plans, and plans that `call` cannot wait for, with advice."""

import inspect
import reprlib
from collections.abc import AsyncIterable, Mapping
from datetime import timedelta
from typing import TypeVar

from rota.core.duration import display
from rota.errors import BrokerError, BrokerRefused, BrokerUnavailable, OptionError, ResultNotKept
from rota.tasks.job import Plan, Receipt

R = TypeVar("R")

CALL_RETENTION = timedelta(minutes=1)
"""How long the result of a call is kept at least. A caller whose connection broke finds it there."""

_WITHOUT_RESULT = {
    "group": "the task is merged with others into another task",
    "debounce": "several calls become one task, which has the arguments of the last call",
}

_TEXTS = (str, bytes, bytearray, memoryview)
_LONGEST_SHOWN = 200
_MAKE = "make one with task.plan(...) or app.plan(...)"


def check_plans(plans: object, *, blocking: bool) -> None:
    """Refuse what is not an iterable of plans, before anything is sent."""
    if (reason := _why_not(plans, type(plans), blocking=blocking)) is not None:
        raise OptionError(f"{_shown(plans)} {reason}.")


def _why_not(plans: object, kind: type, *, blocking: bool) -> str | None:
    """Return why these are not iterable plans. Good plans are not looked at: a lazy list may ask a database."""
    iterable = any(hasattr(kind, name) for name in ("__iter__", "__getitem__"))
    if issubclass(kind, Plan):
        how = "send it with app.send(plan) or app.send_sync(plan), or put it into a list"
        return f"is one plan, where many are expected: {how}"
    if issubclass(kind, (Mapping, *_TEXTS)):
        return f"is a {kind.__name__}, not an iterable of plans: give [task.plan(...), ...]"
    if iterable:
        return None
    if not issubclass(kind, AsyncIterable):
        return f"is not an iterable of plans: {_meant(plans, 'give [task.plan(...), ...]')}"
    how = "blocking code cannot iterate it: give a list, or use await app.enqueue_many(...)"
    return f"is an async iterable, and {how}" if blocking else None


def check_plan(plan: object) -> None:
    """Refuse an argument that is not a plan."""
    if not isinstance(plan, Plan):
        raise not_a_plan(plan)


def not_a_plan(thing: object, error: Exception | None = None) -> OptionError:
    """Make the error for an argument that is not a plan."""
    made = OptionError(f"{_shown(thing)} is not a plan: {_meant(thing, _MAKE)}.")
    made.__cause__ = error
    return made


def plan_of_call(plan: Plan[R], timeout: timedelta | None) -> Plan[R]:
    """Return the plan of a task whose caller waits for the result, with a retention if the plan has none.

    Raises OptionError if the task cannot have a result of its own, or if its delay is not shorter than the timeout.
    """
    check_plan(plan)
    options = plan.options
    for name, why in _WITHOUT_RESULT.items():
        if getattr(options, name) is not None:
            raise OptionError(f"call() waits for the result of one task, but with {name}= {why}. Use enqueue().")
    if options.delay is not None and timeout is not None and options.delay >= timeout:
        raise OptionError(
            f"The task starts after a delay of {display(options.delay)}, but call() waits only {display(timeout)} "
            "for its end: give a longer timeout, or enqueue() it and wait later."
        )
    if options.retention:
        return plan
    return plan.updated(retention=max(CALL_RETENTION, timeout or CALL_RETENTION))


def other_keeps_nothing(job: Receipt) -> ResultNotKept:
    """Make the error for a call that found a unique task without a retention."""
    return ResultNotKept(
        f"The call enqueued nothing, because the unique task {job.id} exists already in queue {job.queue!r}. That task "
        "keeps no result, because it was enqueued without a retention: give the task one with "
        "@app.task(..., retention='10m').",
        task_id=job.id,
        queue=job.queue,
    )


def wait_broken_off(error: BrokerError, job: Receipt) -> BrokerError:
    """Make the error of a call whose task is enqueued, but whose result cannot be waited for."""
    kind = BrokerRefused if isinstance(error, BrokerRefused) else BrokerUnavailable
    return kind(
        f"Task {job.id} in queue {job.queue!r} is enqueued, but the wait for its result was broken off: {error} Do not "
        f"enqueue it again: wait with app.job({job.id!r}, queue={job.queue!r}).result().",
        maybe_applied=True,
        task_id=job.id,
    )


def _meant(thing: object, otherwise: str) -> str:
    if inspect.iscoroutine(thing):
        thing.close()  # otherwise Python warns that the coroutine was never awaited
        return "await the coroutine and give its result; for a call of a task use task.plan(...), not task.enqueue(...)"
    if isinstance(thing, Receipt):
        return "it is enqueued already"
    if callable(getattr(thing, "plan", None)):
        return "call .plan(...) of this task"
    if callable(thing):
        return "call the function first"
    return otherwise


def _shown(thing: object) -> str:
    return reprlib.repr(thing)[:_LONGEST_SHOWN]  # never raises, whatever the class of the caller does
