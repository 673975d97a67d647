"""The doctor finds what was planted, and nothing where nothing is wrong."""

import ast
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from rota.broker import Broker, BrokerOptions
from rota.errors import BrokerError
from rota.inspect.doctor import Examination, examine
from rota.inspect.doctor.finding import PAGE
from rota.tasks.type_record import TypeRecord, pack
from rota.wire import aside, rights
from rota.wire import server_record as records
from rota.wire.server_record import ServerState, new_server_id
from scripts.check_links import anchors
from scripts.tree import ROOT
from tests.integration.inspect.state import State
from tests.servers.fleet import ClusterFleet
from tests.servers.process import Server
from tests.servers.roles import as_role


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Broker]:
    async with Broker.from_url(as_role(redis_url, "inspector")) as broker:
        yield broker


@pytest.fixture
async def served(redis_url: str) -> AsyncIterator[Broker]:
    """The broker of a worker that serves queues."""
    async with Broker.from_url(redis_url) as served:
        yield served


@pytest.fixture
def strict_server() -> Iterator[Server]:
    server = Server(config={"appendonly": "yes"}).start()
    yield server
    server.stop()


async def serve(
    served: Broker,
    *queues: str,
    status: str = "active",
    server_id: str | None = None,
    active: int = 0,
    types: Sequence[str] = (),
) -> None:
    state = ServerState(
        host="h",
        pid=1,
        server_id=server_id or new_server_id(),
        concurrency=1,
        queues=dict.fromkeys(queues, 1),
        status=status,
        active=active,
    )
    minute, published = timedelta(minutes=1), pack([TypeRecord(type=type) for type in types])
    calls = records.beat(served.keys, state, [], minute, types=published.digest if types else "")
    for reply in await served.run_many(calls):
        assert not isinstance(reply, BrokerError)
    if types:
        await served.run(records.publish(served.keys, *published, minute))


async def look(broker: Broker, **words: Any) -> Examination:
    return await examine(broker, role="inspector", **words)


def codes(done: Examination) -> set[str]:
    """What was found, but that the shared server keeps nothing on disk, or that Redis 6.2 cannot try rights."""
    untried = "The rights of the user were not tried."
    return {finding.code for finding in done.findings if finding.what != untried} - {"persistence"}


async def test_an_empty_server_with_a_file_on_disk_is_healthy(strict_server: Server) -> None:
    async with Broker.from_url(strict_server.unix_url) as broker:
        done = await look(broker)

    assert done.findings == []
    assert done.healthy


async def test_a_server_that_evicts_and_keeps_nothing_is_found(broker: Broker, strict_server: Server) -> None:
    with strict_server.client() as client:
        client.config_set("appendonly", "no")
        client.config_set("maxmemory-policy", "allkeys-lru")
        async with Broker.from_url(strict_server.unix_url) as there:
            done = await examine(there)

    assert {finding.code for finding in done.findings} == {"eviction", "persistence"}
    assert not done.healthy


async def test_a_server_that_is_away_is_one_finding() -> None:
    async with Broker.from_url("redis://127.0.0.1:1") as broker:
        done = await look(broker)

    assert codes(done) == {"server"}


async def test_a_served_queue_with_fresh_tasks_is_healthy(broker: Broker, served: Broker, state: State) -> None:
    state.task(state.queue(), "one", "pending", {"pending_since": time.time_ns()})
    state.task(state.queue(), "two", "active")
    await serve(served, "default")

    assert codes(await look(broker, handles=lambda name: name == "t")) == set()


async def test_a_queue_that_nobody_consumes_is_an_error(broker: Broker, served: Broker, state: State) -> None:
    state.task(state.queue("typo"), "one", "pending")
    await serve(served, "default")

    done = await look(broker)

    [found] = [finding for finding in done.findings if finding.code == "queue-without-a-server"]
    assert found.severity == "error"
    assert "'typo': 1 pending task," in found.what


async def test_a_queue_with_quiet_servers_only_is_a_warning(broker: Broker, served: Broker, state: State) -> None:
    state.task(state.queue(), "one", "pending")
    await serve(served, "default", status="stopped")

    done = await look(broker)

    assert [f.severity for f in done.findings if f.code == "queue-without-a-server"] == ["warning"]


OLD = time.time() - 4000


def plant_long_wait(state: State) -> None:
    state.task(state.queue(), "one", "pending", {"pending_since": int(OLD * 1e9)})


