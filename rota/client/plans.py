"""Refuses arguments that are not plans or iterables of plans, and suggests what was probably meant."""

import inspect
import reprlib
from collections.abc import AsyncIterable, Mapping

from rota.errors import OptionError
from rota.tasks.job import Plan, Receipt

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
