"""Backups of SQLite databases, and the way back."""

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from examples.jobs import app
from examples.jobs.backup import back_up, backups, restore
from examples.jobs.dumps import DamagedCopy
from examples.jobs.settings import JobRefused
from examples.jobs.whole_file import alone, is_whole
from rota import RetryLater
from rota.testing import run_inline_sync
from tests.examples.jobs.killing import Killing

Configure = Callable[..., dict[str, str]]
ROWS = [(number, f"customer {number}") for number in range(500)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def environment(configure: Configure, tmp_path: Path, folder: Path) -> dict[str, str]:
    write(tmp_path / "shop.sqlite3", ROWS)
    databases = {name: f"sqlite:///{tmp_path}/{name}.sqlite3" for name in ("shop", "shop-test", "nothing")}
    return configure(databases=databases, folders={"backups": folder})


def write(path: Path, rows: list[tuple[int, str]]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE customers (number INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany("INSERT INTO customers VALUES (?, ?)", rows)


def read(path: Path) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM customers ORDER BY number").fetchall()


def run_backup(task_id: str = "one", *, database: str = "shop", keep: int = 7) -> str:
    return run_inline_sync(app, back_up.options(task_id=task_id).plan(database, "backups", keep=keep))


@pytest.mark.usefixtures("environment")
def test_backup_comes_back_in_another_database(tmp_path: Path, folder: Path) -> None:
    name = run_backup()

    used = run_inline_sync(app, restore.plan("shop-test", "backups", name))

    assert used == name
    assert read(tmp_path / "shop-test.sqlite3") == ROWS
    assert read(tmp_path / "shop.sqlite3") == ROWS
    assert (folder / name).stat().st_mode & 0o777 == 0o600
    subprocess.run(["sha256sum", "--check", f"{name}.sha256"], cwd=folder, check=True, capture_output=True)


@pytest.mark.usefixtures("environment")
def test_backup_has_what_was_committed_while_the_database_is_in_use(tmp_path: Path, folder: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite3")) as user:
        user.execute("INSERT INTO customers VALUES (1000, 'committed')")
        user.commit()
        user.execute("INSERT INTO customers VALUES (1001, 'not committed')")
        name = run_backup()

    assert read(folder / name) == [*ROWS, (1000, "committed")]


@pytest.mark.usefixtures("environment")
def test_task_that_runs_twice_makes_one_backup(folder: Path) -> None:
    assert run_backup("one") == run_backup("one")

    assert run_backup("two") != run_backup("one")
    assert len(backups(folder, "shop")) == 2


@pytest.mark.usefixtures("environment")
def test_newest_backups_stay_and_those_of_other_databases_too(tmp_path: Path, folder: Path) -> None:
    write(tmp_path / "shop-test.sqlite3", [])
    other = run_backup(database="shop-test")
    names = [run_backup(f"task {number}", keep=2) for number in range(4)]

    left = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    # Backups of one second are in the order of their marks.
    kept = {path.name for path in backups(folder, "shop")}
    assert len(kept) == 2
    assert kept < set(names)
    assert left == {f"{name}{end}" for name in {*kept, other} for end in ("", ".sha256")}


@pytest.mark.usefixtures("environment")
def test_restore_refuses_a_damaged_backup(tmp_path: Path, folder: Path) -> None:
    name = run_backup()
    with (folder / name).open("r+b") as file:
        file.seek(5000)
        file.write(b"?")

    with pytest.raises(DamagedCopy, match="differs from the checksum"):
        run_inline_sync(app, restore.plan("shop", "backups", overwrite=True))
    with pytest.raises(DamagedCopy, match="differs from the checksum"):
        run_inline_sync(app, restore.plan("shop-test", "backups", name))

    assert not (tmp_path / "shop-test.sqlite3").exists()
    assert read(tmp_path / "shop.sqlite3") == ROWS


@pytest.mark.usefixtures("environment")
def test_restore_leaves_a_database_with_tables_alone_until_told(tmp_path: Path) -> None:
    run_backup()
    with closing(sqlite3.connect(tmp_path / "shop.sqlite3")) as connection, connection:
        connection.execute("DELETE FROM customers")

    with pytest.raises(JobRefused, match="has 1 table, among them 'customers'"):
        run_inline_sync(app, restore.plan("shop", "backups"))
    run_inline_sync(app, restore.plan("shop", "backups", overwrite=True))

    assert read(tmp_path / "shop.sqlite3") == ROWS


@pytest.mark.usefixtures("environment")
def test_restore_of_a_database_without_backup_is_refused() -> None:
    with pytest.raises(JobRefused, match="has no backup of 'shop'"):
        run_inline_sync(app, restore.plan("shop", "backups"))


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("name", ["../shop.sqlite3", "/etc/passwd", "..", ""])
def test_restore_reads_only_files_of_its_folder(name: str) -> None:
    with pytest.raises(JobRefused, match="not the plain name of a file"):
        run_inline_sync(app, restore.plan("shop-test", "backups", name))


@pytest.mark.usefixtures("environment")
def test_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(JobRefused, match="unable to open"):
        run_backup(database="nothing")

    assert not (tmp_path / "nothing.sqlite3").exists()


@pytest.mark.usefixtures("environment")
def test_second_backup_of_a_database_waits_for_the_first(folder: Path) -> None:
    with alone(folder / ".shop.lock", "the backups"), pytest.raises(RetryLater, match="another task is working on"):
        run_backup()


@pytest.mark.slow
def test_backup_that_is_killed_anywhere_leaves_only_whole_files(
    environment: dict[str, str], tmp_path: Path, folder: Path, killer: Callable[..., Killing]
) -> None:
    for number in range(2):
        run_backup(f"before {number}")
    work = killer(
        "from examples.jobs.backup import back_up\nfrom rota.tasks.context import blank\n"
        "def work(): back_up(blank(id='killed'), 'shop', 'backups', keep=2)",
        environment,
    )

    operation = 1
    while work.at(operation):
        made = backups(folder, "shop")
        assert len(made) >= 2
        assert all(is_whole(path) and read(path) == ROWS for path in made), f"killed at {operation}"
        operation += 1

    assert operation > 10
    run_backup("after", keep=2)
    names = [path.name for path in folder.iterdir() if path.name != ".shop.lock"]
    assert len(names) == 4, names
