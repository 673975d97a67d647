"""Refuses schedules that would start each other without end, or in a chain that is too long.

A schedule names others in `then`. The edit of one of them may close a circle, so each edit that names others looks at
all schedules. Edits happen one after the other, so two of them cannot close a circle together.
"""

from sqlalchemy import Text, cast, select
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.core.canonical import is_array, is_mapping
from rota.errors import ScheduleInvalid
from rota.schedule.definition import ScheduleDefinition
from rota.schedule.then_links import followers_of, problem_of_chain
from rota.store.database import records
from rota.store.tables import schedules


async def refuse_chain(connection: AsyncConnection, definition: ScheduleDefinition, but: str = "") -> None:
    """Raise ScheduleInvalid if a definition closes a circle or makes a chain too long. `but` is the ID that it gets."""
    named = followers_of(definition)
    if not named:
        return
    query = select(schedules.c.live_name, schedules.c.definition)
    query = query.where(schedules.c.live_name.is_not(None), schedules.c.id != but)
    query = query.where(cast(schedules.c.definition, Text).contains('"then"'))  # of a million rows few have some
    others = {row["live_name"]: _named_in(row["definition"]) for row in await records(connection, query)}
    if problem := problem_of_chain(definition.name, {**others, definition.name: named}):
        raise ScheduleInvalid(f"The schedule {definition.name!r} is wrong: {problem}", problems=[("then", problem)])


def _named_in(definition: object) -> frozenset[str]:
    rules = definition.get("then") if is_mapping(definition) else None
    names = [rule.get("schedule") for rule in rules if is_mapping(rule)] if is_array(rules) else []
    return frozenset(name for name in names if isinstance(name, str))
