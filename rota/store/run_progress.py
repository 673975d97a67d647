"""The results of all runs of a schedule: counts, the last outcome, and failures in a row.

The counts change by the difference between a run as it was and as it is, so a record that comes twice counts once.
"""

from collections import Counter
from typing import Any, Final

from rota.schedule.run import RunOutcome, ScheduleRun
from rota.store.database import Record
from rota.store.run_merge import FAILURES
from rota.store.store_values import PlannedTimes, ScheduleProgress

NEW_PROGRESS: Final[dict[str, Any]] = {
    "last_planned_at": None,
    "next_due_at": None,
    "last_run_id": None,
    "last_outcome": None,
    "fired": 0,
    "failed": 0,
    "skipped": 0,
    "missed": 0,
    "failures_in_row": 0,
}
"""The state of a schedule without runs."""


def count_run(state: Record, before: ScheduleRun | None, after: ScheduleRun) -> None:
    """Add to the state of a schedule what is new about one of its runs."""
    new, old = _counts(after), _counts(before)
    for name in ("fired", "failed", "skipped", "missed"):
        state[name] += new[name] - old[name]
    outcome: RunOutcome | None = "failed" if _is_refused(after) else after.outcome
    if outcome in (None, "skipped") or (before is not None and before.outcome == after.outcome):
        return
    state["last_outcome"] = outcome
    if outcome == "succeeded":
        state["failures_in_row"] = 0
    elif outcome in FAILURES and not old["failed"]:
        state["failures_in_row"] += 1


def moved_on(state: Record, planned: PlannedTimes) -> None:
    """Write into a state how far its schedule has come. The last planned time never moves back."""
    last = planned.last_planned_at
    if last is not None and (state["last_planned_at"] is None or last > state["last_planned_at"]):
        state["last_planned_at"] = last
    state["next_due_at"] = planned.next_due_at


def progress_of(row: Record) -> ScheduleProgress:
    """Read the state of a schedule."""
    return ScheduleProgress(**row)


def _counts(run: ScheduleRun | None) -> Counter[str]:
    if run is None:
        return Counter()
    if run.outcome == "skipped":
        missed = run.skip_count if run.skip_reason in ("missed", "start_deadline") else 0
        return Counter(skipped=run.skip_count, missed=missed, failed=int(_is_refused(run)))
    return Counter(fired=1, failed=int(run.outcome in FAILURES))


def _is_refused(run: ScheduleRun) -> bool:
    """Whether a planned time did not fire because the app or the server refused its task, which is a failure.

    Such skips in a row are one row of the store, and count as one failure.
    """
    return run.outcome == "skipped" and run.skip_reason == "refused"
