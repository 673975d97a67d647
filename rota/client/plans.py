"""Refuses arguments that are not plans or iterables of plans, and suggests what was probably meant."""

import inspect
from collections.abc import AsyncIterable, Mapping

from rota.errors import OptionError
from rota.tasks.job import Plan, Receipt

_TEXTS = (str, bytes, bytearray, memoryview)
_MAKE = "make one with task.plan(...) or app.plan(...)"


def check_plans(plans: object, *, blocking: bool) -> None:
    """Refuse an argument that is not an iterable of plans, before anything is sent."""
    kind, shown = type(plans), _shown(plans)
    iterable = any(hasattr(kind, name) for name in ("__iter__", "__aiter__", "__getitem__"))
    if issubclass(kind, AsyncIterable) and blocking:
        advice = "blocking code cannot iterate it: give a list, or use await app.enqueue_many(...)"
        raise OptionError(f"{shown} is an async iterable, and {advice}.")
    if issubclass(kind, Plan):
        advice = "send it with app.send(plan) or app.send_sync(plan), or put it into a list"
        raise OptionError(f"{shown} is one plan, where many are expected: {advice}.")
    if issubclass(kind, (Mapping, *_TEXTS)):
        raise OptionError(f"{shown} is a {_kind(plans)}, not an iterable of plans: give [task.plan(...), ...].")
    if not iterable:
        raise OptionError(f"{shown} is not an iterable of plans: {_meant(plans, 'give [task.plan(...), ...]')}.")


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


def _kind(thing: object) -> str:
    return type(thing).__name__


def _shown(thing: object) -> str:
    try:
        return f"{thing!r:.200}"
    except Exception:  # raised by the caller's class
        return f"A {type(thing).__name__} whose repr() raises an error"
