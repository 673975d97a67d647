"""Scenarios with workers of ours and Go servers on one queue. Each side's dead are treated by its own rules.

Asynq's recoverer looks when its server starts and each minute after, for leases that ran out 30 s ago or more; it
cannot be made quicker. So these tests start a Go server when they want it to look.
"""

import math
import time

import pytest

from tests.crash.conftest import SceneMaker
from tests.crash.proxy import Proxy
from tests.crash.scene import Scene

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

GO_LOOKS_AFTER_SECONDS = 31.0
"""Half a minute, in whole seconds."""
GO_BAR_SECONDS = 65.0
FOR_EVER_MS = 600_000
LEASES = "asynq:{default}:lease"


def test_a_go_recoverer_takes_a_dead_group_and_leaves_alone_what_keeps_the_interpreter(scene_of: SceneMaker) -> None:
    scene = scene_of("10 (M): 46 s of code that keeps the interpreter, and a group that is dead, before Go's recoverer")
    dead = scene.start(processes=1, settings={"concurrency": "20"}).ready()
    lost = set(scene.enqueue(20, seconds=60))
    scene.running(20)
    busy = scene.start(processes=1, settings={"concurrency": "1"}).ready()
    [held] = scene.enqueue(1, "crash:gil", seconds=46)
    scene.running(21)
    # The only other worker of ours is too busy to recover anything: it is left to Go.
    dead.kill()
    killed_at = time.monotonic()
    scene.start_go(concurrency=5, retry_delay_ms=0)
    with scene.client() as client:
        scene.until(lambda: client.zcount(LEASES, 0, time.time() - GO_LOOKS_AFTER_SECONDS) == 20, 60)
        assert client.zrangebyscore(LEASES, time.time(), math.inf) == [held]
    scene.start_go(concurrency=5, retry_delay_ms=0)
    scene.until(lambda: scene.crashes() == (0, 20))
    scene.title += f" (taken after {time.monotonic() - killed_at:.0f} s)"
    assert [run.end for run in scene.runs() if run.task == held] == [""]
    scene.drained()
    assert busy.said("Lost the lease") == 0
    verdict = scene.verdict()
    assert (verdict.done, verdict.runs) == (21, 41)
    assert {run.retried for run in scene.runs() if run.task in lost and run.end} == {1}


def test_neither_side_takes_tasks_of_the_other_early_though_our_clocks_are_wrong(scene_of: SceneMaker) -> None:
    scene = scene_of("15 (M): the clocks of two workers of ours are 90 s fast and slow, beside Go servers")
    scene.start(pretend={"CRASH_CLOCK_SKEW": "-90"}, settings={"concurrency": "10"}).ready()
    scene.enqueue(10, seconds=12)
    scene.running(10)
    go = scene.start_go(concurrency=5, tasks={"*": {"sleep_ms": 10_000}})
    scene.enqueue(5)
    scene.until(lambda: go.started() == 5)
    scene.start(pretend={"CRASH_CLOCK_SKEW": "90"}).ready()
    scene.start_go(concurrency=5)
    scene.drained()
    assert scene.crashes() == (0, 0)
    assert scene.verdict().runs == 15


def lapse(scene: Scene, alive: set[str]) -> None:
    """Time is made to pass: the leases of the dead ran out, ours 10 s ago, those of Go (whole seconds) 40 s ago."""
    now = math.floor(time.time())
    with scene.client() as client:
        leases = client.zrange(LEASES, 0, -1, withscores=True)
        dead = {task: now - 10 + 0.5 if end % 1 else now - 40 for task, end in leases if task not in alive}
        client.zadd(LEASES, dead, xx=True)


