"""Finds schedules that would start each other without end by their `then`, and chains that are too long."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from rota.schedule.definition import ScheduleDefinition

MOST_LINKS = 10
Followers: TypeAlias = Mapping[str, frozenset[str]]
"""For the name of each schedule, the names of the schedules that its runs start."""


def followers_of(definition: ScheduleDefinition) -> frozenset[str]:
    """Return the names of the schedules that the runs of a schedule start."""
    return frozenset(rule.schedule for rule in definition.then if rule.schedule is not None)


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
