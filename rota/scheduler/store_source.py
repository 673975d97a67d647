"""The schedules of a store: polled twice a second by revision, so that an edit is in force within a second.

A scheduler holds up to `MOST_KEPT` schedules of a store. If there are more, it holds only those that are due within
`WINDOW`, so that a million rows are neither waited for nor kept in memory:

1. The first look reads the calendars, the revision, and the schedules that were deleted lately, because times before
   their deletion may not be decided. From then on each look reads what was edited since.
2. Each look also reads a page of schedules in the order in which they are due: up to `MOST_KEPT`, and in the leader
   those that are due within `WINDOW`. The ones that are due first fire while others are still being read.
3. `is_whole` says that all of them were read. `horizon` is the moment up to which all that are due were read.
4. A scheduler that begins to lead reads those within the window again, unless it holds all (`lead`), because another
   leader may have moved them, and so after an edit of a calendar. `ScheduleWindow` drops those that are due later.

While nothing has changed, a look reads one number.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rota import events
from rota.schedule.calendar import Calendar
from rota.schedule.definition import StoredSchedule
from rota.scheduler.schedule_versions import with_end
from rota.scheduler.sources import SourceChanges
from rota.store import Store, open_store
from rota.store.address import read_address
from rota.store.due_window import DuePosition, DueSchedules
from rota.store.store_values import StoreChanges, StoreProblem

EVERY = timedelta(seconds=0.5)
MOST_KEPT = 10_000
"""Schedules of a store that a scheduler holds, whenever they are due."""
WINDOW = timedelta(minutes=30)
"""Schedules that are due within this time are held in any case, so that they fire while the store is away."""
PAGE = 200
"""Schedules that are read at once: so few that a fire is not late because others are being read."""
MOST_EDITS = 500
LOOK_AHEAD = timedelta(seconds=20)
"""How often the leader reads the schedules that have come into the window."""


class StoreSource:
    """Reads one store, which it opens at the first look. `store` is None until the store could be opened.

    Raises ConfigError for a wrong URL.
    """

    name = "store"
    every = EVERY
    holds = True

    def __init__(self, url: str) -> None:
        self.most_kept = MOST_KEPT
        self.store: Store | None = None
        self.is_whole = False
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        """The clock by which schedules are due. The scheduler gives that of the server."""
        self._url = url
        read_address(url)
        self._stack = AsyncExitStack()
        self._revision: int | None = None
        self._position: DuePosition | None = None
        self._read = 0
        self._leads = False
        self._reported: set[str] = set()

    @property
    def revision(self) -> int:
        """The last edit that was read."""
        return self._revision or 0

    @property
    def horizon(self) -> datetime:
        """All schedules of the store that are due before this moment were read."""
        if self.is_whole:
            return datetime.max.replace(tzinfo=UTC)
        return datetime.min.replace(tzinfo=UTC) if self._position is None else self._position.due_at

    def lead(self, leads: bool) -> None:
        """Note whether this scheduler leads. A new leader reads those within the window, unless it holds all."""
        self._leads = leads
        if leads:
            self._begin_again()

    def narrow(self) -> datetime:
        """Hold from now on only those within the window, because there are too many.

        Returns the moment after which schedules can be dropped: so late that no page reaches it while that is written.
        """
        end = self.now() + WINDOW
        if self.is_whole or (self._position is not None and self._position.due_at > end):
            self._position = DuePosition(end, "")
        self.is_whole, self._read = False, self.most_kept
        return end + WINDOW

    def forget(self) -> None:
        """Note that what was read is not held any more."""
        self.is_whole, self._position, self._read = False, None, self.most_kept

    async def changes(self) -> SourceChanges:
        """Read what was edited since the last call, and the next schedules by their due times."""
        store = await self._open()
        if self._revision is None:
            found = await store.installation()
        else:
            found = await store.changed_since(self._revision, most=MOST_EDITS)
            if found.calendars:
                self._begin_again()
        horizon, page = self.horizon, await self._next_page(store)
        self._revision = found.revision
        self._report(found.problems)
        edits = {each.id: each for each in found.schedules if not _is_read_later(each, horizon)}
        # The page was read after the edits, so what it shows of a schedule is at least as new.
        changed = {**edits, **{each.id: each for each in page.schedules}}
        return SourceChanges(
            changed=tuple(changed.values()),
            planned={**found.planned, **page.planned},
            calendars=_calendars(found),
            hold=found.hold,
            more=found.more or page.position is not None,
        )

    async def pick_up(self, name: str) -> DueSchedules:
        """Return the schedule with a name or an ID, and note in the store that it is needed now. Raises StoreError."""
        store = await self._open()
        found = await store.pick_up(name, self.now())
        self._report(found.problems)
        return found

    async def versions(self, schedule_id: str) -> list[StoredSchedule]:
        """Return the last versions of a schedule, the oldest first, and its deletion; none without an open store.

        Raises StoreError.
        """
        if self.store is None:
            return []
        present, *end = with_end(await self.store.get(schedule_id))
        found = (await self.store.versions(schedule_id)).items
        return [
            replace(present, definition=each.definition, version=each.version, updated_at=each.at, since=each.at)
            for each in reversed(found)
        ] + end

    async def aclose(self) -> None:
        """Close the store."""
        await self._stack.aclose()

    async def _open(self) -> Store:
        if self.store is None:
            self.store = await self._stack.enter_async_context(open_store(self._url))
        return self.store

    def _begin_again(self) -> None:
        """Read the schedules from the first one on, because others may be due first now."""
        if self.is_whole:
            return
        self._position = None
        if self._read < self.most_kept:
            self._read = 0

    async def _next_page(self, store: Store) -> DueSchedules:
        """Read the next schedules by their due times, if this scheduler is to hold more of them."""
        position, end = self._position, self.now() + WINDOW
        within = self._leads and (position is None or position.due_at < end - LOOK_AHEAD)
        if self.is_whole or not (within or self._read < self.most_kept):
            return DueSchedules((), {}, None)
        until = None if self._read < self.most_kept else end
        page = await store.due_schedules(position, until=until, limit=PAGE)
        self._report(page.problems)
        self._read += len(page.schedules)
        if position == self._position:  # else this scheduler began to lead meanwhile
            self._position = page.position or (DuePosition(until, "") if until else position)
            self.is_whole = page.position is None and until is None
        return page

    def _report(self, problems: tuple[StoreProblem, ...]) -> None:
        for problem in problems:
            if str(problem) not in self._reported:
                self._reported.add(str(problem))
                error = ValueError(problem.message)
                events.emit(events.ScheduleSpoilt(source=self.name, schedule=problem.name or problem.id, error=error))


def _is_read_later(schedule: StoredSchedule, horizon: datetime) -> bool:
    """Whether a schedule is new, and due so late that the scheduler reads it when it comes into the window."""
    if schedule.version > 1 or schedule.deleted_at is not None:
        return False
    return schedule.due_at is not None and schedule.due_at > horizon


def _calendars(found: StoreChanges) -> dict[str, Calendar | None]:
    return {each.name: each.calendar if each.deleted_at is None else None for each in found.calendars}
