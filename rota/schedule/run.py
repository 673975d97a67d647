"""A run: one planned time of a schedule and what became of it.

Every planned time leaves a run, also one that did not fire. Several skips in a row for the same reason are one run with
a count and a range, so that a schedule of one second that is paused for a week does not leave 600,000 of them.

The ID of a run is made from its schedule and its planned time. Its task carries the same ID, so a second leader that
fires the same planned time is refused by the queue.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias, get_args

from pydantic import ConfigDict, TypeAdapter

from rota.core.randomness import uuid7

Cause: TypeAlias = Literal["tick", "catch_up", "manual", "backfill", "then"]
RunOutcome: TypeAlias = Literal["succeeded", "failed", "cancelled", "expired", "quarantined", "lost", "skipped"]
SkipReason: TypeAlias = Literal[
    "missed",  # nothing ran at the planned time, and the schedule does not make up for it
    "start_deadline",  # nothing ran until it was too late
    "paused",
    "deleted",  # the schedule was deleted before the time was decided
    "hold",  # all schedules are stopped
    "calendar",  # a day off
    "overlap",  # an earlier run was not over
    "replaced",  # a newer run took its place before it started
    "skip_next",  # a user asked to skip it
    "max_runs",
    "ends_at",
    "unique",  # another task holds the unique lock
    "refused",  # the server or the app refused the task; `error` says why
]
SKIP_REASONS: tuple[str, ...] = get_args(SkipReason)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAttempt:
    """One attempt of the task of a run. `ended_at` is None while it runs; `error` is empty after a success."""

    worker: str
    started_at: datetime
    ended_at: datetime | None = None
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRun:
    """One planned time. `outcome` is None until the run is over.

    `by` is who started it by hand. A run that fans out has several tasks. The skip of several planned times in a row
    has the first one in `planned_at`, the last one in `skip_until`, and their number in `skip_count`.
    """

    id: str
    schedule_id: str
    schedule_version: int
    planned_at: datetime
    cause: Cause = "tick"
    by: str = ""
    queue: str = ""
    task_type: str = ""
    task_ids: tuple[str, ...] = ()
    enqueued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: RunOutcome | None = None
    skip_reason: SkipReason | None = None
    skip_count: int = 0
    skip_until: datetime | None = None
    result: bytes | None = None
    error: str = ""
    note: str = ""
    """The rule that decided, in words: `overlap is skip, and run ...-1767229200000 has been running since 02:00`."""
    attempts: tuple[RunAttempt, ...] = ()
    log: tuple[str, ...] = ()
    """The lines of `context.log` in the task, each with its time: `2026-03-01T12:00:00.123Z 7 of 9 sent`."""

    __pydantic_config__ = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    @property
    def is_over(self) -> bool:
        """Whether the run has its outcome."""
        return self.outcome is not None

    def to_json(self) -> bytes:
        """Return the run as JSON without the fields that have their default, as `from_json` reads it."""
        return _RUNS.dump_json(self, exclude_defaults=True)

    @classmethod
    def from_json(cls, data: bytes) -> "ScheduleRun":
        """Read what `to_json` wrote."""
        return _RUNS.validate_json(data)


_RUNS = TypeAdapter(ScheduleRun)


def run_id(schedule_id: str, planned_at: datetime) -> str:
    """Return the ID of the run of this planned time. Two planned times in one millisecond are one run."""
    return f"{schedule_id}-{(planned_at - _EPOCH) // _MILLISECOND}"


def manual_run_id(schedule_id: str) -> str:
    """Return a new ID for a run that a user starts now."""
    return f"{schedule_id}-m{uuid7().hex}"


def run_task_ids(run: str, fan_out: int | None) -> tuple[str, ...]:
    """Return the IDs of the tasks of a run: its own ID, or one for each shard."""
    return (run,) if fan_out is None else tuple(f"{run}-{shard}" for shard in range(fan_out))
