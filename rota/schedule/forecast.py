"""A forecast over all schedules: how many fires each day brings, which minutes are crowded, and how to spread them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from rota.core.text import counted
from rota.schedule.definition import StoredSchedule
from rota.schedule.simulation import simulate_all
from rota.schedule.timetable import DaysOff


@dataclass(frozen=True, slots=True)
class Forecast:
    """`days` and `crowded` count fires, in UTC; `crowded` has the fullest minutes first. `proposals` are sentences."""

    days: Mapping[date, int]
    crowded: Mapping[datetime, int]
    proposals: tuple[str, ...]


def make_forecast(
    schedules: Iterable[StoredSchedule],
    start: datetime,
    until: datetime,
    *,
    limit: int,
    calendars: Mapping[str, DaysOff],
) -> Forecast:
    """Return the forecast of an interval. A minute with more than `limit` fires is crowded.

    Raises OptionError if there are too many fires.
    """
    by_schedule: dict[str, tuple[StoredSchedule, list[datetime]]] = {}
    for schedule, each in simulate_all(schedules, start, until, calendars=calendars):
        of_schedule = by_schedule.setdefault(schedule.id, (schedule, []))[1]
        of_schedule.append(each.at.replace(second=0, microsecond=0))
    minutes = list(by_schedule.values())
    fires = Counter(minute for _, found in minutes for minute in found)
    days: Counter[date] = Counter()
    for minute, number in fires.items():
        days[minute.date()] += number
    crowded = {minute: number for minute, number in fires.items() if number > limit}
    fullest = dict(sorted(crowded.items(), key=lambda pair: (-pair[1], pair[0])))
    return Forecast(dict(sorted(days.items())), fullest, _proposals(minutes, crowded))


def _proposals(
    minutes: Iterable[tuple[StoredSchedule, list[datetime]]], crowded: Mapping[datetime, int]
) -> tuple[str, ...]:
    """Propose `H` or a jitter for the schedules that have most of their fires in crowded minutes."""
    found: list[tuple[int, str]] = []
    for schedule, fires in minutes:
        definition = schedule.definition
        hits = sum(minute in crowded for minute in fires)
        if not hits or definition.jitter is not None or hits * 2 < len(fires):
            continue
        specs = tuple(map(_spread, definition.specs))
        advice = (
            f"write {' and '.join(map(repr, specs))} instead of {' and '.join(map(repr, definition.specs))}"
            if specs != definition.specs
            else "give it a jitter of 10m"
        )
        found.append(
            (hits, f"{definition.name}: {hits} of {counted(len(fires), 'fire')} fall into crowded minutes; {advice}.")
        )
    return tuple(line for _, line in sorted(found, key=lambda pair: (-pair[0], pair[1])))


def _spread(spec: str) -> str:
    """Return a spec of five fields with `H` as its minute, if its minute is one number."""
    fields = spec.split()
    if len(fields) == 5 and fields[0].isdecimal():
        return " ".join(["H", *fields[1:]])
    return spec
