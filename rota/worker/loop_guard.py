"""Refuses calls with which code of a task would shut down the event loop of its worker.

Some methods of the event loop are meant for the program that started the loop. A worker does not survive them:

- `loop.shutdown_asyncgens()` closes the async generators in use: the lifespan, middlewares, dependencies.
- `loop.shutdown_default_executor()` ends the threads of `asyncio.to_thread` for every other task.
- `loop.stop()` ends a worker process in the middle of all its tasks (guarded in `rota worker` only).

While a worker runs, these methods of its loop raise RuntimeError if the caller runs inside the worker: a handler,
hook, middleware, dependency, aggregator or lifespan, on the loop or in a thread. A context variable marks such code.
The program around an embedded worker may still call the methods.

Not guarded: a loop whose class has no `__dict__`, and threads that a task starts without its context variables.
"""

import asyncio
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

SHUTDOWNS = ("shutdown_asyncgens", "shutdown_default_executor")

_in_worker: ContextVar[bool] = ContextVar("rota_in_worker", default=False)
_guards: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, int]] = WeakKeyDictionary()


@contextmanager
def guarded(loop: asyncio.AbstractEventLoop, *names: str) -> Generator[None]:
    """Refuse these methods to the code in the `with` block, and to the asyncio tasks and threads that it starts."""
    token = _in_worker.set(True)
    try:
        with ExitStack() as stack:
            for name in names:
                stack.enter_context(_guarded(loop, name))
            yield
    finally:
        _in_worker.reset(token)


@contextmanager
def _guarded(loop: asyncio.AbstractEventLoop, name: str) -> Generator[None]:
    # Counted, because several workers may share a loop and end in any order.
    counts = _guards.setdefault(loop, {})
    counts[name] = counts.get(name, 0) + 1
    if counts[name] == 1:
        # An attribute of the loop hides the method of its class, and deleting it shows the method again.
        with suppress(AttributeError):  # no __dict__
            setattr(loop, name, _refusing(name, getattr(loop, name)))
    try:
        yield
    finally:
        counts[name] -= 1
        if counts[name] == 0:
            with suppress(AttributeError):
                delattr(loop, name)


def _refusing(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if _in_worker.get():
            _refuse(name)
        return method(*args, **kwargs)

    return call


def _refuse(name: str) -> NoReturn:
    raise RuntimeError(
        f"Code of a task called loop.{name}() on the event loop of its worker. The worker and its other tasks need "
        "that loop, so the call was refused. Remove it: only the program that started a loop shuts it down."
    )
