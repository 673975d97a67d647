"""The lifespan: the resources that an app opens before its first task and closes after its last.

`Rota(lifespan=factory)` gives the factory, an async generator function that yields the state once. Each worker, sandbox
and web server enters the lifespan. The first one of an event loop opens the state, and the last one closes it. A pool
process for `run="process"` does not enter it, so its functions have no state.
"""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import Any, TypeAlias, cast

from rota.errors import OptionError
from rota.tasks.callback import async_manager, check_arguments, name_of, refuse_unrun

LifespanFactory: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any] | AsyncGenerator[Any]]


class Lifespan:
    """Opens the app's state once for each event loop, for all workers, tests and web servers that share the loop.

    Each loop has its own state because a connection pool, for example, works only on the loop that opened it.
    """

    def __init__(self, app: object, factory: LifespanFactory | None) -> None:
        self._app = app
        self._factory = _as_manager(factory)
        self._opened: dict[asyncio.AbstractEventLoop, _Opened] = {}

    @property
    def state(self) -> Any:
        """The state that the factory yielded for the running loop. In a thread without a loop: of the latest loop."""
        try:
            opened = self._opened.get(asyncio.get_running_loop())
        except RuntimeError:
            opened = next((each for each in reversed(list(self._opened.values())) if each.users), None)
        return None if opened is None else opened.state

    def entered(self) -> AbstractAsyncContextManager[Any]:
        """Return a block in which the state is open. The first block opens it, the last one closes it."""
        return _Use(self)

    async def enter(self) -> Any:
        """Add a user of the running loop, and return the state."""
        opened = self._of(asyncio.get_running_loop())
        async with opened.turn:  # a second user that enters while the first one is opening must not open again
            if opened.users == 0 and self._factory is not None:
                opened.stack = AsyncExitStack()
                opened.state = await opened.stack.enter_async_context(self._factory(self._app))
            opened.users += 1
        return opened.state

    async def leave(self) -> None:
        """Take a user away."""
        opened = self._of(asyncio.get_running_loop())
        async with opened.turn:
            opened.users -= 1
            if opened.users == 0:
                opened.state = None
                await opened.stack.aclose()

    def _of(self, loop: asyncio.AbstractEventLoop) -> "_Opened":
        if loop not in self._opened:
            for other in [each for each in list(self._opened) if each.is_closed()]:
                self._opened.pop(other, None)
            self._opened[loop] = _Opened()
        return self._opened[loop]


class _Use(AbstractAsyncContextManager[Any]):
    def __init__(self, lifespan: Lifespan) -> None:
        self._lifespan = lifespan

    async def __aenter__(self) -> Any:
        return await self._lifespan.enter()

    async def __aexit__(self, *error: object) -> None:
        await self._lifespan.leave()


class _Opened:
    """The state of one event loop, and the number of its users."""

    def __init__(self) -> None:
        self.users = 0
        self.turn = asyncio.Lock()
        self.stack = AsyncExitStack()
        self.state: Any = None


def _as_manager(factory: LifespanFactory | None) -> Callable[[Any], AbstractAsyncContextManager[Any]] | None:
    if factory is None:
        return None
    if not callable(factory):
        raise OptionError(f"lifespan is {factory!r}, but must be an async generator function that takes the app.")
    what = f"The lifespan {name_of(factory)}"
    if inspect.isgeneratorfunction(factory) or inspect.iscoroutinefunction(factory):
        kind = "a plain generator" if inspect.isgeneratorfunction(factory) else "async, but does not yield"
        raise OptionError(f"{what} is {kind}: write it as async def with one yield of the state.")
    check_arguments("The lifespan", factory, "app")
    if inspect.isasyncgenfunction(factory):
        return async_manager(factory, what)
    return partial(_manager, factory, what)


def _manager(factory: Callable[[Any], Any], what: str, app: object) -> AbstractAsyncContextManager[Any]:
    made = factory(app)
    if inspect.isasyncgen(made):  # from a lambda around an async generator function
        return async_manager(lambda: made, what)()
    refuse_unrun(what, made)
    if not hasattr(made, "__aenter__"):
        raise OptionError(f"{what} returned {made!r}, which is not an async context manager: yield the state instead.")
    return cast("AbstractAsyncContextManager[Any]", made)
