"""Wrappers of functions: `Cron(wrappers=[recover])`, `cron.add(..., wrappers=[skip_if_running])`, or as decorators.

A wrapper takes a function without arguments, async or plain, and returns one of the same kind. Of several wrappers the
first one is the outermost.

An entry of a cron needs none of them for itself: the cron logs every failure and goes on, and the rule `overlap`
decides about runs at the same time. A wrapper does the same for the function wherever it is called, and holds across
all entries that share the wrapped function.
"""

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from rota import events
from rota.cron.cron_options import Function, Wrapper, is_async, named_after
from rota.errors import OptionError
from rota.tasks.callback import name_of

F = TypeVar("F", bound=Callable[[], Any])

_LONG_DELAY_SECONDS = 60.0


def wrapped(function: Function, wrappers: Sequence[Wrapper]) -> Function:
    """Return a function with wrappers around it, the first one outermost."""
    for wrapper in reversed(wrappers):
        made: object = wrapper(function)
        if not callable(made):
            raise OptionError(
                f"The wrapper {name_of(wrapper)} returned {made!r}: it has to return the function that runs in "
                f"place of {named_after(function)}."
            )
        function = made
    return function


def recover(function: F) -> F:
    """Log an error of the function instead of raising it. The function then returns None."""
    name = named_after(function)

    def failed(error: BaseException) -> object:
        events.emit(events.CronFunctionFailed(name=name, planned_at=None, error=error))
        return None

    async def run() -> object:
        try:
            return await function()
        except Exception as error:
            return failed(error)

    def call() -> object:
        try:
            return function()
        except Exception as error:
            return failed(error)

    return _like(function, run, call)


def skip_if_running(function: F) -> F:
    """Return None at once while an earlier call of the function runs."""
    name, busy = named_after(function), threading.Lock()

    def skipped() -> object:
        note = "an earlier call still runs"
        events.emit(events.CronRunSkipped(name=name, planned_at=None, count=1, note=note))
        return None

    async def run() -> object:
        if not busy.acquire(blocking=False):
            return skipped()
        try:
            return await function()
        finally:
            busy.release()

    def call() -> object:
        if not busy.acquire(blocking=False):
            return skipped()
        try:
            return function()
        finally:
            busy.release()

    return _like(function, run, call)


def delay_if_running(function: F) -> F:
    """Let a call wait until the earlier ones have ended. A wait of more than a minute is logged."""
    name, busy = named_after(function), threading.Lock()
    busy_of: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    def told(since: float) -> None:
        seconds = time.monotonic() - since
        if seconds > _LONG_DELAY_SECONDS:
            events.emit(events.CronRunDelayed(name=name, seconds=seconds))

    async def run() -> object:
        since = time.monotonic()
        async with busy_of.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            told(since)
            return await function()

    def call() -> object:
        since = time.monotonic()
        with busy:
            told(since)
            return function()

    return _like(function, run, call)


def _like(function: F, run: Function, call: Function) -> F:
    """Return the wrapper of the function's own kind, with its name and its docstring."""
    made = run if is_async(function) else call
    functools.update_wrapper(made, function)
    return cast("F", made)
