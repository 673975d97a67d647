"""Scenarios 1 to 9 and 16: workers die."""

import statistics
import time

import pytest

from tests.crash.conftest import SceneMaker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

QUICK_BOUND_SECONDS = 12.0
"""Lease 5 s, slack 0.5 s, two looks of the recoverer, and what a busy machine may hold up a look and a run."""


def test_a_hundred_tasks_of_a_killed_child_run_again_within_seconds(scene_of: SceneMaker) -> None:
    scene = scene_of("1: 100 running tasks, SIGKILL of the child")
    first = scene.start(processes=1, settings={"concurrency": "100"}).ready()
    gate = scene.gate()
    scene.enqueue(100, gate=gate)
    scene.running(100)
    scene.start(processes=1, settings={"concurrency": "100"}).ready()
    first.kill_child()
    killed_at = time.monotonic()
    gate.touch()
    scene.drained()
    again = scene.restarts(killed_at)
    assert len(again) == 100
    assert (statistics.median(again) <= 1, again[-1] <= 3) == (True, True), again
    assert scene.crashes() == (100, 0)
    scene.title += f" (restarted after {statistics.median(again):.2f} s median, {again[-1]:.2f} s at most)"
    scene.verdict()


def test_the_tasks_of_a_lost_machine_run_again_elsewhere_with_no_retry_spent(scene_of: SceneMaker) -> None:
    scene = scene_of("3, 4: SIGKILL of supervisor and child after the new fleet started, time limit 8 h")
    first = scene.start(processes=1, settings={"concurrency": "50"}).ready()
    gate = scene.gate()
    scene.enqueue(50, gate=gate, options={"timeout": "8h", "max_retry": 0})
    scene.running(50)
    scene.start(processes=1, settings={"concurrency": "50"}).ready()
    first.kill()
    killed_at = time.monotonic()
    gate.touch()
    scene.drained()
    assert scene.restarts(killed_at)[-1] <= QUICK_BOUND_SECONDS
    assert scene.crashes()[1] == 0
    scene.verdict()


def test_with_the_default_settings_a_lost_machine_costs_45_seconds_at_most(scene_of: SceneMaker) -> None:
    scene = scene_of("1: loss of the whole group, default settings")
    many = {"concurrency": "100"}
    first = scene.start(processes=1, quick=False, settings=many).ready()
    gate = scene.gate()
    scene.enqueue(100, gate=gate)
    scene.running(100)
    scene.start(processes=1, quick=False, settings=many).ready()
    first.kill()
    killed_at = time.monotonic()
    gate.touch()
    scene.drained(90)
    again = scene.restarts(killed_at)
    assert len(again) == 100
    assert again[-1] <= 45
    assert scene.crashes() == (100, 0)
    scene.title += f" (restarted after {again[-1]:.1f} s at most)"
    scene.verdict()


def test_a_worker_with_the_host_and_process_id_of_a_dead_one_takes_over_its_tasks(scene_of: SceneMaker) -> None:
    scene = scene_of("2: the only worker is killed and started again with the same host and pid")
    first = scene.start(pretend={"CRASH_PID": "7"}).ready()
    gate = scene.gate()
    scene.enqueue(20, gate=gate)
    scene.running(20)
    first.kill()
    gate.touch()
    scene.start(pretend={"CRASH_PID": "7"})
    scene.drained()
    assert scene.crashes() == (20, 0)
    scene.verdict()


def test_the_death_of_the_one_who_recovers_holds_up_nobody(scene_of: SceneMaker) -> None:
    scene = scene_of("5, 8: whoever recovers is killed in the middle of it")
    first = scene.start().ready()
    gate = scene.gate()
    scene.enqueue(20, gate=gate)
    scene.running(20)
    first.kill()
    gate.touch()
    fault, mark = scene.fault("recover:send", "kill")
    scene.start(faults=fault)
    scene.note_mark(mark)
    scene.start().ready()
    ready_at = time.monotonic()
    scene.drained()
    assert scene.restarts(ready_at)[-1] <= QUICK_BOUND_SECONDS
    scene.verdict()


def test_a_task_that_takes_its_worker_down_each_time_is_quarantined_and_the_others_run(scene_of: SceneMaker) -> None:
    scene = scene_of("7: a task that kills its worker every time")
    scene.enqueue(1, seconds=1, die="SIGKILL")
    scene.enqueue(50)
    scene.start(processes=1)
    scene.ended(50)
    with scene.client() as client:
        scene.until(lambda: client.zcard("asynq:{default}:archived") == 1)
        assert client.hmget("asynq:{default}:t:t0", "rota_end", "rota_crashes") == ["quarantined", "3"]
    verdict = scene.verdict()
    assert (verdict.done, verdict.archived) == (50, 1)


def test_five_thousand_dead_leases_are_recovered_once_by_two_recoverers_of_a_slow_broker(scene_of: SceneMaker) -> None:
    scene = scene_of("16: 5,000 expired leases, two recoverers, slow broker")
    first = scene.start(settings={"concurrency": "5000", "fetch_batch": "500"}).ready()
    gate = scene.gate()
    scene.enqueue(5000, gate=gate)
    scene.running(5000)
    first.kill()
    gate.touch()
    with scene.client() as client:
        for workers in [scene.start(settings={"concurrency": "200"}) for _ in range(2)]:
            workers.ready()

        def recovered_slowly() -> bool:
            client.execute_command("CLIENT", "PAUSE", 5, "ALL")
            return scene.crashes()[0] == 5000

        scene.until(recovered_slowly)
    scene.drained(90)
    assert scene.crashes() == (5000, 0)
    scene.verdict()


def test_in_a_fleet_with_go_the_tasks_of_a_dead_worker_of_ours_cost_no_retry(scene_of: SceneMaker) -> None:
    scene = scene_of("1 (M): a worker of ours is killed beside a Go server")
    first = scene.start(settings={"concurrency": "50"}).ready()
    gate = scene.gate()
    scene.enqueue(50, gate=gate)
    scene.running(50)
    scene.start_go(concurrency=5)
    scene.start().ready()
    first.kill()
    killed_at = time.monotonic()
    gate.touch()
    scene.drained()
    assert scene.restarts(killed_at)[-1] <= QUICK_BOUND_SECONDS
    assert scene.crashes() == (50, 0)
    scene.verdict()
