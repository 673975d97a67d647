"""`rota store` as a user runs it, on SQLite."""

import json
import sqlite3
from pathlib import Path

import pytest

from rota.store.migrations import REVISIONS
from tests.integration.cli.shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, None)


def test_store_is_upgraded_once_and_its_tables_are_shown(shell: Shell) -> None:
    before = shell.run("store", "status")
    assert (before.returncode, "revision none" in before.stdout) == (1, True)
    assert not (shell.folder / ".rota").exists()

    assert shell.run("store", "upgrade").stdout == f"Upgraded the store from revision none to {REVISIONS[-1]}.\n"
    assert shell.run("store", "upgrade").stdout == f"The store is at revision {REVISIONS[-1]} already.\n"
    after = shell.run("store", "status", "--json")
    found = json.loads(after.stdout)
    assert (after.returncode, found["revision"], found["store"]) == (0, REVISIONS[-1], ".rota/rota.db")
    assert found["tables"]["rota_runs"]["rows"] == 0
    assert found["tables"]["rota_runs"]["bytes"] > 0


def test_sql_of_an_upgrade_is_printed_and_nothing_is_made(shell: Shell) -> None:
    printed = shell.run("store", "sql", "--store", "sqlite:///other.db")

    assert printed.stdout.count("CREATE TABLE") > 8
    assert not (shell.folder / "other.db").exists()
    assert "ALTER TABLE" in shell.run("store", "sql", "--from", REVISIONS[0]).stdout


def test_old_runs_are_trimmed(shell: Shell) -> None:
    assert shell.run("store", "trim").stdout == "Deleted 0 runs.\n"


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
def test_wrong_store_is_one_line_without_a_password(shell: Shell, store: str, words: str, code: int) -> None:
    shell.environment["ROTA_STORE"] = store
    done = shell.run("store", "upgrade")

    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "secret" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_dump_is_loaded_into_another_store(shell: Shell) -> None:
    assert shell.run("store", "dump", "backup.jsonl").stderr == "Dumped 3 rows.\n"
    assert (shell.folder / "backup.jsonl").stat().st_mode & 0o777 == 0o600
    assert not list(shell.folder.glob("*.part"))

    assert shell.run("store", "load", "backup.jsonl", "--store", "sqlite:///b.db").stdout == "Loaded 3 rows.\n"
    printed = shell.run("store", "dump", "--store", "sqlite:///b.db").stdout
    assert printed == (shell.folder / "backup.jsonl").read_text()
    assert shell.run("store", "load", "-", "--store", "sqlite:///c.db", text=printed).stdout == "Loaded 3 rows.\n"
    assert "0 rows of the audit" in shell.run("store", "verify", "--store", "sqlite:///c.db").stdout


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
def test_wrong_use_is_one_line(shell: Shell, words: tuple[str, ...], said: str) -> None:
    done = shell.run("store", *words)

    assert (done.returncode, said in done.stderr) == (2, True)
    assert len(done.stderr.splitlines()) == 1
    assert "class" not in done.stderr


def test_broken_audit_is_told(shell: Shell) -> None:
    shell.run("store", "upgrade")
    with sqlite3.connect(shell.folder / ".rota/rota.db") as connection:
        connection.execute("UPDATE rota_counters SET value = 3 WHERE name = 'audit'")
    connection.close()
    done = shell.run("store", "verify")

    assert (done.returncode, "The audit is broken" in done.stderr) == (1, True)
