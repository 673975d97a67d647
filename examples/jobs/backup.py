"""Backups of SQL databases: copy, checksum, retention, and the way back.

A backup is a file `<database>-<time>-<mark>.<kind>` beside its checksum. The mark is made from the ID of the task, so a
task that runs twice finds what it made the first time. One task at a time works on the backups of one database in a
folder; what a killed task left unfinished is removed by the next one.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from sqlalchemy import inspect
from sqlalchemy.engine import URL

from examples.jobs.dumps import DamagedCopy, dump_format, read_url
from examples.jobs.engine import connected
from examples.jobs.settings import JobRefused, JobSettings, plain_file
from examples.jobs.whole_file import CHECKSUM, alone, checksum_path, is_whole, whole_file
from rota import Context, Retry, Tasks
from rota.core.text import counted

tasks = Tasks()
_STAMP = r"\d{8}T\d{6}Z"


@tasks.task(
    "database",
    run="process",
    timeout="1h",
    retention="7d",
    retry=Retry(max=3, backoff="exponential", base="1m", never=[JobRefused]),
)
def back_up(context: Context, database: str, folder: str, keep: Annotated[int, Ge(1)] = 7, copy_to: str = "") -> str:
    """Copy a database to a folder while it is in use, and return the name of the file.

    The newest `keep` backups of this database stay; older ones are removed once the new one is whole. `copy_to` is the
    name of an object store that gets a copy of the new one, and keeps as many.
    """
    settings = JobSettings.read()
    url = read_url(settings.database(database))
    kind = dump_format(url)
    directory = settings.folder(folder)
    with alone(directory / f".{database}.lock", f"the backups of {database}"):
        _remove_unfinished(directory, database)
        mark = sha256(context.id.encode()).hexdigest()[:8]
        made = _made_before(directory, database, mark)
        if made is None:
            made = directory / f"{database}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{mark}{kind.suffix}"
            with whole_file(made, mode=0o600, checksum=True) as unfinished:
                kind.dump(url, unfinished)
        if copy_to:
            _copy(settings, copy_to, made, database, keep)
        _remove_old(directory, database, keep)
    return made.name


@tasks.task(
    "fetch",
    run="process",
    timeout="2h",
    retention="7d",
    retry=Retry(max=3, backoff="exponential", base="1m", never=[JobRefused]),
)
def fetch(store: str, folder: str, backup: str) -> str:
    """Get a backup from an object store into a folder, from which it can be restored; return its name."""
    from examples.jobs import object_store  # imported late, as its library is needed only here

    settings = JobSettings.read()
    directory = settings.folder(folder)
    file = plain_file(directory, backup)
    if not is_whole(file):
        object_store.download(object_store.open_object_store(settings, store), file.name, directory)
    return file.name


@tasks.task("restore", run="process", timeout="2h", retention="7d", retry=Retry(max=0))
def restore(database: str, folder: str, backup: str = "newest", *, overwrite: bool = False) -> str:
    """Bring a database back from a backup, and return the name of the file that was used.

    The database that is written to is the one that the settings name, so a backup of `shop` can be tried out in
    `shop-test`. The checksum of the file is compared first. A database that has tables is left alone unless
    `overwrite` is true.
    """
    settings = JobSettings.read()
    url = read_url(settings.database(database))
    kind = dump_format(url)
    directory = settings.folder(folder)
    file = _newest(directory, database) if backup == "newest" else plain_file(directory, backup)
    if not file.name.endswith(kind.suffix):
        raise JobRefused(f"{file.name} is not a backup for this kind of database: it has to end in {kind.suffix}.")
    if not is_whole(file):
        raise DamagedCopy(f"{file} is missing, or differs from the checksum that was kept with it.")
    with alone(directory / f".{database}.restore.lock", f"the database {database}"):
        if not overwrite and (tables := _tables(url)):
            raise JobRefused(
                f"The database {database!r} has {counted(len(tables), 'table')}, among them {tables[0]!r}. "
                "Restore into an empty one, or say overwrite=true."
            )
        kind.restore(url, file)
    return file.name


def backups(folder: Path, database: str) -> list[Path]:
    """Return the backups of a database, the newest first."""
    return [folder / name for name in _backup_names(database, (path.name for path in _files(folder)))]


def _backup_names(database: str, names: Iterable[str]) -> list[str]:
    """Choose the names of the backups of a database, the newest first."""
    form = re.compile(rf"{re.escape(database)}-{_STAMP}-[0-9a-f]{{8}}\.[a-z0-9.]+")
    return sorted((name for name in names if form.fullmatch(name) and not name.endswith(CHECKSUM)), reverse=True)


def _copy(settings: JobSettings, store: str, made: Path, database: str, keep: int) -> None:
    from examples.jobs import object_store

    opened = object_store.open_object_store(settings, store)
    object_store.upload(opened, made)
    for old in _backup_names(database, object_store.names(opened))[keep:]:
        object_store.remove(opened, old)


def _made_before(folder: Path, database: str, mark: str) -> Path | None:
    return next((path for path in backups(folder, database) if f"-{mark}." in path.name and is_whole(path)), None)


def _newest(folder: Path, database: str) -> Path:
    found = backups(folder, database)
    if not found:
        raise JobRefused(f"{folder} has no backup of {database!r}. Name a file to restore another one.")
    return found[0]


def _remove_old(folder: Path, database: str, keep: int) -> None:
    for old in backups(folder, database)[keep:]:
        # The file goes first, because a file without a checksum could not be told from a damaged one.
        old.unlink(missing_ok=True)
        checksum_path(old).unlink(missing_ok=True)


def _remove_unfinished(folder: Path, database: str) -> None:
    """Remove what killed tasks left: unfinished files, and checksums without their file."""
    hidden = re.compile(rf"\.{re.escape(database)}-{_STAMP}-[0-9a-f]{{8}}\..+\.unfinished(-journal|-wal|-shm)?")
    alone_left = re.compile(rf"{re.escape(database)}-{_STAMP}-[0-9a-f]{{8}}\.[a-z0-9.]+\.sha256")
    for path in _files(folder):
        is_orphan = alone_left.fullmatch(path.name) and not path.with_suffix("").exists()
        if hidden.fullmatch(path.name) or is_orphan:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from folder.iterdir()


def _tables(url: URL) -> list[str]:
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return []
    with connected(url) as connection:
        return inspect(connection).get_table_names()