def plant_pause(state: State) -> None:
    state.task(state.queue(), "one", "pending")
    state.client.set(state.queue().paused, int(OLD))


def plant_lost_task(state: State) -> None:
    state.task(state.queue(), "one", "active")
    state.client.zadd(state.queue().lease, {"one": OLD})


def plant_task_without_lease(state: State) -> None:
    state.task(state.queue(), "one", "active")
    state.client.zrem(state.queue().lease, "one")


def plant_stale_set(state: State) -> None:
    keys = state.queue()
    state.task(keys, "one", "aggregating", {"group": "g"}, group_key="g")
    state.client.rename(keys.group("g"), keys.group("g:1"))
    state.client.zadd(keys.aggregation_sets, {keys.group("g:1"): OLD})


def plant_missing_task(state: State) -> None:
    state.place(state.queue(), "one", "scheduled")


def plant_unreadable_task(state: State) -> None:
    state.task(state.queue(), "one", "scheduled", {"msg": b"\xff\xff"})


def plant_full_archive(state: State) -> None:
    for name in ("one", "two", "three"):
        state.task(state.queue(), name, "archived")


def plant_foreign_name(state: State) -> None:
    state.client.sadd("asynq:queues", b"\xff")


def plant_unhandled_type(state: State) -> None:
    state.task(state.queue(), "one", "retry", error_msg='handler not found for task "t"', type="t")


def plant_broken_key(state: State) -> None:
    state.task(state.queue("other"), "one", "pending")
    state.client.set(state.queue().active, "x")


def plant_half_moved_task(state: State) -> None:
    keys = state.queue()
    state.queue("other")
    state.task(keys, "one", "scheduled")
    take = aside.take(keys, ["one"], to="other", mark="m", note="on its way")
    state.client.eval(take.script.source, len(take.keys), *take.keys, *take.args)
    state.client.zadd(keys.own("aside"), {"one": state.now - 120})


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        (plant_broken_key, "broken-queue"),
        (plant_long_wait, "tasks-not-taken"),
        (plant_pause, "paused-queue"),
        (plant_lost_task, "lost-tasks"),
        (plant_task_without_lease, "lost-tasks"),
        (plant_stale_set, "stale-aggregation"),
        (plant_missing_task, "missing-tasks"),
        (plant_unreadable_task, "unreadable-tasks"),
        (plant_full_archive, "full-archive"),
        (plant_half_moved_task, "cut-off-moves"),
        (plant_unhandled_type, "unhandled-types"),
        (plant_foreign_name, "unreadable-names"),
    ],
)
async def test_what_is_stuck_is_found(broker: Broker, served: Broker, state: State, plant: Any, code: str) -> None:
    plant(state)
    await serve(served, "default", "other")

    done = await look(broker, archive_max=3)

    assert codes(done) - {"inconsistent-tasks"} == {code}
    assert not done.healthy


async def test_a_long_wait_for_servers_without_a_free_slot_is_found(
    broker: Broker, served: Broker, state: State
) -> None:
    plant_long_wait(state)
    await serve(served, "default", active=1)

    assert codes(await look(broker)) == {"long-wait"}


async def test_a_task_that_waits_beside_free_slots_names_the_servers(
    broker: Broker, served: Broker, state: State
) -> None:
    waiting = {"pending_since": int((state.now - 40) * 1e9)}
    state.task(state.queue(), "one", "pending", waiting)
    await serve(served, "default", active=1)
    assert codes(await look(broker)) == set()

    await serve(served, "default")
    [found] = [each for each in (await look(broker)).findings if each.code == "tasks-not-taken"]
    assert "h:1 (0 of 1 in use)" in found.what


async def test_a_task_that_waits_in_a_paused_queue_is_no_fault_of_its_servers(
    broker: Broker, served: Broker, state: State
) -> None:
    plant_pause(state)
    await serve(served, "default")
    assert codes(await look(broker)) == {"paused-queue"}


async def test_a_type_that_go_gave_up_is_found_in_the_archive_behind_older_failures(
    broker: Broker, served: Broker, state: State
) -> None:
    keys = state.queue()
    for number in range(450):
        state.task(keys, f"older-{number}", "archived", error_msg="boom", type="old")
        state.client.zadd(keys.archived, {f"older-{number}": OLD})
    state.task(keys, "one", "archived", error_msg='handler not found for task "t"')
    await serve(served, "default")

    done = await look(broker, handles=lambda name: name == "t")

    [found] = [finding for finding in done.findings if finding.code == "unhandled-types"]
    assert found.severity == "warning"
    assert "the archive of the queue 'default'" in found.what
    assert "t (1)" in found.what


