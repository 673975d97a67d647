"""Where schedules come from: declared in code, from a provider that is polled, or from a store.

A source is read again and again. Its schedules stay in force while it cannot be read. Each reading is a list of
changes: schedules that are new or changed, and IDs of those that are gone. A schedule that cannot be used is reported
and skipped, and the others go on.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from rota import events
from rota.errors import RotaError
from rota.schedule.calendar import Calendar
from rota.schedule.definition import ScheduleDefinition, Source, StoredSchedule, named_schedule_id

if TYPE_CHECKING:
    from rota.store.store_values import Hold

Given: TypeAlias = ScheduleDefinition | Mapping[str, Any]
Provide: TypeAlias = Callable[[], Iterable[Given] | Awaitable[Iterable[Given]]]


@dataclass(frozen=True, slots=True)
class SourceChanges:
    """The changes of a source since the last reading."""

    changed: tuple[StoredSchedule, ...] = ()
    """Schedules of a store may be deleted ones, with `deleted_at`."""
    gone: tuple[str, ...] = ()
    """The IDs of schedules that the source does not give any more."""
    planned: Mapping[str, datetime] = field(default_factory=dict[str, datetime])
    """The last planned times by the IDs of schedules, for a server that has lost its data."""
    calendars: Mapping[str, Calendar | None] = field(default_factory=dict[str, Calendar | None])
    """New and changed calendars by name; None for those that are gone."""
    hold: "Hold | None" = None
    """Whether all schedules are stopped. Only a store can say so."""
    more: bool = False
    """Whether the source has further schedules at hand, so that it is read again at once."""


class ScheduleSource(Protocol):
    """A source of schedules."""

    @property
    def name(self) -> str:
        """A short text for log lines and health."""
        ...

    @property
    def every(self) -> timedelta | None:
        """How often the source is read; None for once."""
        ...

    @property
    def holds(self) -> bool:
        """Whether the source knows the hold of all schedules."""
        ...

    async def changes(self) -> SourceChanges:
        """Read what has changed since the last call. Any error is reported, and the source is read again later."""
        ...


class CodeSource:
    """The schedules that an app declares, or that a program gives to `app.scheduler`."""

    every = None
    holds = False

    def __init__(self, name: str, schedules: Callable[[], Iterable[StoredSchedule | ScheduleDefinition]]) -> None:
        self.name = name
        self._schedules = schedules

    async def changes(self) -> SourceChanges:
        """Return all schedules."""
        found = self._schedules()
        return SourceChanges(
            tuple(each if isinstance(each, StoredSchedule) else _declared(each, "code") for each in found)
        )


class ProviderSource:
    """The schedules that a function returns, which is called again and again, as Asynq's PeriodicTaskManager does.

    `timezone` is the zone of a mapping that names none.
    """

    holds = False

    def __init__(self, provide: Provide, *, name: str, every: timedelta, timezone: str = "UTC") -> None:
        self.name = name
        self._timezone = timezone
        self.every = every
        self._provide = provide
        self._known: dict[str, ScheduleDefinition] = {}

    async def changes(self) -> SourceChanges:
        """Call the function, and compare what it returns with the last time."""
        answer = self._provide()
        given = await answer if inspect.isawaitable(answer) else answer
        found = {named_schedule_id(definition.name): definition for definition in self._readable(given)}
        changed = [
            _declared(definition, "provider") for id, definition in found.items() if self._known.get(id) != definition
        ]
        gone = tuple(self._known.keys() - found.keys())
        self._known = found
        return SourceChanges(tuple(changed), gone)

    def _readable(self, given: Iterable[Given]) -> Iterable[ScheduleDefinition]:
        for each in given:
            try:
                yield (
                    each
                    if isinstance(each, ScheduleDefinition)
                    else ScheduleDefinition.read(each, timezone=self._timezone)
                )
            except RotaError as error:
                name = each.get("name") if isinstance(each, Mapping) else None
                events.emit(events.ScheduleSpoilt(source=self.name, schedule=str(name), error=error))


def _declared(definition: ScheduleDefinition, source: Source) -> StoredSchedule:
    now = datetime.now(UTC)
    return StoredSchedule(
        id=named_schedule_id(definition.name), definition=definition, source=source, created_at=now, updated_at=now
    )
