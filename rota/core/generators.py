"""Generator functions of the user's as context managers: dependencies, middlewares and the lifespan.

They yield once. Errors of contextlib ("generator didn't yield") do not name the function, so they are raised again with
its name. Code around a task may look at the task's error and must raise it again, or another one.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any


def manager(function: Callable[..., Any], who: str, *, must_raise: bool = False) -> Callable[..., "Manager"]:
    """Return what makes the context manager of a generator function; `must_raise` forbids it to swallow an error."""
    make = contextmanager(function)
    return lambda *args, **kwargs: Manager(make(*args, **kwargs), who, must_raise)


def async_manager(function: Callable[..., Any], who: str, *, must_raise: bool = False) -> Callable[..., "AsyncManager"]:
    """Return what makes the context manager of an async generator function."""
    make = asynccontextmanager(function)
    return lambda *args, **kwargs: AsyncManager(make(*args, **kwargs), who, must_raise)


class Manager(AbstractContextManager[Any]):
    """The context manager of one call of a generator function."""

    __slots__ = ("_inner", "_must_raise", "_who")

    def __init__(self, inner: AbstractContextManager[Any], who: str, must_raise: bool) -> None:
        self._inner, self._who, self._must_raise = inner, who, must_raise

    def __enter__(self) -> Any:
        try:
            return self._inner.__enter__()
        except RuntimeError as error:
            if (explained := _explained(error, self._who)) is None:
                raise
            raise explained from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            is_swallowed = self._inner.__exit__(kind, error, trace)
        except RuntimeError as raised:
            if (explained := _explained(raised, self._who)) is None:
                raise
            raise explained from error
        return _checked(error, self._who) if is_swallowed and self._must_raise else is_swallowed


class AsyncManager(AbstractAsyncContextManager[Any]):
    """The context manager of one call of an async generator function."""

    __slots__ = ("_inner", "_must_raise", "_who")

    def __init__(self, inner: AbstractAsyncContextManager[Any], who: str, must_raise: bool) -> None:
        self._inner, self._who, self._must_raise = inner, who, must_raise

    async def __aenter__(self) -> Any:
        try:
            return await self._inner.__aenter__()
        except RuntimeError as error:
            if (explained := _explained(error, self._who)) is None:
                raise
            raise explained from None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            is_swallowed = await self._inner.__aexit__(kind, error, trace)
        except RuntimeError as raised:
            if (explained := _explained(raised, self._who)) is None:
                raise
            raise explained from error
        return _checked(error, self._who) if is_swallowed and self._must_raise else is_swallowed


def _explained(error: RuntimeError, who: str) -> RuntimeError | None:
    """Return what an error of contextlib means, with the name of the function; None for any other error.

    An error with a frame below that of contextlib comes from a manager that the function itself uses.
    """
    frames = error.__traceback__
    if frames is None or frames.tb_next is None or frames.tb_next.tb_next is not None:
        return None
    text = str(error)
    if text == "generator didn't yield":
        return RuntimeError(f"{who} ended without a yield: it has to yield once, on each way through it.")
    if text.startswith("generator didn't stop"):
        return RuntimeError(f"{who} yielded a second time: it has to yield once, on each way through it.")
    return None


def _checked(error: BaseException | None, who: str) -> bool:
    """Raise for an error that was swallowed: a success would be recorded of a task that has failed.

    A cancel goes on as a cancel: the worker judges it.
    """
    if isinstance(error, asyncio.CancelledError):
        return False
    raise RuntimeError(
        f"{who} swallowed the error of the task ({type(error).__name__}). It may look at an error, but has to raise it "
        "again, or another one: else the task would count as a success."
    ) from error