def test_recoverers_of_both_kinds_move_each_dead_task_once_and_none_that_runs(scene_of: SceneMaker) -> None:
    scene = scene_of("16 (M): 1,000 dead leases of ours and 1,000 of Go, both recoverers at once, slow broker")
    ours = scene.start(settings={"concurrency": "1000", "fetch_batch": "500"}).ready()
    gate = scene.gate()
    scene.enqueue(1000, gate=gate)
    scene.running(1000)
    theirs = scene.start_go(concurrency=1000, tasks={"*": {"sleep_ms": FOR_EVER_MS}})
    scene.enqueue(1000)
    scene.until(lambda: theirs.started() == 1000, 60)
    living = scene.start(settings={"concurrency": "220"}).ready()
    alive = set(scene.enqueue(20, gate=gate, seconds=15))
    scene.running(1020)
    ours.kill()
    theirs.kill()
    gate.touch()
    lapse(scene, alive)
    with scene.client() as client:
        scene.start_go(concurrency=20, retry_delay_ms=0)

        def recovered_slowly() -> bool:
            client.execute_command("CLIENT", "PAUSE", 5, "ALL")
            return sum(scene.crashes()) >= 2000

        scene.until(recovered_slowly, 60)
    scene.drained(90)
    by_us = living.said("lost its worker")
    scene.title += f" ({by_us} moved by us, {2000 - by_us} by Go)"
    verdict = scene.verdict()
    assert scene.crashes() == (1000, 1000)
    assert len([run for run in scene.runs() if run.task in alive]) == 20
    assert (verdict.done, verdict.runs) == (2020, 4020)


def test_an_old_worker_hands_a_new_type_on_although_go_servers_look_too(scene_of: SceneMaker) -> None:
    scene = scene_of("30 (M): a new type of task, half of our workers are old, a Go server knows it")
    quick = {"unknown_task_delay": "100ms"}
    old = scene.start(settings=quick, pretend={"CRASH_TYPES": "old"}).ready()
    scene.enqueue(30, "crash:spin", seconds=0, options={"max_retry": 0})
    scene.until(lambda: old.said("has no handler for the type"))
    scene.start_go(concurrency=5)
    scene.start(settings=quick).ready()
    scene.drained()
    verdict = scene.verdict()
    assert scene.crashes() == (0, 0)
    assert (verdict.done, verdict.runs, {run.retried for run in scene.runs()}) == (30, 30, {0})


def test_idle_old_workers_leave_a_new_type_to_a_go_server(scene_of: SceneMaker) -> None:
    scene = scene_of("30 (M): a type that only a Go server knows, and two idle workers of ours with default settings")
    for _ in range(2):
        scene.start(processes=1, quick=False, pretend={"CRASH_TYPES": "old"}).ready()
    scene.start_go(concurrency=5, task_check_ms=1000, tasks={"crash:spin": {"sleep_ms": 10}})
    for _ in range(3):
        scene.enqueue(10, "crash:spin", seconds=0, options={"max_retry": 0})
    scene.drained(90)  # by chance alone a Go server is first less often than that
    verdict = scene.verdict()
    assert scene.crashes() == (0, 0)
    assert (verdict.done, verdict.runs, {run.retried for run in scene.runs()}) == (30, 30, {0})


def test_a_success_that_could_not_be_written_is_written_later_and_runs_nowhere_else(wired: tuple[Scene, Proxy]) -> None:
    scene, proxy = wired
    scene.title = "21 (M): no memory for the outcomes of ours, a Go server has free slots"
    scene.start(proxy.url, settings={"lease": "30s"}).ready()
    gate = scene.gate()
    scene.enqueue(20, gate=gate)
    scene.running(20)
    go = scene.start_go(concurrency=20)
    with proxy.answering("OOM command not allowed when used memory > 'maxmemory'."):
        gate.touch()
        scene.ended(20)
        scene.enqueue(10)
        scene.until(lambda: go.started() == 10)
    scene.drained()
    verdict = scene.verdict()
    assert scene.crashes() == (0, 0)
    assert (verdict.done, verdict.runs) == (30, 30)


def test_the_tasks_of_a_killed_go_server_start_here_within_its_bar(scene_of: SceneMaker) -> None:
    scene = scene_of("1 (M): a Go server with 50 running tasks is killed, a worker of ours with default settings")
    go = scene.start_go(concurrency=50, tasks={"*": {"sleep_ms": FOR_EVER_MS}})
    tasks = scene.enqueue(50)
    scene.until(lambda: go.started() == 50)
    scene.start(processes=1, quick=False).ready()
    go.kill()
    killed_at = time.monotonic()
    scene.drained(90)
    again = scene.restarts(killed_at)
    assert (len(again), again[-1] <= GO_BAR_SECONDS) == (50, True), again
    # Asynq's rule: to lose its worker is a failure of the task.
    assert scene.crashes() == (0, 50)
    assert sorted((run.task, run.retried) for run in scene.runs() if run.end) == sorted((task, 1) for task in tasks)
    scene.title += f" (restarted after {again[-1]:.1f} s at most)"
    scene.verdict()
