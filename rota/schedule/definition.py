"""The definition of a schedule: every field that a user edits, checked as a whole.

A definition comes from a form, a file, the database or code. `ScheduleDefinition(...)` checks the words of code, and
`ScheduleDefinition.read(mapping)` those of everything else; both raise ScheduleInvalid with all problems at once.
`to_mapping()` writes the short form: only what differs from the defaults.

Rules that hold for all fields:

1. None means "not given": the default applies.
2. A duration is a text with a unit (`"30s"`, `"1h30m"`) or a timedelta, never a bare number.
3. An instant has a time zone, and is kept in UTC, in whole milliseconds.
4. A field that would have no effect is refused, unless it has its default value, because its writer expects an effect.

An option of the task that is None here (`queue`, `max_retry`, `timeout`, `unique`, `retention`, `group`) is that of the
task type.

To add a field:

1. Add it to `ScheduleDefinition`, and to the keywords of code in `keywords.py`. The store keeps all fields in the
   column `definition`, so there is no migration. Files of schedules, `rota schedule add --set`, `edit --set` and `show`
   know it then.
2. If it has no effect beside other fields, refuse that in `conflicts.py`.
3. If it changes the planned times, name it in `_TIMING` of `due.py`: the times then count from the edit.
4. Give it its effect: `timetable.py` and `due.py` decide when a run starts, `rota.scheduler.run_plans` makes its tasks.
5. Write a check of it in `tests/integration/scheduler/test_every_field.py`, and a line in `docs/schedules.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias, Unpack, cast
from uuid import UUID, uuid5

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from rota.core.canonical import is_array, is_mapping
from rota.core.text import counted, did_you_mean, nearest, unstopped
from rota.errors import ScheduleInvalid
from rota.schedule.conflicts import conflicts
from rota.schedule.fields import (
    MOST_ITEMS,
    Headers,
    JsonObject,
    Length,
    Moment,
    Name,
    QueueName,
    Retention,
    Seconds,
    Tags,
    Text,
    Texts,
    YesNo,
    Zone,
    brief,
    whole,
)
from rota.schedule.spec import RepeatedHour, SkippedHour, parse_spec
from rota.schedule.trigger import Trigger

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from rota.schedule.keywords import ScheduleKeywords

ScheduleKind: TypeAlias = Literal["periodic", "once", "wait"]
Missed: TypeAlias = Literal["once", "skip", "all"]
Overlap: TypeAlias = Literal["skip", "allow", "queue_one", "queue_all", "replace"]
OnDayOff: TypeAlias = Literal["skip", "next_working_day", "previous_working_day"]
After: TypeAlias = Literal["success", "failure", "always"]
Source: TypeAlias = Literal["database", "code", "provider"]
Problem: TypeAlias = tuple[str, str]

DEFAULT_LIMIT = 100
"""How many missed or waiting runs `missed="all"` and `overlap="queue_all"` allow without a limit of their own."""
MOST_RUNS_AT_ONCE = 1000
"""The largest such limit: all of these runs are decided in one step."""
MOST_SHARDS = 1000


class ThenRule(BaseModel):
    """Starts another schedule, by its name, or a task after a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: After = "success"
    schedule: Name | None = None
    task_type: Name | None = None
    payload: JsonObject = Field(default_factory=dict)
    queue: QueueName | None = None


