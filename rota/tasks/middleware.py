"""Middleware: generators that yield once, around a run in the worker or around an enqueue."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

from rota.core.canonical import is_sequence
from rota.errors import OptionError
from rota.tasks.callback import async_manager, check_arguments
from rota.tasks.context import Context
from rota.tasks.depends import Call
from rota.tasks.job import Plan

Middleware: TypeAlias = Callable[[Context], AsyncGenerator[Any]]
EnqueueMiddleware: TypeAlias = Callable[[Plan[Any]], AsyncIterator[Plan[Any] | None] | Iterator[Plan[Any] | None]]
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
Invoke: TypeAlias = Callable[[Context, bytes, Call | None], Awaitable[Any]]


def each(what: str, given: Sequence[FunctionT]) -> Sequence[FunctionT]:
    """Refuse anything that is not a list of functions. `what` is what the user wrote."""
    if not is_sequence(given):
        name = what.partition("(")[2].partition("=")[0]
        raise OptionError(f"{what} is {given!r}, but must be a list of functions: {name}=[function].")
    return given


def check(middleware: Middleware) -> Middleware:
    """Refuse a middleware that is not an async generator function."""
    if not inspect.isasyncgenfunction(middleware):
        raise OptionError(
            f"The middleware {_name(middleware)} must be an async generator function: "
            "async def with one yield, where the call happens."
        )
    check_arguments("A middleware", middleware, "context")
    return middleware


def check_enqueue(middleware: EnqueueMiddleware) -> EnqueueMiddleware:
    """Refuse a middleware that is not a generator function, plain or async."""
    if not (inspect.isasyncgenfunction(middleware) or inspect.isgeneratorfunction(middleware)):
        raise OptionError(
            f"The enqueue middleware {getattr(middleware, '__qualname__', middleware)} must be a generator function "
            "that yields once, where the task is sent. A plain one (def) serves enqueue_sync as well."
        )
    check_arguments("An enqueue middleware", middleware, "plan")
    return middleware


def chain(middlewares: Sequence[Middleware], inner: Invoke) -> Invoke:
    """Wrap a call in middlewares, the first one outermost."""
    for middleware in reversed(middlewares):
        inner = _wrap(middleware, inner)
    return inner


def _wrap(middleware: Middleware, inner: Invoke) -> Invoke:
    around = async_manager(middleware, f"The middleware {_name(middleware)}", must_raise=True)

    async def wrapped(context: Context, payload: bytes, call: Call | None = None) -> Any:
        async with around(context):
            return await inner(context, payload, call)

    return wrapped


def _name(middleware: Middleware) -> str:
    return getattr(middleware, "__qualname__", repr(middleware))
