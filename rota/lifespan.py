"""The lifespan: what an app opens before its first task and closes after its last."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias, cast

from rota.errors import OptionError

LifespanFactory: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any] | AsyncGenerator[Any]]


class Lifespan:
    """Opens what the app's factory makes once, however many workers, tests and web servers share it."""

    def __init__(self, app: object, factory: LifespanFactory | None) -> None:
        self._app = app
        self._factory = _as_manager(factory)
        self._users = 0
        self._turn = asyncio.Lock()
        self._stack = AsyncExitStack()
        self.state: Any = None

    @asynccontextmanager
    async def entered(self) -> AsyncGenerator[Any]:
        """Be one of the users. The first opens, the last closes."""
        async with self._turn:  # a second user who comes while the first one opens must not open again
            if self._users == 0 and self._factory is not None:
                self._stack = AsyncExitStack()
                self.state = await self._stack.enter_async_context(self._factory(self._app))
            self._users += 1
        try:
            yield self.state
        finally:
            async with self._turn:
                self._users -= 1
                if self._users == 0:
                    self.state = None
                    await self._stack.aclose()


def _as_manager(factory: LifespanFactory | None) -> Callable[[Any], AbstractAsyncContextManager[Any]] | None:
    if factory is None:
        return None
    if inspect.isasyncgenfunction(factory):
        return asynccontextmanager(factory)
    if not callable(factory):
        raise OptionError(f"lifespan is {factory!r}, but must be an async generator function that takes the app.")
    return cast("Callable[[Any], AbstractAsyncContextManager[Any]]", factory)