class AutoPause(BaseModel):
    """Pause the schedule after `failures` failures in a row.

    With `probe_after` it runs again after this time; each further failure doubles the time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    failures: Annotated[int, BeforeValidator(whole(1))]
    probe_after: Seconds | None = None


def _rules(value: Any) -> Any:
    rules = value if is_array(value) else (value,)
    if len(rules) > MOST_ITEMS:
        raise ValueError(f"then has {len(rules)} rules, but may have {MOST_ITEMS}.")
    return rules


def _auto_pause(value: Any) -> Any:
    return {"failures": value} if isinstance(value, int) else value


class ScheduleDefinition(BaseModel):
    """The fields of a schedule that a user edits. Frozen; `patched` returns a changed one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    kind: ScheduleKind = "periodic"
    task_type: Name
    payload: JsonObject = Field(default_factory=dict)
    specs: Texts = ()
    timezone: Zone = "UTC"
    process_in: Length | None = None
    process_at: Moment | None = None

    queue: QueueName | None = None
    max_retry: Annotated[int, BeforeValidator(whole(0))] | None = None
    timeout: Seconds | None = None
    deadline: Seconds | None = None
    """Counts from the planned time."""
    unique: Seconds | None = None
    retention: Retention | None = None
    group: Name | None = None
    headers: Headers = Field(default_factory=dict)

    missed: Missed = "once"
    missed_limit: Annotated[int, BeforeValidator(whole(1, MOST_RUNS_AT_ONCE))] | None = None
    start_deadline: Seconds | None = None
    overlap: Overlap = "skip"
    overlap_limit: Annotated[int, BeforeValidator(whole(1, MOST_RUNS_AT_ONCE))] | None = None
    skipped_hour: SkippedHour = "after"
    repeated_hour: RepeatedHour = "once"
    jitter: Length | None = None
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    max_runs: Annotated[int, BeforeValidator(whole(1))] | None = None
    calendar: Name | None = None
    on_day_off: OnDayOff = "skip"

    then: Annotated[tuple[ThenRule, ...], BeforeValidator(_rules)] = ()
    fan_out: Annotated[int, BeforeValidator(whole(2, MOST_SHARDS))] | None = None
    auto_pause: Annotated[AutoPause, BeforeValidator(_auto_pause)] | None = None
    enabled: YesNo = True
    pause_until: Moment | None = None
    pause_note: Text | None = None
    remark: Text | None = None
    tags: Tags = ()
    owner: Name | None = None

    def __init__(self, **words: "Unpack[ScheduleKeywords]") -> None:
        """Check the fields. Raises ScheduleInvalid with every problem."""
        given = {name: value for name, value in words.items() if value is not None}
        problems, sound = self._fill(given)
        problems += [(each.path, each.text) for each in conflicts(self) if sound.issuperset(each.about)]
        if problems:
            raise _refusal(given.get("name"), problems)

    def _fill(self, given: Mapping[str, Any]) -> tuple[list[Problem], set[str]]:
        """Validate each field. Returns the problems, and the names of the fields without one."""
        try:
            super().__init__(**given)
        except ValidationError as error:
            items = error.errors(include_url=False)
            bad = {str(item["loc"][0]) for item in items}
            # The sound fields are read again without the others, so that conflicts between them are found too.
            rest = {name: value for name, value in given.items() if name not in bad}
            super().__init__(**{**dict.fromkeys(("name", "task_type"), "unknown"), **rest})
            return [_problem(item) for item in items], set(FIELDS) - bad
        return [], set(FIELDS)

    @classmethod
    def read(cls, mapping: Mapping[str, Any], *, timezone: str = "UTC") -> Self:
        """Read a definition from a form, a file or the database. `timezone` applies if the mapping gives none.

        Raises ScheduleInvalid with every problem.
        """
        given: object = mapping
        if not is_mapping(given):
            raise _refusal(
                None, [("", f"{brief(given)} is not a schedule: write an object with name, task_type and specs.")]
            )
        words = {"timezone": timezone, **{str(name): value for name, value in given.items() if value is not None}}
        return cls(**cast("ScheduleKeywords", words))

    def to_mapping(self) -> dict[str, Any]:
        """Return the short form, as JSON can express it: what differs from the defaults, and always the time zone.

        `read` makes an equal definition of it.
        """
        written = self.model_dump(mode="json", exclude_defaults=True)
        written["timezone"] = self.timezone  # where the mapping is read, another zone may be the default
        return {name: written[name] for name in FIELDS if name in written}

    def patched(self, patch: Mapping[str, Any]) -> Self:
        """Return this definition with some fields replaced. None resets a field to its default."""
        return self.read({**self.to_mapping(), **patch}, timezone=self.timezone)

    def settled(self, now: datetime) -> Self:
        """Return this definition with the moment that `process_in` means if the schedule is saved now."""
        if self.process_in is None:
            return self
        return self.patched({"process_in": None, "process_at": now + self.process_in})

    def read_spec(self, spec: str, *, seed: str = "") -> Trigger:
        """Return the trigger of one of the specs. `seed` is the ID of the schedule. Raises ScheduleError."""
        return parse_spec(
            spec,
            timezone=self.timezone,
            seed=seed,
            skipped_hour=self.skipped_hour,
            repeated_hour=self.repeated_hour,
        )

    @property
    def most_missed(self) -> int:
        """How many missed planned times run at most."""
        if self.missed == "skip":
            return 0
        return 1 if self.missed == "once" else self.missed_limit or DEFAULT_LIMIT

    @property
    def most_waiting(self) -> int:
        """How many runs wait at most for an earlier run to end."""
        return {"queue_one": 1, "queue_all": self.overlap_limit or DEFAULT_LIMIT}.get(self.overlap, 0)


