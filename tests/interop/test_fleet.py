"""Go servers and workers of ours on the same queues: they share the work, and take over from each other."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from interop.programs import Go
from rota.app import Rota
from rota.tasks.context import Context
from rota.tasks.job import Job
from rota.tasks.policy import Retry
from tests.interop.raw_queue import RawQueue

TASKS = 10_000


class RunLog:
    """A file with one line for each run, whoever ran it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)

    def add(self, task_id: str) -> None:
        self._file.write(task_id.encode() + b"\n")

    def runs(self) -> Counter[str]:
        return Counter(self.path.read_text().split())

    def close(self) -> None:
        self._file.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[RunLog]:
    log = RunLog(tmp_path / "python")
    yield log
    log.close()


async def all_ended(go: Go, queue: str, total: int, at_most_s: float = 120) -> None:
    """Wait until so many tasks are counted as processed and none is left."""
    seen = await go.queue(queue)
    deadline = time.monotonic() + at_most_s
    while seen.processed_total < total or seen.size:
        assert time.monotonic() < deadline, f"{seen.counts()}, {seen.processed_total} processed of {total}"
        await asyncio.sleep(0.2)
        seen = await go.queue(queue)


@pytest.mark.timeout(180)
async def test_a_mixed_fleet_runs_ten_thousand_tasks_once_each(go: Go, app: Rota, log: RunLog, tmp_path: Path) -> None:
    go_log = RunLog(tmp_path / "go")

    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        log.add(ctx.id)
        await asyncio.sleep(0.02)

    config = {
        "queues": {"mixed": 1}, "concurrency": 20, "task_check_ms": 20,
        "run_log": str(go_log.path), "tasks": {"*": {"sleep_ms": 20}},
    }  # fmt: skip
    async with go.server(**config), app.worker(queues={"mixed": 1}, concurrency=20):
        made, _ = await asyncio.gather(
            app.enqueue_many(app.plan("t", {"n": n}, queue="mixed") for n in range(TASKS // 2)),
            go.enqueue_many(TASKS // 2, queue="mixed", type="t"),
        )
        await all_ended(go, "mixed", TASKS)
    ours, theirs = log.runs(), go_log.runs()
    go_log.close()

    ids = {task.id for task in made if isinstance(task, Job)}
    assert len(ids) == TASKS // 2
    together = ours + theirs
    assert [task_id for task_id, count in together.items() if count != 1] == []
    assert len(together) == TASKS
    assert ids <= together.keys()
    assert min(len(ours), len(theirs)) > TASKS // 20, f"{len(ours)} here, {len(theirs)} in Go"
    seen = await go.queue("mixed")
    assert (seen.processed_total, seen.failed_total) == (TASKS, 0)


@pytest.mark.timeout(120)
async def test_a_mixed_fleet_retries_each_failure_and_loses_nothing(go: Go, app: Rota, log: RunLog) -> None:
    """Every task fails in its first run, wherever that is, and succeeds in its second."""

    @app.handler("t", retry=Retry(delay="10ms"))
    async def t(ctx: Context, payload: bytes) -> None:
        log.add(f"{ctx.id}:{ctx.retried}")
        if not ctx.retried:
            raise ValueError("first run")

    tasks = {"t": {"fail": 1, "error": "first run"}}
    async with (
        go.server(concurrency=20, task_check_ms=10, delayed_check_ms=50, retry_delay_ms=0, tasks=tasks) as server,
        app.worker(concurrency=5),
    ):
        await app.enqueue_many(app.plan("t", {"n": n}) for n in range(500))
        await all_ended(go, "default", 1000)
    theirs = Counter(f"{event.id}:{event.retried}" for event in server.all(event="start"))

    together = log.runs() + theirs
    assert set(together.values()) == {1}
    assert Counter(run.rpartition(":")[2] for run in together) == {"0": 500, "1": 500}
    assert (await go.queue()).failed_total == 500


async def test_a_task_of_a_killed_go_server_runs_here(go: Go, app: Rota, redis: Redis) -> None:
    runs: list[int] = []

    @app.handler("t", retry=Retry(delay="0s"))
    async def t(ctx: Context, payload: bytes) -> None:
        runs.append(ctx.retried)

    async with go.server(task_check_ms=20, tasks={"t": {"sleep_ms": 60_000}}) as server:
        task = await go.enqueue("t")
        await server.wait(event="start", id=task.id)
        server.kill()
    await RawQueue(redis).lapse(task.id)
    async with app.worker(sweep_interval="200ms"):
        await all_ended(go, "default", 2)

    assert runs == [1]
    seen = await go.queue()
    assert (seen.processed_total, seen.failed_total) == (2, 1)


async def test_a_task_that_our_dead_worker_held_runs_on_a_go_server(go: Go, app: Rota, redis: Redis) -> None:
    task = await app.enqueue("t")
    queue = RawQueue(redis)
    await queue.take()
    await queue.lapse(task.id)

    async with go.server(retry_delay_ms=0, delayed_check_ms=50, task_check_ms=50) as server:
        end = await server.wait_one(event="end", id=task.id)
        await all_ended(go, "default", 2)

    assert end.retried == 1
    assert [key async for key in redis.scan_iter("asynq:{default}:t:*")] == []


async def test_weighted_queues_of_ours_are_drawn_by_weight_on_a_go_server(go: Go, app: Rota) -> None:
    for queue in ("heavy", "light"):
        await app.enqueue_many(app.plan("t", {"n": n}, queue=queue) for n in range(200))

    async with go.server(queues={"heavy": 3, "light": 1}, concurrency=1) as server:
        starts = await server.wait(400, event="start")

    assert 90 <= [event.queue for event in starts[:160]].count("heavy") <= 150
