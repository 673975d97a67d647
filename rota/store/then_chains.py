"""Refuses schedules that would start each other without end, or in a chain that is too long.

A schedule names others in `then`. The edit of one of them may close a circle, so each edit that names others looks at
all schedules. Edits happen one after the other, so two of them cannot close a circle together.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.core.canonical import is_array, is_mapping
from rota.errors import ScheduleInvalid
from rota.schedule.definition import ScheduleDefinition
from rota.store.database import records
from rota.store.tables import schedules

MOST_LINKS = 10
Followers = Mapping[str, frozenset[str]]
"""For the name of each schedule, the names of the schedules that its runs start."""


async def refuse_chain(connection: AsyncConnection, definition: ScheduleDefinition, but: str = "") -> None:
    """Raise ScheduleInvalid if a definition closes a circle or makes a chain too long. `but` is the ID that it gets."""
    named = frozenset(rule.schedule for rule in definition.then if rule.schedule is not None)
    if not named:
        return
    query = select(schedules.c.live_name, schedules.c.definition)
    query = query.where(schedules.c.live_name.is_not(None), schedules.c.id != but)
    others = {row["live_name"]: _named_in(row["definition"]) for row in await records(connection, query)}
    if problem := problem_of_chain(definition.name, {**others, definition.name: named}):
        raise ScheduleInvalid(f"The schedule {definition.name!r} is wrong: {problem}", problems=[("then", problem)])


def problem_of_chain(name: str, followers: Followers) -> str:
    """Return what is wrong with the chains through a schedule; an empty text if nothing is."""
    circle = _path_to(name, followers[name], followers)
    if circle:
        return f"then starts schedules in a circle without end: {' → '.join([name, *circle])}."
    predecessors: dict[str, set[str]] = {}
    for each, targets in followers.items():
        for target in targets:
            predecessors.setdefault(target, set()).add(each)
    length = _depth(name, followers) + _depth(name, {each: frozenset(found) for each, found in predecessors.items()})
    if length > MOST_LINKS:
        return f"then makes a chain of {length} starts, and {MOST_LINKS} are allowed. Start the last ones by specs."
    return ""


def _path_to(name: str, starts: Iterable[str], followers: Followers) -> list[str]:
    """Return a path from one of the starts to a name; an empty list if there is none."""
    ways = [[start] for start in sorted(starts)]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        if way[-1] == name:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [[*way, each] for each in sorted(followers.get(way[-1], ()))]
    return []


def _depth(name: str, followers: Followers) -> int:
    """Return the length of the longest chain that begins with a name, or `MOST_LINKS` + 1 if it is longer."""
    level, depth = {name}, 0
    while depth <= MOST_LINKS and (level := {each for one in level for each in followers.get(one, ())}):
        depth += 1
    return depth


def _named_in(definition: object) -> frozenset[str]:
    rules = definition.get("then") if is_mapping(definition) else None
    names = [rule.get("schedule") for rule in rules if is_mapping(rule)] if is_array(rules) else []
    return frozenset(name for name in names if isinstance(name, str))
