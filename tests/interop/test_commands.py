"""The commands of Rota show what Asynq's Inspector and its tool show of tasks that Go alone has enqueued and run."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from interop.asynq_tool import AsynqTool
from interop.programs import Go, request
from interop.shapes import STATES
from rota.cli.program import program
from tests.servers.roles import as_role

pytestmark = pytest.mark.usefixtures("one_day")


@pytest.fixture
def shown(redis_url: str) -> Any:
    """Run a command with `--json` as an inspector, and return its output."""

    def run(*words: str) -> Any:
        line = [*words, "--json", "--url", as_role(redis_url, "inspector")]
        with ThreadPoolExecutor(1) as threads:  # some commands run an event loop, and the tests run in one
            done = threads.submit(CliRunner().invoke, program, line).result()
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        return json.loads(done.stdout)

    return run


@pytest.fixture
def asynq(redis_url: str, tmp_path: Path) -> AsynqTool:
    """Asynq's tool, with a home of its own."""
    return AsynqTool(as_role(redis_url, "go"), tmp_path)


async def stage(go: Go) -> None:
    """Bring tasks into all states but `active`, in two queues, of which one is paused."""
    await go.enqueue_all(
        [
            *(request("fine", b'{"a":1}', queue="mail", retention=timedelta(hours=1)) for _ in range(3)),
            *(request("fails", b"{}", queue="mail") for _ in range(2)),
            request("spent", b"{}", queue="mail", max_retry=0),
            request("later", b"\xff", queue="mail", process_in=timedelta(hours=1)),
            *(request("joined", b"{}", queue="low", group=group) for group in ("a", "b", "b")),
            request("waits", b"{}", queue="low"),
        ]
    )
    behaviors = {"fails": {"fail": -1, "error": "boom"}, "spent": {"fail": -1, "error": "no more"}}
    async with go.server(tasks=behaviors, queues={"mail": 1}, retry_delay_ms=3_600_000) as server:
        await server.wait(event="end", type="fine", count=3)
        await server.wait(event="error", count=3)
    await go.act("pause", queue="low")


async def test_numbers_of_queues_are_those_of_the_tool(go: Go, shown: Any, asynq: AsynqTool) -> None:
    await stage(go)
    theirs = asynq.json("stats")
    ours = {queue["queue"]: queue for queue in shown("stats")["queues"]}
    numbers = (*STATES, "size", "groups", "processed", "failed", "processed_total", "failed_total")
    for queue in theirs["queues"]:
        mine = ours.pop(queue["Queue"])
        assert {name: mine[name] for name in numbers} == {name: queue[_go_name(name)] for name in numbers}
        assert mine["is_paused"] == queue["Paused"]
    assert ours == {}

    assert sorted(asynq.lines("queue", "ls")) == [queue["queue"] for queue in shown("queue", "list")] == ["low", "mail"]
    for name in ("low", "mail"):
        [counts, day] = asynq.rows("queue", "inspect", name)
        [full] = shown("queue", "inspect", name)
        mine = full["numbers"]
        facts = dict(line.split(": ") for line in asynq.lines("queue", "inspect", name) if ": " in line)
        assert {state: int(counts[state]) for state in STATES} == {state: mine[state] for state in STATES}
        assert (int(day["processed"]), int(day["failed"])) == (mine["processed"], mine["failed"])
        assert [int(facts[title]) for title in ("Size", "Groups")] == [mine["size"], len(full["groups"])]
        days = {row["date (UTC)"]: row for row in asynq.rows("queue", "history", name, "-x", "2")}
        for day in shown("queue", "history", name, "--days", "2")[name]:
            row = days[day["day"]]
            assert (day["processed"], day["failed"]) == (int(row["processed"]), int(row["failed"]))
    assert sorted(asynq.lines("group", "ls", "-q", "low")) == [each["name"] for each in shown("group", "list", "low")]


