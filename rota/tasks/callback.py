"""Checks the functions that an application passes to Rota, at import, so that the error has a file and line.

Otherwise a wrong function would be noticed only when it is called: a coroutine that is not awaited counts as true, and
a generator that is not iterated does not run any of its code. These checks cannot see what a plain function will
return, as in `lambda: f()`. `refuse_unrun` checks the returned value after the call.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, cast

from rota.errors import OptionError

UNRUN = (GeneratorType, AsyncGeneratorType, CoroutineType)
"""The types that a call of a generator or async function returns before any of its code has run."""


def check(name: str, function: Any, *arguments: str, is_async: bool = True) -> None:
    """Refuse a function that does not take these arguments, a generator, and unless `is_async` an async function.

    `name` is what the user wrote, such as `Retry(delay=...)`.
    """
    called = f"{name} is called with ({', '.join(arguments)})"
    if not callable(function):
        raise OptionError(f"{name} is {function!r}, but must be a function: {called}.")
    if is_generator(function):
        raise OptionError(f"{name} is a generator ({name_of(function)}), whose code would not run: return instead.")
    # A wrapper stands for itself: it may run the coroutine that it wraps.
    if not is_async and any(inspect.iscoroutinefunction(each) for each in _own_faces(function)):
        raise OptionError(f"{name} is async ({name_of(function)}), but the answer is needed at once: use a plain def.")
    check_arguments(name, function, *arguments)


def check_arguments(name: str, function: Callable[..., Any], *arguments: str) -> None:
    """Refuse a function that does not take these arguments by position."""
    try:
        # A wrapper may add arguments, so its own signature counts and not that of the wrapped function.
        signature = inspect.signature(function, follow_wrapped=False)
    except (ValueError, TypeError, NameError):
        return  # some functions written in C have none; Python 3.14 reads annotations here, which may not be importable
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise OptionError(
            f"{name} is called with ({', '.join(arguments)}), but {name_of(function)} takes {signature}: {error}."
        ) from None


def is_generator(function: Callable[..., Any]) -> bool:
    """Whether a call returns a plain or async generator. Looks behind wrappers, partials and `__call__`."""
    return any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in _faces(function))


def refuse_unrun(what: str, value: object) -> None:
    """Refuse a coroutine or generator that a function has returned, because none of its code has run."""
    if isinstance(value, UNRUN):
        unrun = cast("object", value)
        if isinstance(value, CoroutineType):
            value.close()  # otherwise Python warns that the coroutine was never awaited
        kind = f"{'an' if isinstance(value, AsyncGeneratorType) else 'a'} {type(unrun).__name__}"
        raise OptionError(f"{what} returned {kind} ({_title(unrun)}), of which nothing has run. {_advice(unrun)}")


def name_of(function: object) -> str:
    """Return the qualified name of a function, without the functions around it."""
    return str(getattr(function, "__qualname__", repr(function))).rpartition("<locals>.")[2]


def _faces(function: Any) -> Iterator[Any]:
    """Return the function and what it wraps, each as `_own_faces` does."""
    yield from _own_faces(function)
    yield from _own_faces(inspect.unwrap(function))


def _own_faces(function: Any) -> Iterator[Any]:
    """Return the function, also that of a partial, and for an object the method by which it is called."""
    bare = function
    while isinstance(bare, functools.partial):
        bare = bare.func
    yield bare
    if not (inspect.isroutine(bare) or inspect.isclass(bare)):
        yield type(bare).__call__


def _advice(value: object) -> str:
    return "Await it." if isinstance(value, CoroutineType) else "Use the generator function itself, without a wrapper."


def _title(value: object) -> str:
    return str(getattr(value, "__qualname__", "")).rpartition("<locals>.")[2]
