"""The schedules of a store: polled twice a second by revision, so that an edit is in force within a second.

While nothing has changed, a look reads one number. The first look, and the first one after the store was away at the
start, reads everything, and how far each schedule has come, in case Redis has lost its data.
"""

from contextlib import AsyncExitStack
from datetime import datetime, timedelta

from rota import events
from rota.schedule.calendar import Calendar
from rota.scheduler.sources import SourceChanges
from rota.store import Store, open_store
from rota.store.address import read_address
from rota.store.store_values import StoreChanges

EVERY = timedelta(seconds=0.5)


class StoreSource:
    """Reads one store, which it opens at the first look. `store` is None until the store could be opened.

    Raises ConfigError for a wrong URL.
    """

    name = "store"
    every = EVERY
    holds = True

    def __init__(self, url: str) -> None:
        self.store: Store | None = None
        self._url = url
        read_address(url)
        self._stack = AsyncExitStack()
        self._revision = 0
        self._reported: set[str] = set()

    async def changes(self) -> SourceChanges:
        """Read what was edited since the last call."""
        store = await self._open()
        found = await store.changed_since(self._revision)
        planned = await self._planned(store) if self._revision == 0 else {}
        self._revision = found.revision
        self._report(found)
        return SourceChanges(
            changed=tuple(each for each in found.schedules if each.deleted_at is None),
            gone=tuple(each.id for each in found.schedules if each.deleted_at is not None),
            planned=planned,
            calendars=_calendars(found),
            hold=found.hold,
        )

    async def aclose(self) -> None:
        """Close the store."""
        await self._stack.aclose()

    async def _open(self) -> Store:
        if self.store is None:
            self.store = await self._stack.enter_async_context(open_store(self._url))
        return self.store

    async def _planned(self, store: Store) -> dict[str, datetime]:
        progress = await store.progress()
        return {id: each.last_planned_at for id, each in progress.items() if each.last_planned_at is not None}

    def _report(self, found: StoreChanges) -> None:
        for problem in found.problems:
            if str(problem) not in self._reported:
                self._reported.add(str(problem))
                error = ValueError(problem.message)
                events.emit(events.ScheduleSpoilt(source=self.name, schedule=problem.name or problem.id, error=error))


def _calendars(found: StoreChanges) -> dict[str, Calendar | None]:
    return {each.name: each.calendar if each.deleted_at is None else None for each in found.calendars}