async def test_listed_tasks_are_those_of_the_tool(go: Go, shown: Any, asynq: AsynqTool) -> None:
    await stage(go)
    states = [("mail", each) for each in ("scheduled", "retry", "archived", "completed")]
    for queue, state, *group in (*states, ("low", "pending"), ("low", "aggregating", "-g", "b")):
        words = ("task", "list", "-q", queue, "-s", state)
        theirs = asynq.rows(*words, *group)
        ours = shown(*words, *(["--group", group[1]] if group else []))["tasks"]
        assert theirs
        assert [(task["id"], task["type"]) for task in ours] == [(row["ID"], row["Type"]) for row in theirs]
        for task, row in zip(ours, theirs, strict=True):
            assert row["Payload"] in (task["payload"], "non-printable bytes")
            if "Last Error" in row:
                assert task["last_error"] == row["Last Error"]
            if state == "retry":
                assert [task["retried"], task["max_retry"]] == [int(row["Retried"]), int(row["Max Retry"])]


def _go_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


async def test_stats_queues_groups_and_history_have_gos_numbers(go: Go, shown: Any) -> None:
    await go.enqueue_all(
        [
            *(request("fine", b"{}", queue="mail", retention=timedelta(hours=1)) for _ in range(3)),
            *(request("fails", b"{}", queue="mail") for _ in range(2)),
            request("later", b"\xff", queue="mail", process_in=timedelta(hours=1)),
            *(request("joined", b"{}", queue="low", group=group) for group in ("a", "b", "b")),
            request("waits", b"{}", queue="low"),
        ]
    )
    behaviors = {"fails": {"fail": -1, "error": "boom"}}
    async with go.server(tasks=behaviors, queues={"mail": 1}, retry_delay_ms=3_600_000) as server:
        await server.wait(event="end", type="fine", count=3)
        await server.wait(event="error", type="fails", count=2)
    await go.act("pause", queue="low")

    theirs = (await go.inspect()).queues
    ours = {queue["queue"]: queue for queue in shown("stats")["queues"]}
    assert ours.keys() == theirs.keys() == {"mail", "low"}
    for name, queue in theirs.items():
        assert {state: ours[name][state] for state in STATES} == {state: getattr(queue, state) for state in STATES}
        for number in ("size", "groups", "processed", "failed", "processed_total", "failed_total"):
            assert ours[name][number] == getattr(queue, number), f"{number} of {name}"
        assert ours[name]["is_paused"] == queue.paused
        days = shown("queue", "history", name, "--days", str(len(queue.days)))[name]
        assert {day["day"]: (day["processed"], day["failed"]) for day in days} == queue.days
        [full] = shown("queue", "inspect", name)
        assert {group["name"]: group["size"] for group in full["groups"]} == queue.group_sizes
    assert {group["name"]: group["size"] for group in shown("group", "list", "low")} == {"a": 1, "b": 2}


async def test_entries_and_their_history_are_those_of_go(go: Go, shown: Any, asynq: AsynqTool) -> None:
    async with go.scheduler("@every 1s") as entry_id:
        # Asynq's scheduler shows its entries for two seconds each second: a machine that holds it up shows none for a
        # while.
        async with asyncio.timeout(60):
            while not (entries := shown("cron", "list")):
                await asyncio.sleep(0.1)
            while not (rows := asynq.rows("cron", "ls")):
                await asyncio.sleep(0.1)
            while not (theirs := await go.enqueue_events(entry_id)):
                await asyncio.sleep(0.1)
        [entry], [row] = entries, rows
        assert (entry["id"], entry["spec"], entry["is_go"]) == (entry_id, "@every 1s", True)
        assert (row["EntryID"], row["Spec"], row["Type"]) == (entry["id"], entry["spec"], entry["task_type"])
        ours = [event["task_id"] for event in shown("cron", "history", entry_id, "--size", "500")[entry_id]]
        assert [task_id for task_id in ours if task_id in theirs] == theirs  # it fires on between the two looks
