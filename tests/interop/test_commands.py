"""The commands of Rota show what Asynq's Inspector shows of tasks that Go alone has enqueued and run."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from interop.programs import Go, request
from interop.shapes import STATES
from rota.cli.program import program
from tests.servers.roles import as_role

pytestmark = pytest.mark.usefixtures("one_day")


@pytest.fixture
def shown(redis_url: str) -> Any:
    """Run a command with `--json` as an inspector, and return its output."""

    def run(*words: str) -> Any:
        done = CliRunner().invoke(program, [*words, "--json", "--url", as_role(redis_url, "inspector")])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        return json.loads(done.stdout)

    return run


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


async def test_entries_and_their_history_are_those_of_go(go: Go, shown: Any) -> None:
    async with go.scheduler("@every 1s") as entry_id:
        async with asyncio.timeout(60):  # Asynq's scheduler shows its entries every few seconds
            while not (entries := shown("cron", "list")):
                await asyncio.sleep(0.1)
        [entry] = entries
        theirs = await go.enqueue_events(entry_id)
        assert theirs
        assert (entry["id"], entry["spec"], entry["is_go"]) == (entry_id, "@every 1s", True)
        ours = [event["task_id"] for event in shown("cron", "history", entry_id)[entry_id]]
        assert ours[-len(theirs) :] == theirs
