"""Scenarios 31 to 38: limits, cancelling, locks, and tasks that are deleted while they run."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from rota.app import Rota
from rota.errors import DuplicateTask, TaskIdConflict
from rota.tasks.policy import Unique
from tests.crash.conftest import SceneMaker
from tests.crash.handlers import ONE_QUEUED
from tests.crash.proxy import Proxy
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
    scene.start_go(concurrency=2)
    scene.drained()
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


def test_a_task_whose_deadline_has_passed_is_expired_and_runs_no_more(scene_of: SceneMaker) -> None:
    scene = scene_of("34: the deadline has passed before the task was taken, and after its worker died")
    first = scene.start().ready()
    scene.enqueue(10, options={"deadline": datetime.now(UTC) - timedelta(minutes=1)})
    deadline = datetime.now(UTC) + timedelta(seconds=10)
    scene.enqueue(5, seconds=60, options={"deadline": deadline})
    scene.running(5)
    first.kill()
    scene.until(lambda: datetime.now(UTC) > deadline)
    scene.start()
    scene.drained()
    with scene.client() as client:
        ends = [client.hget(f"asynq:{{default}}:t:t{number}", "rota_end") for number in range(15)]
    assert ends == ["expired"] * 15
    verdict = scene.verdict()
    assert (verdict.archived, verdict.runs, verdict.died) == (15, 5, 5)


def _locked(scene: Scene, scope: str, ttl: str | None = None, **order: object) -> str:
    unique = Unique(ttl, scope=scope, key="one")  # type: ignore[arg-type]
    [task] = scene.enqueue(1, options={"unique": unique, "max_retry": 0}, **order)
    return task


@pytest.mark.parametrize("scope", ["queued", "running"])
def test_no_lock_is_left_behind_by_a_death(scene_of: SceneMaker, scope: str) -> None:
    scene = scene_of(f"35: a unique task ({scope}) whose worker dies")
    first = scene.start().ready()
    gate = scene.gate()
    _locked(scene, scope, gate=gate)
    scene.running(1)
    first.kill()
    gate.touch()
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


def test_a_lock_whose_task_was_deleted_by_hand_is_deleted_by_the_doctor(scene_of: SceneMaker) -> None:
    scene = scene_of("35: a unique task that is orphaned")
    task = _locked(scene, "running", delay_never="")
    with scene.client() as client:
        client.lrem("asynq:{default}:pending", 0, task)
        client.delete(f"asynq:{{default}}:t:{task}")
        scene.note("removed", task=task)
        scene.start().ready()
        assert client.keys("*:unique:*")
        said = scene.repair()
        assert client.keys("*:unique:*") == [], said
    scene.verdict()


@pytest.mark.parametrize(
    ("second", "key", "refusal"),
    [
        ("runs", {"unique": Unique(scope="running", key="one", on_conflict="raise")}, DuplicateTask),
        # A lock goes with the end of its task. What is to hold beyond it is an ID, for as long as it is kept.
        ("is over", {"task_id": "one", "retention": "1h"}, TaskIdConflict),
    ],
    ids=["running", "over"],
)
def test_a_request_that_arrives_late_finds_that_another_has_won(
    wired: tuple[Scene, Proxy], second: str, key: dict[str, object], refusal: type[Exception]
) -> None:
    scene, proxy = wired
    scene.title = f"36: two requests with one key, the first is slow in the network, the second {second} meanwhile"
    scene.start().ready()
    patient = {"connect_timeout": "60s", "response_timeout": "60s"}
    gate = scene.gate()
    with ThreadPoolExecutor() as pool, closing(Rota(proxy.url, settings=patient)) as elsewhere:
        with proxy.holding():
            late = pool.submit(
                elsewhere.sync_client.enqueue, elsewhere.plan("crash:loop", {}, **{"task_id": "late", **key})
            )
            scene.enqueue(1, options=key, gate=gate)
            scene.running(1)
            if second == "is over":
                gate.touch()
                scene.ended(1)
            assert not late.done()
        assert isinstance(late.exception(20), refusal)
        gate.touch()
    scene.drained()
    assert scene.verdict(memory=False).runs == 1


def test_a_task_that_runs_enqueues_itself_under_the_key_that_it_had(scene_of: SceneMaker) -> None:
    scene = scene_of("38: a task that enqueues itself 20 times with its own key, unique while queued")
    scene.enqueue(1, "crash:again", left=20, options={"unique": ONE_QUEUED})
    for _ in range(2):
        scene.start()
    scene.ended(21)
    scene.drained()
    with scene.client() as client:
        assert client.keys("*:unique:*") == []
    verdict = scene.verdict()
    assert (verdict.done, verdict.runs) == (21, 21)


def test_a_task_deleted_while_it_runs_leaves_nothing_when_it_writes_its_result(scene_of: SceneMaker) -> None:
    scene = scene_of("37: deleted while running, then a result")
    worker = scene.start().ready()
    gate = scene.gate()
    [task] = scene.enqueue(1, "crash:result", gate=gate, options={"retention": "1h"})
    scene.running(1)
    scene.note("removed", task=task)
    with scene.client() as client:
        client.delete(f"asynq:{{default}}:t:{task}")
        client.lrem("asynq:{default}:active", 0, task)
        client.zrem("asynq:{default}:lease", task)
    gate.touch()
    scene.until(lambda: worker.said("discarded") or worker.said("Lost the lease"))
    scene.verdict(counters=False)
