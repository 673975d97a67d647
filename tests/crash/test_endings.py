"""Scenarios 31 to 37: limits, cancelling, locks, and tasks that are deleted while they run."""

import pytest

from rota.policy import Unique
from tests.crash.conftest import SceneMaker
from tests.crash.go_workers import GoWorkers
from tests.crash.scene import Scene

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_a_handler_that_ignores_its_limit_is_not_overtaken_by_its_second_run(scene_of: SceneMaker) -> None:
    scene = scene_of("31: the time limit is ignored for longer than a lease")
    scene.start(settings={"concurrency": "2"}).ready()
    scene.enqueue(2, "crash:stubborn", seconds=7, options={"timeout": "1s"})
    scene.running(2)
    scene.start(settings={"concurrency": "2"}).ready()
    scene.drained()
    runs = scene.runs()
    assert sorted((run.task, run.retried, run.end) for run in runs) == [
        ("t0", 0, "fail"), ("t0", 1, "ok"), ("t1", 0, "fail"), ("t1", 1, "ok"),
    ]  # fmt: skip
    scene.verdict()


def test_beside_a_go_server_too_the_second_run_waits_for_the_end_of_the_first(scene_of: SceneMaker) -> None:
    scene = scene_of("31 (M): the time limit is ignored beside a Go server")
    scene.start(settings={"concurrency": "2"}).ready()
    scene.enqueue(2, "crash:stubborn", seconds=7, options={"timeout": "1s"})
    scene.running(2)
    go = GoWorkers(scene.url, scene.ledger, scene.note, concurrency=2, task_check_ms=50, delayed_check_ms=100)
    scene.drained()
    go.stop()
    scene.verdict()


def test_a_cancelled_task_ends_cancelled_in_whatever_state_it_is(scene_of: SceneMaker) -> None:
    scene = scene_of("33: cancelled while queued, delayed, running, before its retry, and twice")

    def cancel(task: str, reason: str = "not wanted") -> None:
        scene.note("removed", task=task)
        scene.app.sync_client.cancel("default", task, reason)

    [queued] = scene.enqueue(1)
    [delayed] = scene.enqueue(1, options={"delay": "1h"})
    for task in (queued, delayed):
        cancel(task)
    scene.start().ready()
    [running] = scene.enqueue(1, seconds=30)
    scene.running(1)
    cancel(running)
    cancel(running, "really")
    [retrying] = scene.enqueue(1, "crash:unheard-of")
    with scene.client() as client:
        scene.until(lambda: client.zscore("asynq:{default}:retry", retrying))
        cancel(retrying)
        scene.until(lambda: client.zcard("asynq:{default}:archived") == 4)
        for task in (queued, delayed, running, retrying):
            assert client.hget(f"asynq:{{default}}:t:{task}", "rota_end") == "cancelled"
    assert scene.verdict().archived == 4


def _locked(scene: Scene, scope: str, ttl: str | None = None, **order: object) -> str:
    unique = Unique(ttl, scope=scope, key="one")  # type: ignore[arg-type]
    [task] = scene.enqueue(1, options={"unique": unique, "max_retry": 0}, **order)
    return task


@pytest.mark.parametrize("scope", ["queued", "running"])
def test_no_lock_is_left_behind_by_a_death(scene_of: SceneMaker, scope: str) -> None:
    scene = scene_of(f"35: a unique task ({scope}) whose worker dies")
    first = scene.start().ready()
    _locked(scene, scope, seconds=1)
    scene.running(1)
    first.kill()
    scene.start()
    scene.drained()
    with scene.client() as client:
        assert client.keys("*:unique:*") == []
    scene.verdict()


@pytest.mark.parametrize(("scope", "ttl", "kept"), [("running", None, False), ("ttl", "1h", True)])
def test_the_lock_of_an_archived_and_of_a_deleted_task_follows_the_rule(
    scene_of: SceneMaker, scope: str, ttl: str | None, kept: bool
) -> None:
    scene = scene_of(f"35: a unique task ({scope}) that is archived, then deleted")
    scene.start().ready()
    task = _locked(scene, scope, ttl, fail=9)
    with scene.client() as client:
        scene.until(lambda: client.zcard("asynq:{default}:archived") == 1)
        assert bool(client.keys("*:unique:*")) is kept
        scene.app.sync_client.delete("default", task)
        scene.note("removed", task=task)
        assert client.keys("*:unique:*") == []
    scene.verdict(counters=False)


def test_a_lock_whose_task_was_deleted_by_hand_is_cleared_away(scene_of: SceneMaker) -> None:
    scene = scene_of("35: a unique task that is orphaned")
    task = _locked(scene, "running", delay_never="")
    with scene.client() as client:
        client.lrem("asynq:{default}:pending", 0, task)
        client.delete(f"asynq:{{default}}:t:{task}")
        scene.note("removed", task=task)
        scene.start().ready()
        scene.until(lambda: not client.keys("*:unique:*"), 40)
    scene.verdict()


def test_a_task_deleted_while_it_runs_leaves_nothing_when_it_writes_its_result(scene_of: SceneMaker) -> None:
    scene = scene_of("37: deleted while running, then a result")
    worker = scene.start().ready()
    [task] = scene.enqueue(1, "crash:result", seconds=1, options={"retention": "1h"})
    scene.running(1)
    scene.note("removed", task=task)
    with scene.client() as client:
        client.delete(f"asynq:{{default}}:t:{task}")
        client.lrem("asynq:{default}:active", 0, task)
        client.zrem("asynq:{default}:lease", task)
    scene.until(lambda: worker.said("discarded") or worker.said("Lost the lease"))
    scene.verdict(counters=False)
