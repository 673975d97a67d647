"""Deleted tasks that are kept for undo: what is kept, and what the trash that keeps them can do.

The store (`rota.store`) is such a trash. This module does not import it, because a deletion has to work without a store
too.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from rota.client.steps import Act, Beside, Outside
from rota.errors import StoreError

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrashedTask:
    """A deleted task with everything that it consisted of.

    `id` is the mark of its deletion, `deletion` names all tasks that were deleted together. `score` is that in the
    sorted set of its state. `lock_ms` is how long its unique lock lived on: empty if it held none, `-1` for ever.
    """

    id: str
    deletion: str
    queue: str
    task_id: str
    type: str
    state: str
    score: str
    lock_ms: str
    deleted_at: datetime
    deleted_by: str
    fields: Mapping[str, bytes] = field(repr=False)

    @property
    def size(self) -> int:
        """The bytes of its fields."""
        return sum(len(name) + len(value) for name, value in self.fields.items())


class Trash(Protocol):
    """Keeps deleted tasks for a set time in a bounded space. It is opened for one act, which may have many batches."""

    async def keep_deleted(self, tasks: Sequence[TrashedTask], *, more: int = 0) -> None:
        """Keep tasks of one deletion, all or none. A task with the same `id` is replaced. Older ones make room.

        About `more` tasks of the deletion follow. Raises StoreError if these tasks cannot be kept, StoreRefused if the
        deletion is too large: what it has kept never makes room for the rest of it.
        """

    async def settle_deleted(self) -> int:
        """Delete tasks that are too old or exceed the space. Returns how many of those that were kept here are gone."""
        ...

    async def deleted_tasks(
        self,
        *,
        queue: str | None = None,
        task_id: str | None = None,
        deletion: str | None = None,
        limit: int = 100,
        skip: int = 0,
    ) -> list[TrashedTask]:
        """Return deleted tasks after the first `skip` ones, the latest deletion first."""
        ...

    async def forget_deleted(self, ids: Sequence[str]) -> None:
        """Remove tasks that were put back or not deleted."""


OpenTrash: TypeAlias = Callable[[], AbstractAsyncContextManager[Trash]]
"""Opens the trash for one act."""


class HeldTrash:
    """The trash, held open from the first step that needs it until `close`.

    Its connections belong to one event loop: in blocking code to that of `Outside.runner`.
    """

    def __init__(self, trash: OpenTrash) -> None:
        self._trash = trash
        self._opened: Trash | None = None
        self._stack = AsyncExitStack()
        self._runner = asyncio.Runner()  # makes its loop at the first use

    @property
    def is_open(self) -> bool:
        """Whether a step has needed the trash."""
        return self._opened is not None

    def ask(self, act: Callable[[Trash], Coroutine[Any, Any, R]]) -> Act[R]:
        """Do something with the trash."""
        answer: R = yield Outside(partial(self._ask, act), self._runner)
        return answer

    def ask_beside(self, act: Callable[[Trash], Coroutine[Any, Any, None]], meanwhile: Act[R]) -> Act[tuple[Any, R]]:
        """Do something with the trash, and an act meanwhile. Returns the first one's StoreError, and the result."""

        async def tried() -> StoreError | None:
            try:
                await self._ask(act)
            except StoreError as error:
                return error
            return None

        answers: tuple[Any, R] = yield Beside(Outside(tried, self._runner), meanwhile)
        return answers

    def close(self) -> Act[None]:
        """Close the trash, if it is open."""
        if self._opened is not None:
            self._opened = None
            yield Outside(self._stack.aclose, self._runner)
        self._runner.close()
        self._runner = asyncio.Runner()  # an act that has failed may go on

    def during(self, act: Act[R]) -> Act[R]:
        """Do an act, and close the trash at its end."""
        try:
            result = yield from act
        except GeneratorExit:  # no further step is taken
            raise
        except BaseException:
            yield from self.close()
            raise
        yield from self.close()
        return result

    async def _ask(self, act: Callable[[Trash], Coroutine[Any, Any, R]]) -> R:
        if self._opened is None:
            self._opened = await self._stack.enter_async_context(self._trash())
        return await act(self._opened)
