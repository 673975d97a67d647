"""Keeps the tasks of a deletion within the limits of the settings: for `deleted_age`, up to `deleted_max_bytes`.

The oldest tasks make room, but never those of the same deletion: what it cannot keep is refused, so that it is not
deleted. The bytes in the store are counted once, and then from what is written and removed here. At the end they are
counted again, because other processes write too.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from rota.core.text import counted
from rota.errors import StoreError, StoreRefused
from rota.inspect.trash import OpenTrash, TrashedTask
from rota.store.deleted_rows import row_of
from rota.store.deleted_tasks import TrashSize

if TYPE_CHECKING:
    from rota.settings.setting_groups import DatabaseSettings
    from rota.store.store import Store


def open_trash(url: str, settings: "DatabaseSettings") -> OpenTrash:
    """Return what opens the deleted tasks of a store, with the limits of the settings."""
    from rota.store.store import open_store

    @asynccontextmanager
    async def opened() -> AsyncGenerator[BoundedTrash]:
        async with open_store(url) as store:
            yield BoundedTrash(store, settings)

    return opened


class BoundedTrash:
    """The deleted tasks of a store, for one act."""

    def __init__(self, store: "Store", settings: "DatabaseSettings") -> None:
        self._store, self._age, self._max_bytes = store, settings.deleted_age, settings.deleted_max_bytes
        self._deletion = ""
        self._own = TrashSize(0, 0)
        self._used = 0

    async def keep_deleted(self, tasks: Sequence[TrashedTask], *, more: int = 0) -> None:
        """Keep tasks of one deletion, all or none. Older ones of other deletions make room.

        About `more` tasks of the deletion follow. Raises StoreRefused if the deletion is too large.
        """
        rows = {row["id"]: row for row in map(row_of, tasks)}  # a search may find a task twice
        deletion = tasks[0].deletion
        if deletion != self._deletion:
            self._deletion, self._own = deletion, await self._store.held_deleted(deletion)
            self._used = (await self._store.held_deleted()).size
        own = TrashSize(self._own.number + len(rows), self._own.size + sum(row["size"] for row in rows.values()))
        self._refuse_too_large(own, more)
        in_order = [rows[key] for key in sorted(rows)]  # so that two deletions do not deadlock
        await self._store.write_deleted(in_order)
        self._used, self._own = self._used + own.size - self._own.size, own
        if self._used > self._max_bytes:
            # The tasks are stored. An error would have them put back, and an undo would run them a second time.
            with suppress(StoreError):
                self._used -= (await self._store.remove_oldest(self._used - self._max_bytes, spare=deletion)).size

    async def settle_deleted(self) -> int:
        """Remove what is too old or too much, and return how many tasks of the deletion are not kept any more."""
        await self._store.trim_deleted(age=self._age, max_bytes=self._max_bytes)
        if not self._deletion:
            return 0
        return max(0, self._own.number - (await self._store.held_deleted(self._deletion)).number)

    async def deleted_tasks(self, **words: Any) -> list[TrashedTask]:
        """Return deleted tasks; the keywords are those of `DeletedTasks.deleted_tasks`."""
        return await self._store.deleted_tasks(**words, age=self._age)

    async def forget_deleted(self, ids: Sequence[str]) -> None:
        """Remove tasks by the IDs of their deletion."""
        await self._store.forget_deleted(ids)

    def _refuse_too_large(self, own: TrashSize, more: int) -> None:
        if own.size > self._max_bytes and self._own.number:
            raise StoreRefused(
                f"The deletion was stopped: {counted(self._own.number, 'deleted task')} of it can be put back, and the "
                f"next {counted(own.number - self._own.number, 'task')} would not fit into the {self._max_bytes:,} "
                "bytes for deleted tasks. Raise deleted_max_bytes, or delete them without undo (--no-undo)."
            )
        expected = own.size + more * own.size // own.number
        if expected > self._max_bytes and not self._own.number:
            raise StoreRefused(
                f"Nothing was deleted: {counted(own.number + more, 'task')} of about {expected:,} bytes would not fit "
                f"into the {self._max_bytes:,} bytes for deleted tasks. Raise deleted_max_bytes, delete fewer at once, "
                "or delete without undo (--no-undo)."
            )
