"""Deleted tasks that are kept for undo: what is kept, and what a place that keeps them can do.

The store (`rota.store`) is such a place. It is a program of its own for this module, because a deletion without a store
has to work too.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias


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
    """Keeps deleted tasks for a set time."""

    async def keep_deleted(self, tasks: Sequence[TrashedTask]) -> None:
        """Keep tasks. A task with the same `id` is replaced. Raises StoreError if they cannot be kept."""

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
"""Opens the place where deleted tasks are kept, for one batch."""