_NAMED = UUID("2b8f7c1e-7a52-5c0b-9f0e-3d6c1a4e8b90")
FIELDS: tuple[str, ...] = tuple(ScheduleDefinition.model_fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSchedule:
    """A schedule with its ID and history. `version` counts its edits; `revision` orders the edits of all schedules.

    A schedule of a store also has `since`, the moment from which its present times hold, and `due_at`, before which no
    scheduler needs it.
    """

    id: str
    definition: ScheduleDefinition
    version: int = 1
    source: Source = "database"
    revision: int = 0
    created_at: datetime
    created_by: str = ""
    updated_at: datetime
    updated_by: str = ""
    deleted_at: datetime | None = None
    deleted_by: str = ""
    since: datetime | None = None
    due_at: datetime | None = None


def named_schedule_id(name: str) -> str:
    """Return the ID of a schedule that has no row in a store: the same in every process and after every start."""
    return str(uuid5(_NAMED, name))


def _problem(item: "ErrorDetails") -> Problem:
    path, value = ".".join(map(str, item["loc"])), item["input"]
    kind, own = item["type"], str(item["loc"][-1])
    if kind == "extra_forbidden":
        inner: dict[str, type[BaseModel]] = {"then": ThenRule, "auto_pause": AutoPause}
        owner = inner.get(str(item["loc"][0]), ScheduleDefinition)
        return path, f"There is no field {own!r}. {did_you_mean(own, owner.model_fields)}"
    if kind == "missing":
        return path, f"{path} is missing."
    if kind == "value_error":
        return path, item["msg"].removeprefix("Value error, ")
    if kind == "literal_error":
        return path, _unknown_word(path, value, str(item.get("ctx", {}).get("expected", "")))
    if kind == "bool_type":
        return path, f"{path} is {brief(value)}, but must be true or false."
    return path, f"{path} is {brief(value)}, which is wrong: {unstopped(item['msg'])}."


def _unknown_word(path: str, value: object, expected: str) -> str:
    words = [part for part in expected.split("'") if part.replace("_", "").isalnum()]
    near = nearest(str(value), words)
    advice = f"Did you mean {near!r}? " if near else ""
    return f"{path} is {brief(value)}. {advice}It must be one of: {', '.join(words)}."


def _refusal(name: object, problems: list[Problem]) -> ScheduleInvalid:
    who = f"The schedule {name!r}" if isinstance(name, str) and name.strip() else "The schedule"
    if len(problems) == 1:
        return ScheduleInvalid(f"{who} is wrong: {problems[0][1]}", problems=problems)
    lines = "".join(f"\n- {text}" for _, text in problems)
    return ScheduleInvalid(f"{who} has {counted(len(problems), 'problem')}:{lines}", problems=problems)
