"""Asynqmon, the web console of Asynq, on tasks of every state that Rota's scripts made."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from interop.programs import Go
from rota.app import Rota
from rota.broker import Broker
from rota.tasks.context import Context
from tests.interop.console import STATES, TASKS, Console, listing, stage
from tests.interop.raw_queue import RawQueue


@pytest_asyncio.fixture
async def queue(redis: Redis) -> RawQueue:
    queue = RawQueue(redis, "mail")
    await stage(queue)
    return queue


@pytest_asyncio.fixture
async def console(go: Go, queue: RawQueue) -> AsyncIterator[Console]:
    async with go.asynqmon() as address:
        yield Console(address)


@pytest.mark.usefixtures("one_day")
def test_the_queue_shows_the_number_of_tasks_in_each_state(console: Console) -> None:
    (queue,) = console.get("/queues")["queues"]

    assert {state: queue[state] for state in STATES} == dict.fromkeys(STATES, 1)
    assert (queue["queue"], queue["size"], queue["groups"], queue["paused"]) == ("mail", 7, 1, False)
    assert (queue["processed"], queue["succeeded"], queue["failed"]) == (3, 1, 2)
    assert console.get("/queues/mail")["history"][0]["processed"] == 3


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("active", {"is_orphaned": False, "payload": '{"user": 7}'}),
        ("pending", {"payload": "non-printable bytes"}),
        ("aggregating", {"group": "digest"}),
        ("scheduled", {"max_retry": 25}),
        ("retry", {"retried": 1, "error_message": "try later"}),
        ("archived", {"retried": 0, "error_message": "no such address"}),
        ("completed", {"result": '{"sent": true}'}),
    ],
)
def test_a_task_is_listed_in_its_state(console: Console, state: str, shown: dict[str, object]) -> None:
    (task,) = console.tasks(state)
    task_id = TASKS[state]

    wanted = {"id": task_id, "type": f"mail:{task_id}", "queue": "mail"} | shown
    assert {name: task[name] for name in wanted} == wanted
    assert console.get(f"/queues/mail/tasks/{task_id}")["state"] == state


def test_the_group_and_the_server_with_its_running_task_are_shown(console: Console) -> None:
    assert console.get("/queues/mail/groups")["groups"] == [{"group": "digest", "size": 1}]
    (server,) = console.get("/servers")["servers"]
    (worker,) = server.pop("active_workers")

    assert server == {
        "id": "5e0f", "host": "rota-host", "pid": 4321, "concurrency": 12, "status": "active",
        "queue_priorities": {"mail": 6, "low": 1}, "strict_priority_enabled": True, "start_time": server["start_time"],
    }  # fmt: skip
    assert (worker["task_id"], worker["queue"], worker["task_payload"]) == ("busy", "mail", '{"user": 7}')
    (active,) = console.tasks("active")
    assert "-" not in (active["start_time"], active["deadline"])


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("run", "scheduled", "pending"),
        ("run", "retry", "pending"),
        ("run", "archived", "pending"),
        ("run", "aggregating", "pending"),
        ("archive", "pending", "archived"),
        ("archive", "scheduled", "archived"),
        ("archive", "retry", "archived"),
        ("archive", "aggregating", "archived"),
    ],
)
async def test_an_action_moves_a_task_that_we_can_still_take(
    console: Console, queue: RawQueue, action: str, before: str, after: str
) -> None:
    console.send(f"/queues/mail/{listing(before)}_tasks/{TASKS[before]}:{action}")

    assert TASKS[before] in [task["id"] for task in console.tasks(after)]
    if after == "pending":
        assert {(await queue.take())[0], (await queue.take())[0]} == {"next", TASKS[before]}


@pytest.mark.parametrize("state", [state for state in STATES if state != "active"])
async def test_a_task_is_deleted_with_its_hash(console: Console, queue: RawQueue, state: str) -> None:
    console.send(f"/queues/mail/{listing(state)}_tasks/{TASKS[state]}", "DELETE")

    assert console.tasks(state) == []
    assert not await queue.redis.exists(queue.keys.task(TASKS[state]))


async def test_many_tasks_are_moved_at_once(console: Console, queue: RawQueue) -> None:
    console.send("/queues/mail/retry_tasks:run_all")
    console.send("/queues/mail/archived_tasks:batch_run", body={"task_ids": ["lost"]})
    console.send("/queues/mail/completed_tasks:delete_all", "DELETE")

    assert {task["id"] for task in console.tasks("pending")} == {"next", "again", "lost"}
    assert console.tasks("completed") == console.tasks("retry") == console.tasks("archived") == []


async def test_a_paused_queue_gives_us_nothing_until_it_is_resumed(console: Console, queue: RawQueue) -> None:
    console.send("/queues/mail:pause")
    with pytest.raises(ValueError, match="not enough values"):
        await queue.take()
    assert console.get("/queues")["queues"][0]["paused"] is True

    console.send("/queues/mail:resume")
    assert (await queue.take())[0] == "next"


async def test_a_cancel_is_published_for_the_task(console: Console, redis_url: str) -> None:
    async with Broker.from_url(redis_url) as broker, broker.subscribe("asynq:cancel") as heard:
        console.send("/queues/mail/active_tasks/busy:cancel")
        async with asyncio.timeout(30):
            while await heard.get() != ("asynq:cancel", b"busy"):
                pass  # the nodes of a Cluster pass messages on when they can: one of the test before may come now


async def test_a_run_on_our_worker_is_shown_and_can_be_cancelled(go: Go, redis_url: str) -> None:
    app = Rota(redis_url, settings={"heartbeat": "1s", "lease": "5s"})
    started = asyncio.Event()

    @app.handler("mail:long")
    async def long(ctx: Context, payload: bytes) -> None:
        started.set()
        await asyncio.sleep(60)

    async with go.asynqmon() as address, app.worker(queues={"mail": 2}, concurrency=3) as worker:
        console = Console(address)
        task = await app.enqueue("mail:long", {"user": 7}, queue="mail")
        async with asyncio.timeout(30):
            await started.wait()
            while not (servers := shown_at_work(console)) or not worker.parts.subscriber.statistics().listening:
                await asyncio.sleep(0.05)
        (server,) = servers
        (active,) = console.tasks("active")
        console.send(f"/queues/mail/active_tasks/{task.id}:cancel")
        async with asyncio.timeout(30):
            while not (archived := console.tasks("archived")):
                await asyncio.sleep(0.05)
    await app.aclose()

    assert (server["concurrency"], server["queue_priorities"], server["status"]) == (3, {"mail": 2}, "active")
    assert [worker["task_id"] for worker in server["active_workers"]] == [task.id]
    assert active["id"] == task.id
    assert active["start_time"] != "-"
    assert [(each["id"], each["error_message"]) for each in archived] == [(task.id, "cancelled")]


def shown_at_work(console: Console) -> list[dict[str, Any]]:
    """The servers that have said that they are ready, and what they run: the beats before show less."""
    servers: list[dict[str, Any]] = console.get("/servers")["servers"]
    return [server for server in servers if server["active_workers"] and server["status"] == "active"]
