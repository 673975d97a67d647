"""Lets asyncio code and blocking code call each other.

`in_own_thread` runs a blocking function in a new daemon thread. The default executor of the event loop belongs to the
application: its few threads may all be busy for minutes, or be shut down. Steps that a worker depends on (name
resolution, its shutdown) must not wait for them. Because the thread is a daemon, it does not delay the exit of the
program if it hangs.

`finish` runs a coroutine without an event loop. Code for both faces is written once, as a coroutine that awaits the
functions it is given. Blocking code gives it functions that block instead of waiting.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


async def in_own_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function with the caller's context variables. Cancellation ends the wait, but not the function."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    results: list[R] = []
    errors: list[BaseException] = []
    variables = contextvars.copy_context()

    def tell() -> None:
        if not ended.done():
            ended.set_result(None)

    def run() -> None:
        try:
            results.append(variables.run(_call, function, args, kwargs))
        except BaseException as error:
            errors.append(error)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell)

    threading.Thread(target=run, name="rota-own", daemon=True).start()
    await ended
    if errors:
        raise errors.pop()
    return results.pop()


def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return function(*args, **kwargs)


def finish(coroutine: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine that never waits, from blocking code."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast(R, end.value)
    coroutine.close()
    raise RuntimeError(f"{coroutine!r} waits, so blocking code cannot run it.")
