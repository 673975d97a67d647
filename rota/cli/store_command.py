"""`rota store`: the database of schedules and runs: its state, its upgrade, its old runs, and its backup.

The option `--store` names the database; without it, it is that of `ROTA_STORE`, or `.rota/rota.db`. The libraries of
the store are an extra, so they are loaded when a command of this file runs, and not when `rota` starts.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer
from rich.cells import cell_len

from rota.cli import output, questions
from rota.cli.language import translated
from rota.cli.option_types import AsJson
from rota.cli.schedule.opened_store import refuse_missing_store
from rota.core.text import counted
from rota.errors import ConfigError, RotaError
from rota.settings.settings import Settings

if TYPE_CHECKING:
    from rota.store import Store
    from rota.store.database import Database

T = TypeVar("T")
Url: TypeAlias = Annotated[str | None, typer.Option("--store", help="The database, instead of ROTA_STORE.")]

program = typer.Typer(no_args_is_help=True, help="The database of schedules and their runs.")


@program.command()
def status(store: Url = None, as_json: AsJson = False) -> None:
    """Show the revision of the tables and their sizes. The exit code is 1 if they do not fit this version of Rota."""
    found = _with_database(store, _status)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        revision = f"revision {found['revision'] or 'none'}; this version of Rota needs {found['needs']}"
        output.say(f"{found['store']}: {revision}")
        for name, size in found["tables"].items():
            rows = translated(counted(size["rows"], "row"))
            output.echo(f"  {name:<24} {' ' * (16 - cell_len(rows))}{rows}{_shown(size['bytes'])}")
    raise typer.Exit(0 if found["revision"] == found["needs"] else 1)


@program.command()
def upgrade(store: Url = None) -> None:
    """Make the tables, or bring them to the revision of this version of Rota. Running programs may go on meanwhile."""
    from rota.store.migration import upgrade as migrate

    questions.guard("Upgrade the store?")
    before, after = _with_database(store, migrate)
    if before == after:
        output.say(f"The store is at revision {after} already.")
    else:
        output.say(f"Upgraded the store from revision {before or 'none'} to {after}.")


@program.command()
def sql(
    store: Url = None,
    since: Annotated[
        str | None, typer.Option("--from", help="The revision to begin with, instead of that of the database.")
    ] = None,
) -> None:
    """Print the SQL of the upgrade that is due, and change nothing."""
    from rota.store.migration import statements

    written = _with_database(store, lambda database: statements(database, since))
    if not written:
        output.note("No upgrade is due.")
    typer.echo(written, nl=False)


@program.command()
def trim(store: Url = None) -> None:
    """Delete old runs, versions, rows of the audit and deleted tasks now. A scheduler does this by itself.

    The settings say what is old: `run_age`, `run_max`, `version_max`, `audit_age`, `deleted_age`, `deleted_max_bytes`.
    """
    from rota.scheduler.retention import Retention

    questions.guard("Delete what is old in the store?")
    done = _with_store(store, Retention.of(Settings().database).trim)
    rows, tasks = counted(done.audit, "row"), counted(done.deleted_tasks, "task")
    output.say(
        f"Deleted {counted(done.runs, 'run')}, {counted(done.versions, 'version')}, {rows} of the audit, "
        f"and {tasks} kept for undo."
    )


@program.command()
def verify(store: Url = None) -> None:
    """Check that no row of the audit was changed or removed. The exit code is 1 if one was."""
    found = _with_store(store, lambda opened: opened.verify_audit())
    if found.fault:
        output.note(f"The audit is broken: {found.fault}")
        raise typer.Exit(1)
    trimmed = f" (those up to row {found.trimmed} were old, and deleted)" if found.trimmed else ""
    rows = counted(found.number - found.trimmed, "row")
    output.say(f"{rows} of the audit, none changed{trimmed}; hash of the last: {found.hash or 'none'}")


@program.command()
def dump(
    file: Annotated[Path | None, typer.Argument(help="The new file. Without it, the lines are printed.")] = None,
    store: Url = None,
) -> None:
    """Write the whole store as JSON lines, for a backup or for another database. Programs may go on meanwhile."""
    with _new_file(file) as written:
        report = _with_store(store, lambda opened: opened.dump(lambda line: written.write(f"{line}\n")))
    for problem in report.problems:
        output.warn(str(problem))
    output.note(f"Dumped {counted(report.total, 'row')}.")


@program.command()
def load(
    file: Annotated[Path, typer.Argument(help="The file of `rota store dump`, or - for the standard input.")],
    store: Url = None,
) -> None:
    """Read a dump into an empty store, in one transaction. Its tables are made if there are none."""
    questions.guard("Load the dump into the store?")
    with _existing_file(file) as lines:
        report = _with_store(store, lambda opened: opened.load(lines), migrate=True)
    output.say(f"Loaded {counted(report.total, 'row')}.")


@contextmanager
def _new_file(file: Path | None) -> Generator[IO[str], None, None]:
    """Open a file that gets its name when it is complete. Only its user may read it, because payloads are in it."""
    if file is None:
        yield sys.stdout
        return
    if file.exists():
        raise ConfigError(f"{file} exists already. Name a new file.")
    draft = file.with_name(f"{file.name}.part")
    try:
        with open(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as output:
            yield output
        draft.rename(file)
    except OSError as error:
        if isinstance(error, RotaError):
            raise
        raise ConfigError(f"{file} cannot be written ({error.strerror}).") from None
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _existing_file(file: Path) -> Generator[IO[str], None, None]:
    if str(file) == "-":
        yield sys.stdin
        return
    try:
        with file.open(encoding="utf-8") as lines:
            yield lines
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not UTF-8, so it is not a dump of a store.") from None
    except OSError as error:
        if isinstance(error, RotaError):
            raise
        raise ConfigError(f"{file} cannot be read ({error.strerror}).") from None


def _with_database(url: str | None, act: Callable[["Database"], Awaitable[T]]) -> T:
    """Do one thing with a database, whichever tables it has."""
    from rota.store.address import read_address
    from rota.store.database import Database

    async def run() -> T:
        database = Database(read_address(_url(url)))
        try:
            return await act(database)
        finally:
            await database.aclose()

    return asyncio.run(run())


def _with_store(url: str | None, act: Callable[["Store"], Awaitable[T]], *, migrate: bool = False) -> T:
    from rota.store import open_store

    if not migrate:
        refuse_missing_store(_url(url))

    async def run() -> T:
        async with open_store(_url(url), migrate=migrate) as opened:
            return await act(opened)

    return asyncio.run(run())


def _url(given: str | None) -> str:
    from rota.store import DEFAULT_STORE

    return given or Settings().database.store or DEFAULT_STORE


async def _status(database: "Database") -> dict[str, Any]:
    from rota.store.migration import revision_of
    from rota.store.migrations import REVISIONS
    from rota.store.table_sizes import table_sizes

    revision = await revision_of(database)
    sizes = await table_sizes(database) if revision else []
    return {
        "store": str(database.address),
        "revision": revision,
        "needs": REVISIONS[-1],
        "tables": {size.name: {"rows": size.rows, "bytes": size.bytes} for size in sizes},
    }


def _shown(size: int | None) -> str:
    return "" if size is None else f"{size / 1024 / 1024:>12.1f} MiB"
