"""A forecast over all schedules: how many fires each day brings, which minutes are crowded, and how to spread them.

A minute is crowded by many schedules, and not by one that fires every few seconds: that one cannot be spread.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from rota.core.text import counted
from rota.schedule.definition import StoredSchedule
from rota.schedule.fire_counts import FireCounter
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

    The memory depends on the number of minutes, and not on how often a schedule fires in one. Raises OptionError if
    there are too many fires that no division counts (`fire_counts`).
    """
    counter = FireCounter(start, until, calendars)
    days, firing = Counter[date](), Counter[datetime]()
    rare: list[tuple[StoredSchedule, Counter[datetime]]] = []
    for schedule in schedules:
        own = Counter[datetime]()
        for minute, fires in counter.by_minute(schedule):
            own[minute] += fires
            days[minute.date()] += fires
        firing.update(own.keys())
        if own.total() * SPREADABLE <= until - start:
            rare.append((schedule, own))
    crowded = {minute: number for minute, number in firing.items() if number > limit}
    fullest = dict(sorted(crowded.items(), key=lambda pair: (-pair[1], pair[0])))
    return Forecast(dict(sorted(days.items())), fullest, _proposals(rare, crowded))


def _proposals(
    rare: Iterable[tuple[StoredSchedule, Counter[datetime]]], crowded: Mapping[datetime, int]
) -> tuple[str, ...]:
    """Propose `H` or a jitter for the schedules that have most of their fires in crowded minutes."""
    found: list[tuple[int, str]] = []
    for schedule, fires in rare:
        definition = schedule.definition
        hits = sum(number for minute, number in fires.items() if minute in crowded)
        if not hits or definition.jitter is not None or hits * 2 < fires.total():
            continue
        specs = tuple(map(_spread, definition.specs))
        advice = (
            f"write {' and '.join(map(repr, specs))} instead of {' and '.join(map(repr, definition.specs))}"
            if specs != definition.specs
            else "give it a jitter of 10m"
        )
        found.append(
            (hits, f"{definition.name}: {hits} of {counted(fires.total(), 'fire')} in crowded minutes; {advice}.")
        )
    return tuple(line for _, line in sorted(found, key=lambda pair: (-pair[0], pair[1])))


def _spread(spec: str) -> str:
    """Return a spec of five fields with `H` as its minute, if its minute is one number."""
    fields = spec.split()
    if len(fields) == 5 and fields[0].isdecimal():
        return " ".join(["H", *fields[1:]])
    return spec
