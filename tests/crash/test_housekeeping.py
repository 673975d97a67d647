"""Scenarios 6, 18 and 51 to 53: sweeps repair, bound and count, and never lie."""

import time

import pytest

from rota.inspect import Inspector
from tests.crash.conftest import SceneMaker

MOST_SECONDS_OF_A_SCRIPT = 0.2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_what_is_out_of_step_is_repaired_and_the_queue_flows_beside_a_go_server(scene_of: SceneMaker) -> None:
    """The sweep repairs the first two, and `rota doctor --repair` the third."""
    scene = scene_of("6 (M): active without a lease, a lease without a task, a task in no place")
    unleased, placeless, *_ = scene.enqueue(30, seconds=0.1)
    for task in (unleased, placeless):
        scene.note("damaged", task=task)
    with scene.client() as client:
        client.lrem("asynq:{default}:pending", 0, unleased)
        client.lpush("asynq:{default}:active", unleased)
        client.hset(f"asynq:{{default}}:t:{unleased}", "state", "active")
        client.zadd("asynq:{default}:lease", {"nobody": time.time() - 100})
        client.lrem("asynq:{default}:pending", 0, placeless)
        client.hset(f"asynq:{{default}}:t:{placeless}", "state", "active")
        scene.start_go(concurrency=2)
        scene.start().ready()
        scene.until(lambda: not any(scene.waiting().values()) and client.zcard("asynq:{default}:lease") == 0, 90)
        assert client.exists(f"asynq:{{default}}:t:{placeless}")
        assert "Repaired in the queue 'default': 1 × a task in no list or set: restored." in scene.repair()
        scene.until(lambda: not client.exists(f"asynq:{{default}}:t:{placeless}"))
    verdict = scene.verdict()
    assert (verdict.done, verdict.runs) == (30, 30)


def test_many_due_and_many_old_tasks_at_once_stop_no_script(scene_of: SceneMaker) -> None:
    scene = scene_of("18: 100,000 delayed tasks and 50,000 to expire from the archive at once")
    tasks = scene.send([scene.app.plan("crash:loop", {}, task_id=f"d{n}", delay="1h") for n in range(100_000)])
    with scene.client() as client:
        for start in range(0, 50_000, 1000):
            old = {f"old{n}": 1 for n in range(start, start + 1000)}
            with client.pipeline() as pipe:
                for task in old:
                    pipe.hset(f"asynq:{{default}}:t:{task}", mapping={"state": "archived", "msg": ""})
                pipe.zadd("asynq:{default}:archived", old)
                pipe.execute()
            scene.note.accepted(dict.fromkeys(old, "default"))
            for task in old:
                scene.note("removed", task=task)
        assert client.zcard("asynq:{default}:scheduled") == 100_000
        due = time.time() + 5
        for start in range(0, len(tasks), 5000):
            client.zadd("asynq:{default}:scheduled", dict.fromkeys(tasks[start : start + 5000], due), xx=True)
        client.execute_command("CONFIG", "SET", "slowlog-log-slower-than", int(MOST_SECONDS_OF_A_SCRIPT * 1e6))
        client.slowlog_reset()
        used: list[float] = []

        def over() -> bool:
            before = scene.server.cpu_seconds()
            client.ping()
            used.append(scene.server.cpu_seconds() - before)
            return not any(scene.waiting().values()) and not client.zcard("asynq:{default}:archived")

        worker = scene.start(settings={"concurrency": "500", "fetch_batch": "500"}).ready()
        scene.until(over, 150)
        # By the clock a script may be long because the machine stood. A long one also takes its time of the processor,
        # before one of these replies.
        assert client.slowlog_get() == [] or max(used) <= MOST_SECONDS_OF_A_SCRIPT
    assert worker.said("Traceback") == 0
    assert scene.verdict().done == 100_000


def test_no_cleaner_makes_a_failure_of_a_success(scene_of: SceneMaker) -> None:
    scene = scene_of("51: successes with leases and lists of the past")
    tasks = scene.enqueue(20, "crash:result", options={"retention": "1h"})
    scene.start().ready()
    scene.ended(20)
    scene.drained()
    with scene.client() as client:
        client.zadd("asynq:{default}:lease", dict.fromkeys(tasks, 1))
        client.lpush("asynq:{default}:active", *tasks[:10])
        scene.until(lambda: not client.exists("asynq:{default}:lease", "asynq:{default}:active"), 40)
        assert client.zcard("asynq:{default}:completed") == 20
    assert scene.verdict(memory=False).done == 20


def test_an_archive_at_its_limit_counts_and_says_what_it_drops(scene_of: SceneMaker) -> None:
    scene = scene_of("52: 30 failures, an archive of 10")
    worker = scene.start(settings={"archive_max": "10"}).ready()
    tasks = scene.enqueue(30, fail=99, options={"max_retry": 0})
    with scene.client() as client:
        scene.until(lambda: int(client.get("rota:{default}:trimmed") or 0) == 20)
        kept = client.zrange("asynq:{default}:archived", 0, -1)
        assert len(kept) == 10
    for task in set(tasks) - set(kept):
        scene.note("removed", task=task)
    scene.until(lambda: worker.said("Deleted"))
    assert scene.verdict(counters=False).archived == 10


async def test_finished_tasks_are_no_depth(scene_of: SceneMaker) -> None:
    scene = scene_of("53: 20,000 finished tasks that are kept")
    scene.enqueue(20_000, "crash:result", options={"retention": "1h"})
    scene.start(settings={"concurrency": "200"}).ready()
    scene.drained(150)
    broker = scene.app.connect()
    queue = await Inspector(broker).queue("default")
    await broker.aclose()
    assert (queue.completed, queue.pending + queue.active + queue.scheduled + queue.retry) == (20_000, 0)
    assert scene.verdict(memory=False).done == 20_000
