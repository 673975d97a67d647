"""A profile with `confirm`: each command that changes something wants the name of the profile, whatever it is given."""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from rota.broker import Broker
from rota.cli.frame import tree
from rota.cli.program import program
from rota.schedule.run import ScheduleRun
from rota.settings import origin
from rota.store import open_store
from rota.wire.server_record import ServerState, beat
from tests.integration.cli.conftest import Run
from tests.integration.inspect.state import State
from tests.servers.clients import client

READS = {
    *("stats", "types", "metrics", "server", "health", "profiles", "config", "version"),
    *("task list", "task search", "task errors", "task why", "task inspect", "task log"),
    *("queue list", "queue inspect", "queue history", "group list", "cron list", "cron history", "worker list"),
    *("schedule list", "schedule show", "schedule versions", "schedule runs", "schedule run-show", "schedule preview"),
    *("schedule describe", "schedule simulate", "schedule forecast", "schedule check", "schedule export"),
    *("schedule import-crontab", "calendar list", "calendar show", "calendar export"),
    *("store status", "store sql", "store verify", "store dump"),
}
PROGRAMS = {"worker run", "scheduler", "dev", "shell"}
"""Programs run until they are stopped, so no question can tell before what they will change."""
CHANGES = """
    enqueue t
    task enqueue t
    task run a
    task archive s
    task delete a --queue mail
    task delete --where state:archived --yes
    task cancel s
    task reschedule s --delay 1h
    task move s --to other --create
    task requeue stuck
    task requeue --all --queue mail --yes
    task edit a {}
    task edit --where state:archived --set a=1 --run --yes
    task unlock a
    task unlock a --force --yes
    task unlock --queue mail --type t --key k --force --yes
    task undo gone
    task undo --deletion d
    queue pause mail
    queue resume mail
    queue drain mail --no-wait
    queue delete mail --yes
    queue delete half-deleted
    worker quiet h
    worker wake h:1
    worker stop h --yes
    worker scale 3 --all
    doctor --repair --yes
    schedule add new t
    schedule edit nightly --remark text
    schedule start nightly
    schedule start --all
    schedule stop nightly
    schedule restart nightly
    schedule pause nightly --for 1h
    schedule hold --yes
    schedule hold --lift
    schedule run nightly
    schedule skip nightly
    schedule backfill nightly --from 2026-01-01 --until 2026-01-03 --yes
    schedule cancel open-run
    schedule again open-run
    schedule delete nightly
    schedule restore old
    schedule apply --file new.yaml --yes
    calendar import days.yaml
    calendar import changed.yaml --yes
    calendar delete free --yes
    store upgrade
    store trim
    store load dump
"""
"""Each command that changes something, in each way that has a question of its own, or had none."""


def calendar(name: str, day: str) -> str:
    return f"name: {name}\ndays_off: {{{day}: holiday}}\n"


@pytest.fixture
def state(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    monkeypatch.setenv("ROTA_URL", redis_url)
    monkeypatch.setenv("ROTA_LANG", "en")
    raw = client(redis_url)
    state = State(raw)
    keys = state.queue("mail")
    for task_id, name in (("s", "scheduled"), ("a", "archived"), ("gone", "archived"), ("stuck", "active")):
        state.task(keys, task_id, name)
    raw.zadd(keys.lease, {"stuck": int(state.now) - 1000})
    raw.lpush(keys.active, "no task")
    with Broker.from_url(redis_url).sync() as broker:
        server = ServerState(host="h", pid=1, server_id="rota-s", concurrency=1, queues={"mail": 1})
        for call in beat(broker.keys, server, [], timedelta(hours=1)):
            broker.run(call)
    yield state
    raw.close()


@pytest.fixture
def rota(command: Run, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run commands on a server and a store with something of each kind, in a process that knows profiles."""
    Path("new.yaml").write_text("schedules:\n- name: filed\n  task_type: t\n  specs: ['@daily']\n")
    Path("days.yaml").write_text(calendar("new", "2026-01-01"))
    Path("free.yaml").write_text(calendar("free", "2026-01-01"))
    Path("changed.yaml").write_text(calendar("free", "2026-01-02"))
    for name in ("nightly", "old"):
        assert command("schedule", "add", name, "t", "--spec", "@daily").code == 0
    for words in ("schedule delete old --yes", "schedule hold --yes", "calendar import free.yaml", "task delete gone"):
        assert command(*words.split()).code == 0, words
    now = datetime.now(UTC)
    run = ScheduleRun(id="open-run", schedule_id="x", schedule_version=1, planned_at=now, queue="mail", task_ids=("s",))

    async def record() -> None:
        async with open_store(os.environ["ROTA_STORE"]) as store:
            await store.record_runs([run])

    asyncio.run(record())
    profiles = tmp_path / "profiles.toml"
    profiles.write_text("[prod]\nconfirm = true\n")
    monkeypatch.setenv("ROTA_PROFILES_FILE", str(profiles))
    monkeypatch.setattr(origin, "_is_command", True)
    return command


def changes() -> list[list[str]]:
    return [line.split() for line in CHANGES.strip().splitlines()]


def test_each_command_is_known_to_read_or_to_change() -> None:
    group = typer.main.get_group(program)
    paths = {" ".join(path) for path, each in tree(group) if not hasattr(each, "commands")}
    changing = {path for path in paths for words in changes() if words[: len(path.split())] == path.split()}
    assert READS & changing == set()
    assert paths == READS | PROGRAMS | changing


def test_no_command_changes_anything_without_the_name_of_a_guarded_profile(rota: Run, state: State) -> None:
    before, stored = state.everything(), rota("store", "dump").out
    for words in changes():
        done = rota(*words, "--profile", "prod")
        assert done.code == 1, (words, done)
        assert "Type 'prod' to confirm" in done.out + done.err, (words, done)
        assert "ROTA_CONFIRM=prod answers the question." in done.err, (words, done)
    assert state.everything() == before
    assert rota("store", "dump").out == stored


def test_commands_that_ask_nothing_go_on_after_the_name_of_a_guarded_profile(
    rota: Run, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = state.queue("mail")
    typed = rota("task", "delete", "a", "--profile", "prod", typed="prod\n")
    assert (typed.code, "Delete 1 task? Type 'prod' to confirm" in typed.out + typed.err) == (0, True)
    monkeypatch.setenv("ROTA_CONFIRM", "prod")
    for words in ("task archive s", "queue pause mail", "schedule stop nightly", "store trim", "enqueue t"):
        assert rota(*words.split(), "--profile", "prod").code == 0, words
    assert state.client.zrange(keys.archived, 0, -1) == [b"s"]
    assert state.client.exists(keys.paused) == 1


def test_commands_with_names_ask_nothing_without_a_guarded_profile(rota: Run, state: State) -> None:
    for words in ("task archive s", "task edit s {}", "queue resume mail", "schedule stop nightly", "store upgrade"):
        done = rota(*words.split())
        assert (done.code, "?" in done.out + done.err) == (0, False), (words, done)
