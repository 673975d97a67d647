"""A forecast over all schedules: how many fires each day brings, which minutes are crowded, and how to spread them.

A minute is crowded by many schedules, and not by one that fires every few seconds: that one cannot be spread.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from rota.core.text import counted
from rota.schedule.definition import StoredSchedule
from rota.schedule.simulation import simulate_all
from rota.schedule.timetable import DaysOff

SPREADABLE = timedelta(minutes=20)
"""A schedule that fires more often than this on average is not told to spread its fires."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """`days` counts fires, and `crowded` the schedules that fire in a minute, the fullest minutes first, both in UTC.

    `proposals` are sentences.
    """

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
    """Return the forecast of an interval. A minute in which more than `limit` schedules fire is crowded.

    Raises OptionError if there are too many fires.
    """
    by_schedule: dict[str, tuple[StoredSchedule, list[datetime]]] = {}
    for schedule, each in simulate_all(schedules, start, until, calendars=calendars):
        of_schedule = by_schedule.setdefault(schedule.id, (schedule, []))[1]
        of_schedule.append(each.at.replace(second=0, microsecond=0))
    minutes = list(by_schedule.values())
    days = Counter(minute.date() for _, found in minutes for minute in found)
    firing = Counter(minute for _, found in minutes for minute in set(found))
    crowded = {minute: number for minute, number in firing.items() if number > limit}
    fullest = dict(sorted(crowded.items(), key=lambda pair: (-pair[1], pair[0])))
    rare = [(each, found) for each, found in minutes if len(found) * SPREADABLE <= until - start]
    return Forecast(dict(sorted(days.items())), fullest, _proposals(rare, crowded))


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
            (hits, f"{definition.name}: {hits} of {counted(len(fires), 'fire')} in crowded minutes; {advice}.")
        )
    return tuple(line for _, line in sorted(found, key=lambda pair: (-pair[0], pair[1])))


def _spread(spec: str) -> str:
    """Return a spec of five fields with `H` as its minute, if its minute is one number."""
    fields = spec.split()
    if len(fields) == 5 and fields[0].isdecimal():
        return " ".join(["H", *fields[1:]])
    return spec
