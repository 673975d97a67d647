"""Scenarios 26 to 30: workers are asked to stop, and replaced."""

import os
import signal

import pytest

from tests.crash.conftest import SceneMaker
from tests.crash.proxy import Proxy
from tests.crash.scene import Scene

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DEPLOYS = int(os.environ.get("CRASH_DEPLOYS", "8"))
"""200 for the whole truth."""


def test_a_stop_lets_short_tasks_end_and_hands_long_ones_back_once_they_have_ended(scene_of: SceneMaker) -> None:
    scene = scene_of("26, 28: TERM with tasks that wait, end in time, and do not")
    first = scene.start(settings={"concurrency": "20", "shutdown_timeout": "6s"}).ready()
    soon, late = scene.gate(), scene.gate()
    short = set(scene.enqueue(10, gate=soon, seconds=1))
    long = set(scene.enqueue(10, gate=late, options={"max_retry": 0}))
    scene.running(20)
    waiting = set(scene.enqueue(10))
    soon.touch()
    first.terminate()
    scene.start().ready()
    assert first.process.wait(20) == 0
    late.touch()
    scene.drained()
    runs = scene.runs()
    assert all([run.end for run in runs if run.task == task] == ["ok"] for task in short | waiting)
    assert all([run.end for run in runs if run.task == task] == ["cancelled", "ok"] for task in long)
    assert {run.retried for run in runs} == {0}
    scene.verdict()


def test_tasks_in_a_reply_that_is_under_way_at_the_stop_are_handed_back(wired: tuple[Scene, Proxy]) -> None:
    scene, proxy = wired
    scene.title = "27: TERM while the reply of a fetch is under way"
    scene.enqueue(20, seconds=0.2)
    fault, mark = scene.fault("fetch:send", "freeze")
    # Longer than it takes to see that it stops.
    first = scene.start(proxy.url, faults=fault, settings={"response_timeout": "30s"})
    pid, at = scene.note_mark(mark)
    scene.note("freeze", pid=pid, at=at)
    with proxy.holding():
        first.send(signal.SIGTERM, pid)
        first.thaw(pid)
        scene.until(lambda: first.said("Stopping: the worker takes no more tasks"))
    assert first.process.wait(20) == 0
    assert scene.waiting() == {"pending": 20, "scheduled": 0, "retry": 0, "active": 0}
    assert scene.runs() == []
    scene.start()
    scene.drained()
    scene.verdict()


def test_rolling_deploys_under_load_lose_double_and_cost_nothing(scene_of: SceneMaker) -> None:
    scene = scene_of(f"29: {DEPLOYS} rolling deploys under load")
    # No task takes as long, not on a busy machine either: whoever is stopped lets all of them end.
    settings = {"shutdown_timeout": "8s", "concurrency": "100"}
    current = scene.start(processes=1, settings=settings).ready()
    producer = scene.produce(0.1, 29)
    for _ in range(DEPLOYS):
        following = scene.start(processes=1, settings=settings).ready()
        current.terminate()
        scene.workers.remove(current)
        assert current.process.wait(20) == 0
        current = following
    producer.terminate()
    producer.wait()
    scene.drained()
    verdict = scene.verdict()
    assert verdict.accepted > 20 * DEPLOYS
    assert (verdict.archived, verdict.queued, verdict.again) == (0, 0, 0)


def test_an_old_worker_hands_back_what_it_does_not_know(scene_of: SceneMaker) -> None:
    scene = scene_of("30: a new type of task while half of the fleet is old")
    quick = {"unknown_task_delay": "100ms"}
    old = scene.start(settings=quick, pretend={"CRASH_TYPES": "old"}).ready()
    scene.enqueue(30, "crash:spin", seconds=0, options={"max_retry": 0})
    scene.until(lambda: old.said("has no handler for the type"))
    scene.start(settings=quick).ready()
    scene.drained()
    assert {run.retried for run in scene.runs()} == {0}
    with scene.client() as client:
        assert client.get("asynq:{default}:failed") is None
    scene.verdict()
