"""The keywords that define a schedule in code, with the types that a type checker sees."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Required, TypedDict

if TYPE_CHECKING:
    from rota.schedule.definition import (
        AutoPause,
        Missed,
        OnDayOff,
        Overlap,
        ScheduleKind,
        ThenRule,
    )
    from rota.schedule.spec import RepeatedHour, SkippedHour


class ScheduleOptions(TypedDict, total=False):
    """The keywords of a schedule besides what it runs and when. None means "not given"."""

    queue: str | None
    max_retry: int | None
    timeout: str | timedelta | None
    deadline: str | timedelta | None
    unique: str | timedelta | None
    retention: str | timedelta | None
    group: str | None
    headers: Mapping[str, str] | None
    missed: "Missed | None"
    missed_limit: int | None
    start_deadline: str | timedelta | None
    overlap: "Overlap | None"
    overlap_limit: int | None
    skipped_hour: "SkippedHour | None"
    repeated_hour: "RepeatedHour | None"
    jitter: str | timedelta | None
    starts_at: datetime | str | None
    ends_at: datetime | str | None
    max_runs: int | None
    calendar: str | None
    on_day_off: "OnDayOff | None"
    then: "ThenRule | Mapping[str, Any] | Sequence[ThenRule | Mapping[str, Any]] | None"
    fan_out: int | None
    auto_pause: "AutoPause | Mapping[str, Any] | int | None"
    enabled: bool | None
    pause_until: datetime | str | None
    pause_note: str | None
    remark: str | None
    tags: Sequence[str] | str | None
    owner: str | None


class ScheduleKeywords(ScheduleOptions, total=False):
    """All keywords of `ScheduleDefinition`."""

    name: Required[str]
    kind: "ScheduleKind | None"
    task_type: Required[str]
    payload: Mapping[str, Any] | None
    specs: Sequence[str] | str | None
    timezone: str | None
    process_in: str | timedelta | None
    process_at: datetime | str | None