async def test_types_that_the_app_does_not_handle_are_named(broker: Broker, served: Broker, state: State) -> None:
    for task_id in ("one", "two"):
        state.task(state.queue(), task_id, "scheduled", type="mail:sned")
    await serve(served, "default")

    done = await look(broker, handles=lambda name: name == "mail:send")

    [found] = [finding for finding in done.findings if finding.code == "unhandled-types"]
    assert "mail:sned (2)" in found.what


async def test_types_that_no_worker_of_the_queue_handles_are_named(
    broker: Broker, served: Broker, state: State
) -> None:
    for task_id, type in (("one", "mail:sned"), ("two", "mail:sned"), ("three", "mail:send"), ("four", "bill:print:7")):
        state.task(state.queue(), task_id, "scheduled", type=type)
    await serve(served, "default", types=["mail:send", "bill:"])
    await serve(served, "other", types=["mail:sned"])

    [found] = [finding for finding in (await look(broker)).findings if finding.code == "unhandled-types"]

    assert found.severity == "error"
    assert found.what == "No worker of the queue 'default' handles the type of these tasks: mail:sned (2)."


async def test_types_are_not_reported_while_those_of_one_server_are_not_known(
    broker: Broker, served: Broker, state: State
) -> None:
    state.task(state.queue(), "one", "scheduled", type="mail:sned")
    await serve(served, "default", types=["mail:send"])
    await serve(served, "default")

    assert codes(await look(broker)) == set()


async def test_broken_list_of_types_does_not_end_the_examination(broker: Broker, served: Broker, state: State) -> None:
    plant_pause(state)
    await serve(served, "default")
    state.client.set(broker.keys.types, "x")

    assert codes(await look(broker)) == {"paused-queue"}


async def test_go_servers_are_told_from_ours(broker: Broker, served: Broker, state: State) -> None:
    await serve(served, "default")
    assert codes(await look(broker)) == set()

    await serve(served, "default", server_id="5e0f3f0e-0000-4000-8000-000000000000")

    done = await look(broker)
    assert codes(done) == {"go-servers"}
    assert done.servers == 2


async def test_looking_changes_nothing(broker: Broker, state: State) -> None:
    plant_stale_set(state)
    plant_lost_task(state)
    before = state.everything()

    await look(broker)

    assert state.everything() == before


def test_each_finding_is_a_heading_on_the_page() -> None:
    made = {
        call.args[0].value
        for source in (ROOT / "rota/inspect/doctor").glob("*.py")
        for call in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("error", "warning", "note", "make")
        if isinstance(call.args[0], ast.Constant)
    }

    assert made >= {"eviction", "rights", "go-servers"}
    assert made - anchors((ROOT / PAGE).read_text(encoding="utf-8")) == set()


def run(url: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "rota.cli", "doctor", *words],
        cwd=ROOT,
        env={**os.environ, "ROTA_URL": url},
        capture_output=True,
        text=True,
        timeout=40,
    )


def test_the_command_tells_cause_fix_and_page_and_fails(redis_url: str, state: State) -> None:
    state.task(state.queue(), "one", "pending", type="no:such")

    done = run(as_role(redis_url, "inspector"), "examples.hello:app", "--as", "inspector")

    assert done.returncode == 1
    assert "error No live server serves the queue 'default'" in done.stdout
    assert "error The app does not handle the type of tasks in the queue 'default': no:such (1)." in done.stdout
    assert "more docs/operations/doctor.md#queue-without-a-server in the source of Rota" in done.stdout


def test_json_is_for_programs(strict_server: Server) -> None:
    done = run(strict_server.unix_url, "--json")

    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "healthy": True,
        "queues": 0,
        "servers": 0,
        "tasks": 0,
        "findings": [],
        "discrepancies": {},
    }


async def test_a_cluster_is_examined_as_a_restricted_user_too(cluster: ClusterFleet) -> None:
    words = [*rights.rule("worker", "doctored", "secret").split()[2:], "+sscan"]
    async with Broker.from_url(cluster.url) as broker:
        for link in await broker._route.links(5):
            await link.execute("ACL", "SETUSER", *words)
    options = BrokerOptions(username="doctored", password="secret")
    async with Broker.from_url(cluster.url, options=options) as broker:
        done = await examine(broker)

    assert {finding.code for finding in done.findings}.isdisjoint({"rights", "not-looked-at", "server"})
