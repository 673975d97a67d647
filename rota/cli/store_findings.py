"""The findings of `rota doctor` about the store: it is away, it has other tables, or one of its calendars ends soon.

The store is only read: it is not made, and not upgraded.
"""

from datetime import UTC, datetime

from rota.core.text import counted
from rota.errors import RotaError
from rota.inspect.doctor.finding import Finding, error, warning


async def store_findings(url: str | None) -> list[Finding]:
    """Look at the store of the setting `store`; without one there is nothing to find."""
    if url is None:
        return []
    from rota.store.address import read_address
    from rota.store.database import Database
    from rota.store.migration import check, revision_of
    from rota.store.migrations import REVISIONS
    from rota.store.store import Store

    try:
        async with Store(Database(read_address(url))) as store:
            found = await revision_of(store.database)
            if store.database.dialect == "sqlite" and (found is None or found < REVISIONS[-1]):
                return []  # it is made or upgraded when a program opens it
            await check(store.database)
            users = await store.calendar_users()
            known = (await store.calendars()).items
    except RotaError as failure:
        return [
            error(
                "store",
                f"The store cannot be used: {failure}",
                "It is away, has other tables than this version of Rota needs, or refuses its user.",
                "Do what the error says. Schedules go on to fire from the memory of the scheduler that leads.",
            )
        ]
    today = datetime.now(UTC).date()
    endings = [(each.calendar.warning(today), users[each.name]) for each in known if each.name in users]
    return [
        warning(
            "calendar-ends",
            f"{text} It is the calendar of {counted(number, 'schedule')}.",
            "A calendar knows the days off up to its `ends`.",
            "Import the dates of the next year: `rota calendar import`.",
        )
        for text, number in endings
        if text is not None
    ]
