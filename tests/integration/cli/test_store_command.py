"""`rota store` on SQLite: in this process, and as processes where a shell connects their streams."""

import sqlite3
from pathlib import Path

import pytest

from rota.store.migrations import REVISIONS
from tests.integration.cli.conftest import Run
from tests.integration.cli.shell import Shell


def test_store_is_upgraded_once_and_its_tables_are_shown(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROTA_STORE")
    before = command("store", "status")
    assert (before.code, "revision none" in before.out) == (1, True)
    assert not (tmp_path / ".rota").exists()

    assert command("store", "upgrade").out == f"Upgraded the store from revision none to {REVISIONS[-1]}.\n"
    assert command("store", "upgrade").out == f"The store is at revision {REVISIONS[-1]} already.\n"
    after = command("store", "status", "--json")
    assert (after.code, after.json["revision"], after.json["store"]) == (0, REVISIONS[-1], ".rota/rota.db")
    assert after.json["tables"]["rota_runs"]["rows"] == 0
    assert after.json["tables"]["rota_runs"]["bytes"] > 0


def test_sql_of_an_upgrade_is_printed_and_nothing_is_made(command: Run, tmp_path: Path) -> None:
    printed = command("store", "sql", "--store", "sqlite:///other.db")

    assert printed.out.count("CREATE TABLE") > 8
    assert not (tmp_path / "other.db").exists()
    assert "ALTER TABLE" in command("store", "sql", "--from", REVISIONS[0]).out


def test_old_runs_are_trimmed(command: Run) -> None:
    command("store", "upgrade")
    assert (
        command("store", "trim").out == "Deleted 0 runs, 0 versions, 0 rows of the audit, and 0 tasks kept for undo.\n"
    )


@pytest.mark.parametrize(
    ("store", "words", "code"),
    [
        ("mongodb://me:secret@db/x", "there is no store 'mongodb'", 2),
        ("postgresql://me:secret@127.0.0.1:1/x", "cannot be reached", 1),
        ("mysql://me:secret@127.0.0.1:1/x", "cannot be reached", 1),
        ("sqlite:////proc/no/such.db", "cannot be created", 1),
        ("sqlite:///notes.py", "not an SQLite file", 1),
    ],
)
def test_wrong_store_is_one_line_without_a_password(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, words: str, code: int
) -> None:
    (tmp_path / "notes.py").write_text("print('not a database, and not JSON either')\n" * 20)
    monkeypatch.setenv("ROTA_STORE", store)
    done = command("store", "upgrade")

    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert "secret" not in done.err
    assert len(done.err.splitlines()) == 1


def test_dump_is_loaded_into_another_store(command: Run, tmp_path: Path) -> None:
    command("store", "upgrade")
    assert command("store", "dump", "backup.jsonl").err == "Dumped 6 rows.\n"
    assert (tmp_path / "backup.jsonl").stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.part"))

    assert command("store", "load", "backup.jsonl", "--store", "sqlite:///b.db").out == "Loaded 6 rows.\n"
    assert command("store", "dump", "--store", "sqlite:///b.db").out == (tmp_path / "backup.jsonl").read_text()
    assert "0 rows of the audit" in command("store", "verify", "--store", "sqlite:///b.db").out


def test_dump_of_one_process_is_loaded_by_another(tmp_path: Path) -> None:
    shell = Shell(tmp_path, None)
    shell.run("store", "upgrade")
    printed = shell.run("store", "dump")
    loaded = shell.run("store", "load", "-", "--store", "sqlite:///c.db", text=printed.stdout)

    assert (printed.returncode, printed.stderr) == (0, "Dumped 6 rows.\n")
    assert (loaded.returncode, loaded.stdout, loaded.stderr) == (0, "Loaded 6 rows.\n", "")
    assert (tmp_path / ".rota/rota.db").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dump", "notes.py"), "exists already"),
        (("dump", "no/such/folder.jsonl"), "cannot be written"),
        (("load", "nothing.jsonl"), "cannot be read"),
        (("load", "notes.py"), "not valid JSON"),
        (("load", "/bin/sh"), "not UTF-8"),
        (("sql", "--from", "7"), "no revision '7'"),
    ],
)
def test_wrong_use_is_one_line(command: Run, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    (tmp_path / "notes.py").write_text("print('not a dump')\n")
    done = command("store", *words)

    assert (done.code, said in done.err) == (2, True)
    assert len(done.err.splitlines()) == 1
    assert "class" not in done.err


def test_broken_audit_is_told(command: Run, tmp_path: Path) -> None:
    command("store", "upgrade")
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("UPDATE rota_counters SET value = 3 WHERE name = 'audit'")
    connection.close()
    done = command("store", "verify")

    assert (done.code, "The audit is broken" in done.err) == (1, True)


def test_sql_of_a_store_without_a_due_upgrade_says_so(command: Run) -> None:
    command("store", "upgrade")
    done = command("store", "sql")
    assert (done.out, done.err) == ("", "No upgrade is due.\n")


@pytest.mark.parametrize(
    "words",
    [
        ("schedule", "list"),
        ("schedule", "show", "x"),
        ("schedule", "versions", "x"),
        ("schedule", "runs"),
        ("schedule", "run-show", "x"),
        ("schedule", "simulate"),
        ("schedule", "forecast"),
        ("schedule", "export"),
        ("schedule", "hold", "--yes"),
        ("schedule", "restart", "--all"),
        ("schedule", "delete", "x"),
        ("schedule", "edit", "x", "--remark", "r"),
        ("schedule", "cancel", "x"),
        ("calendar", "list"),
        ("calendar", "show", "x"),
        ("store", "trim"),
        ("store", "verify"),
        ("store", "dump"),
        ("task", "undo", "--list"),
    ],
)
def test_store_that_is_not_there_is_refused_and_not_made(command: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = command(*words)
    assert (done.code, done.out) == (2, "")
    assert f"There is no store in '{tmp_path / 'store.db'}': the file does not exist." in done.err
    assert list(tmp_path.iterdir()) == []


def test_default_store_that_is_not_there_is_read_as_empty_and_not_made(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROTA_STORE")
    assert command("schedule", "list", "--json").json == []
    assert command("calendar", "list", "--json").json == []
    held = command("schedule", "hold", "--yes")
    assert (held.code, "There is no store in '.rota/rota.db'" in held.err) == (2, True)
    assert list(tmp_path.iterdir()) == []
    assert command("schedule", "add", "a", "t").code == 0
    assert len(command("schedule", "list", "--json").json) == 1


def test_calendar_that_is_as_it_was_is_printed_for_programs_too(command: Run, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("name: c\ndays_off: [sun]\n")
    first = command("calendar", "import", "c.yaml", "--json")
    assert command("calendar", "import", "c.yaml", "--json").json == first.json
