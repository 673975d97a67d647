"""How a record of a run joins what is stored already. Pure: the rules, without the database.

Records come more than once and in any order, because the process that writes them may die before it learns that it has.

1. A record of a stored run adds what is new. An outcome is final, except `lost`: a lost run may still tell its outcome.
2. A skip that follows a skip of the same schedule for the same reason extends it by its count and its end.
3. A skip whose planned times are all counted already changes nothing.
"""

from dataclasses import fields, replace
from datetime import datetime

from rota.schedule.run import ScheduleRun

FAILURES = frozenset({"failed", "expired", "quarantined", "lost"})
_DEFAULTS = {each.name: each.default for each in fields(ScheduleRun)}


def merged(stored: ScheduleRun, record: ScheduleRun) -> ScheduleRun:
    """Return the stored run with what the record adds."""
    if stored.outcome == record.outcome == "skipped":
        return max(stored, record, key=lambda each: each.skip_count)
    stronger, weaker = (stored, record) if _is_final(stored) or not record.is_over else (record, stored)
    added = {
        name: getattr(weaker, name)
        for name, default in _DEFAULTS.items()
        if getattr(stronger, name) == default != getattr(weaker, name)
    }
    if len(weaker.attempts) > len(stronger.attempts):
        added["attempts"] = weaker.attempts
    return replace(stronger, **added)


def extended(last: ScheduleRun, record: ScheduleRun) -> ScheduleRun | None:
    """Return the last run of a schedule, longer by a skip that continues it; None if the record is a run of its own."""
    if not continues(last, record) or end_of(record) <= end_of(last):
        return None
    count = last.skip_count + record.skip_count
    return replace(last, skip_count=count, skip_until=end_of(record), note=record.note or last.note)


def continues(last: ScheduleRun, record: ScheduleRun) -> bool:
    """Whether both are skips of one schedule for one reason."""
    return (
        last.outcome == record.outcome == "skipped"
        and last.schedule_id == record.schedule_id
        and last.skip_reason == record.skip_reason
    )


def covers(stored: ScheduleRun, record: ScheduleRun) -> bool:
    """Whether a stored skip has counted the planned times of this record already."""
    return continues(stored, record) and stored.planned_at <= record.planned_at and end_of(record) <= end_of(stored)


def end_of(run: ScheduleRun) -> datetime:
    """Return the last planned time of a run or of a range of skips."""
    return run.skip_until or run.planned_at


def counted_skip(run: ScheduleRun) -> ScheduleRun:
    """Return a skipped run with a count of at least one; every other run as it is."""
    return replace(run, skip_count=max(run.skip_count, 1)) if run.outcome == "skipped" else run


def _is_final(run: ScheduleRun) -> bool:
    return run.is_over and run.outcome != "lost"
