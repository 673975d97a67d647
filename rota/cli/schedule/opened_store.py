"""Opens the store for one command, and finds the schedules that it names."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, TypeVar

import typer

from rota.cli import output
from rota.cli.language import translated
from rota.cli.target import load_app, target_of
from rota.core.text import did_you_mean
from rota.errors import ConfigError, StoreNotFound
from rota.schedule.calendar import Calendar
from rota.schedule.definition import StoredSchedule
from rota.schedule.run import ScheduleRun
from rota.settings.settings import Settings

if TYPE_CHECKING:
    from rota.store import Store

T = TypeVar("T")

StoreUrl: TypeAlias = Annotated[str | None, typer.Option("--store", help="The database, instead of ROTA_STORE.")]
Names: TypeAlias = Annotated[list[str] | None, typer.Argument(help="Names or IDs of schedules.")]
All: TypeAlias = Annotated[bool, typer.Option("--all", help="All schedules.")]
Tag: TypeAlias = Annotated[str | None, typer.Option(help="All schedules with this tag.")]
App: TypeAlias = Annotated[
    str | None, typer.Option("--app", help="module:app, whose schedules are shown too. Default: the setting `app`.")
]
RunName: TypeAlias = Annotated[
    str, typer.Argument(metavar="RUN", help="The ID of the run, or the name of its schedule: then its latest run.")
]
Planned: TypeAlias = Annotated[
    str | None, typer.Option(help="With the name of a schedule: its run that was planned at this time (ISO 8601).")
]
ORIGIN = "command line"
_PAGE = 500


Missing: TypeAlias = Literal["make", "refuse", "empty"]


def with_store(url: str | None, act: "Callable[[Store], Awaitable[T]]", missing: Missing | None = None) -> T:
    """Open the store, do one thing with it, and close it. Its libraries are an extra, so they are loaded here.

    `missing` is what becomes of an SQLite store whose file does not exist. Without it, a store that the user has named
    is refused, because its path is wrong then. The store that is used where none is named is read as an empty one.
    """
    named = url or Settings().database.store

    async def run() -> T:
        async with _opened(named, missing or ("empty" if named is None else "refuse")) as store:
            return await act(store)

    return asyncio.run(run())


@asynccontextmanager
async def _opened(named: str | None, missing: Missing) -> "AsyncGenerator[Store]":
    from rota.store import DEFAULT_STORE, open_store

    store_url = named or DEFAULT_STORE
    if missing == "refuse":
        refuse_missing_store(store_url)
    if missing != "empty" or fault_of_missing_store(store_url) is None:
        async with open_store(store_url) as store:
            yield store
        return
    with tempfile.TemporaryDirectory(prefix="rota-empty-") as folder:
        async with open_store(f"sqlite:///{folder}/rota.db") as store:
            yield store


def refuse_missing_store(store: str) -> None:
    """Raise ConfigError for an SQLite store whose file does not exist: a command that reads does not make it."""
    if (fault := fault_of_missing_store(store)) is not None:
        raise fault


def fault_of_missing_store(store: str) -> ConfigError | None:
    """Return the error for an SQLite store whose file does not exist; None for any other store."""
    from rota.store.address import read_address

    address = read_address(store)
    if address.dialect != "sqlite" or address.file.exists():
        return None
    return ConfigError(
        f"There is no store in {str(address)!r}: the file does not exist. Correct --store or ROTA_STORE; "
        "`rota store upgrade` makes a new store there."
    )


def hint_of_store(url: str | None) -> str | None:
    """Return what to do if the default store was used: the commands have a default, and workers have none."""
    from rota.store import DEFAULT_STORE

    if url is not None or Settings().database.store:
        return None
    return f"No store is set, so it is in {DEFAULT_STORE}. To fire it, start the worker with ROTA_STORE={DEFAULT_STORE}"


async def every_schedule(
    store: "Store", *, text: str = "", tag: str | None = None, deleted: bool = False
) -> list[StoredSchedule]:
    """Return all schedules, in the order of their names. Rows that cannot be read are reported."""
    found: list[StoredSchedule] = []
    cursor: str | None = None
    while True:
        page = await store.schedules(text=text, tag=tag, deleted=deleted, cursor=cursor, limit=_PAGE)
        found += page.items
        for problem in page.problems:
            output.warn(f"{problem}")
        if page.next is None:
            return found
        cursor = page.next


def declared_schedules(app: str | None) -> list[StoredSchedule]:
    """Return the schedules that an app declares in code; none without an app."""
    target = target_of(app)
    return list(load_app(target).schedules) if target else []


async def find_schedule(
    store: "Store", name: str, *, deleted: bool = False, declared: Sequence[StoredSchedule] = ()
) -> StoredSchedule:
    """Return a schedule by its name or ID, or by its name if an app declares it. Raises StoreNotFound."""
    in_code = {each.definition.name: each for each in declared}
    if name in in_code:
        return in_code[name]
    found = None if deleted else await store.find(name)
    if found is not None:
        return found
    known = await every_schedule(store, deleted=deleted)
    named = [each for each in known if name in (each.id, each.definition.name)]
    if len(named) > 1:
        ids = ", ".join(f"{each.id} (deleted {each.deleted_at:%Y-%m-%d %H:%M})" for each in named)
        raise ConfigError(f"Several deleted schedules were called {name!r}. Name one by its ID: {ids}")
    if named:
        return named[0]
    kind = "deleted schedule" if deleted else "schedule"
    raise StoreNotFound(f"There is no {kind} {name!r}. {did_you_mean(name, [each.definition.name for each in known])}")


async def find_run(
    store: "Store", name: str, planned: datetime | None, declared: Sequence[StoredSchedule]
) -> ScheduleRun:
    """Return a run by its ID, or by the name of its schedule: the run that was planned at a time, or the latest one."""
    if planned is None:
        with suppress(StoreNotFound):
            return await store.run(name)
    try:
        schedule = await find_schedule(store, name, declared=declared)
    except StoreNotFound as error:
        raise StoreNotFound(f"There is no run {name!r}: old runs are deleted after a time. {error}") from None
    until = None if planned is None else planned + timedelta(seconds=1)
    page = await store.runs(schedule.id, since=planned, until=until, limit=2)
    if not page.items:
        at = "" if planned is None else translated(f" that was planned at {planned:%Y-%m-%d %H:%M:%S %z}")
        raise StoreNotFound(f"The schedule {name!r} has no run{at}. `rota schedule runs {name}` lists its runs.")
    latest, *others = page.items
    if planned is not None and others:
        ids = ", ".join(each.id for each in page.items)
        raise ConfigError(f"Several runs of {name!r} were planned in this second. Name one by its ID: {ids}")
    return await store.run(latest.id)


async def chosen_schedules(
    store: "Store", names: Sequence[str] | None, *, everything: bool = False, tag: str | None = None
) -> list[StoredSchedule]:
    """Return the schedules that a command names: by names, by a tag, or all."""
    given = sum((bool(names), everything, tag is not None))
    if given != 1:
        raise ConfigError("Which schedules? Name them, or write --tag <tag> or --all.")
    if names:
        return [await find_schedule(store, name) for name in dict.fromkeys(names)]
    return await every_schedule(store, tag=tag)


async def calendars_of(store: "Store") -> dict[str, Calendar]:
    """Return all calendars by their names."""
    return {each.name: each.calendar for each in (await store.calendars()).items}
