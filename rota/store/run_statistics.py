"""Statistics of the runs of a schedule, from their rows."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from rota.store.database import Record
from rota.store.run_merge import FAILURES
from rota.store.store_values import RunStatistics


def statistics_of(rows: Sequence[Record]) -> RunStatistics:
    """Compute the statistics of runs that are over, the latest planned one first."""
    outcomes = [row["outcome"] for row in rows]
    succeeded, failed = outcomes.count("succeeded"), sum(outcome in FAILURES for outcome in outcomes)
    durations = _spans((row["started_at"], row["ended_at"]) for row in rows)
    lateness = _spans((row["planned_at"], row["enqueued_at"]) for row in rows)
    return RunStatistics(
        runs=len(rows),
        succeeded=succeeded,
        failed=failed,
        success_rate=succeeded / (succeeded + failed) if succeeded + failed else None,
        streak=_streak(outcomes),
        duration_p50=percentile(durations, 50),
        duration_p95=percentile(durations, 95),
        lateness_p50=percentile(lateness, 50),
        lateness_p95=percentile(lateness, 95),
    )


def percentile(values: Sequence[timedelta], percent: int) -> timedelta | None:
    """Return the smallest of the sorted values that at least this share of them does not exceed."""
    if not values:
        return None
    return values[max(0, -(-len(values) * percent // 100) - 1)]


def _streak(outcomes: Iterable[str]) -> int:
    """Count the outcomes in a row that are like the latest one. Cancelled runs are not counted."""
    ends = ["succeeded" if outcome == "succeeded" else "failed" for outcome in outcomes if outcome != "cancelled"]
    length = next((number for number, end in enumerate(ends) if end != ends[0]), len(ends))
    return -length if ends and ends[0] == "failed" else length


def _spans(pairs: Iterable[tuple[object, object]]) -> list[timedelta]:
    found = [(start, end) for start, end in pairs if isinstance(start, datetime) and isinstance(end, datetime)]
    return sorted(end - start for start, end in found)
