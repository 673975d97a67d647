"""The store: one object with all that schedules, runs, calendars, the audit and deleted tasks keep in a database.

`async with open_store(url) as store:` connects, checks the tables, and closes at the end. Each group of methods is a
class in a file of its own; they share one `Database`.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self

from rota.store.address import DEFAULT_STORE, read_address
from rota.store.audit_reads import AuditReads
from rota.store.backup import Backup
from rota.store.calendar_edits import CalendarEdits
from rota.store.database import Database
from rota.store.deleted_tasks import DeletedTasks
from rota.store.due_window import DueWindow
from rota.store.flags import HoldFlag
from rota.store.history_retention import HistoryRetention
from rota.store.metric_records import MetricRecords
from rota.store.migration import check, upgrade
from rota.store.run_reads import RunReads
from rota.store.run_records import RunRecords
from rota.store.run_retention import RunRetention
from rota.store.schedule_edits import ScheduleEdits
from rota.store.schedule_reads import ScheduleReads


class Store(
    ScheduleReads,
    ScheduleEdits,
    DueWindow,
    RunReads,
    RunRecords,
    RunRetention,
    MetricRecords,
    HistoryRetention,
    CalendarEdits,
    HoldFlag,
    AuditReads,
    Backup,
    DeletedTasks,
):
    """A store that is connected. All times are in UTC."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def __repr__(self) -> str:
        return f"<Store {self.database.address}>"

    async def aclose(self) -> None:
        """Close all connections."""
        await self.database.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


@asynccontextmanager
async def open_store(url: str | None = None, *, migrate: bool = False) -> AsyncGenerator[Store, None]:
    """Open the store at a URL for the length of a block; without a URL `.rota/rota.db` of the current folder.

    An SQLite store is created and upgraded by itself. Another database is upgraded only with `migrate`; without it an
    older one raises StoreSchemaError. A wrong URL raises ConfigError, a database that is away StoreUnavailable.
    """
    async with Store(Database(read_address(url or DEFAULT_STORE))) as store:
        if migrate or store.database.dialect == "sqlite":
            await upgrade(store.database)
        else:
            await check(store.database)
        yield store
