"""The values that a store returns besides schedules and runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Generic, TypeVar

from rota.schedule.calendar import Calendar
from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.schedule.run import RunOutcome

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoreProblem:
    """A row that cannot be read, because it was changed by hand or by a newer Rota. All other rows are read."""

    kind: str
    id: str
    name: str
    message: str

    def __str__(self) -> str:
        return f"The {self.kind} {self.name or self.id!r} in the store cannot be read and is skipped: {self.message}"


@dataclass(frozen=True, slots=True)
class StorePage(Generic[T]):
    """A part of a list. `next` is the cursor of the next part, None at the end; `problems` are the rows left out."""

    items: tuple[T, ...]
    next: str | None = None
    problems: tuple[StoreProblem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleVersion:
    """One version of a schedule: its definition, and the edit that made it. `changed` names the edited fields."""

    schedule_id: str
    version: int
    act: str
    changed: tuple[str, ...]
    definition: ScheduleDefinition
    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTimes:
    """How far a schedule has come: its last planned time that was decided, and the next one."""

    schedule_id: str
    last_planned_at: datetime | None = None
    next_due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleProgress(PlannedTimes):
    """The same with the counts of all runs ever recorded. `missed` ones are a part of those that were skipped."""

    last_run_id: str | None = None
    last_outcome: RunOutcome | None = None
    fired: int = 0
    failed: int = 0
    skipped: int = 0
    missed: int = 0
    failures_in_row: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatistics:
    """The last runs of a schedule that are over and were not skipped.

    `success_rate` is the share of successes in all that succeeded or failed. `streak` counts the successes in a row, or
    the failures as a negative number. Lateness is from the planned time to the enqueue, duration from start to end.
    """

    runs: int
    succeeded: int
    failed: int
    success_rate: float | None
    streak: int
    duration_p50: timedelta | None
    duration_p95: timedelta | None
    lateness_p50: timedelta | None
    lateness_p95: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DayReport:
    """The runs planned on one day. `failed` has every end that is neither a success nor a cancellation."""

    day: date
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCalendar:
    """A named calendar. One with `deleted_at` was deleted."""

    name: str
    calendar: Calendar
    version: int
    revision: int
    updated_at: datetime
    updated_by: str
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """All schedules are stopped: by a user, since a time, and until another one unless it is lifted by hand."""

    by: str
    at: datetime
    reason: str = ""
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether the hold is still in force."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreChanges:
    """Everything that was edited since a revision. The next look starts at `revision`.

    Deleted schedules and calendars are among them, with `deleted_at`, unless the look starts at 0. `hold` is the
    present one, and `hold_changed` says whether it was set or lifted since.
    """

    revision: int
    schedules: tuple[StoredSchedule, ...] = ()
    calendars: tuple[StoredCalendar, ...] = ()
    hold: Hold | None = None
    hold_changed: bool = False
    problems: tuple[StoreProblem, ...] = field(default=())
    more: bool = False
    """Whether there are further edits, which the next look reads."""
    planned: Mapping[str, datetime] = field(default_factory=dict[str, datetime])
    """The last planned times of deleted schedules by ID."""


def text_for_database(text: str) -> str:
    """Return a text that every database accepts: without NUL, which PostgreSQL refuses, and without half characters."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def problems_of_json(value: Any, path: str) -> Iterable[tuple[str, str]]:
    """Yield what a database could not keep as it is: a NUL in a text, and a number of more than 64 bits."""
    if isinstance(value, str) and "\0" in value:
        yield path, f"{path} holds the character NUL, which databases refuse."
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield path, f"{path} is {value}, but databases keep whole numbers of 64 bits. Write it as a text."
    elif isinstance(value, Mapping):
        for key, each in value.items():  # pyright: ignore[reportUnknownVariableType]
            yield from problems_of_json(key, path)
            yield from problems_of_json(each, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            yield from problems_of_json(each, f"{path}.{index}")
