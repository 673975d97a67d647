"""Every fault point is visited: with a kill, and where a reply comes, with its loss. No task is lost by it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.conftest import SceneMaker
from tests.crash.fault_points import cases, points
from tests.crash.scene import Scene
from tests.crash.workers import ROOT

pytestmark = pytest.mark.slow


def plain(scene: Scene, faults: str) -> None:
    """Tasks wait when the worker starts, and run through several heartbeats."""
    scene.enqueue(30, seconds=0.8)
    scene.start(processes=1, faults=faults)


def unanswered(scene: Scene, faults: str) -> None:
    """The reply to the first fetch is lost, so that its tasks have to be found again."""
    lost, _ = scene.fault("fetch:answered", "drop")
    plain(scene, f"{lost},{faults}")


def delayed(scene: Scene, faults: str) -> None:
    """Tasks are due again and again while the only slot is taken: that is when the forwarder moves them."""
    scene.enqueue(1, seconds=1.5)
    scene.enqueue(30, options={"delay": "1s"})
    scene.start(processes=1, faults=faults, settings={"concurrency": "1"})


def kept(scene: Scene, faults: str) -> None:
    """Results are kept for a second, and then cleaned away."""
    scene.enqueue(30, "crash:result", options={"retention": "1s"})
    scene.start(processes=1, faults=faults)
    scene.ended(30)
    with scene.client() as client:
        scene.until(lambda: not client.exists("asynq:{default}:completed"))


def orphaned(scene: Scene, faults: str) -> None:
    """A whole machine has gone, and another one recovers what ran there."""
    scene.enqueue(20, seconds=0.5)
    gone = scene.start().ready()
    scene.running(20)
    gone.kill()
    scene.start(processes=1, faults=faults)


def grouped(scene: Scene, faults: str) -> None:
    """A group is aggregated. Time is made to pass: a set whose aggregation died is two minutes old."""
    scene.enqueue(20, "crash:member", options={"group": "g"})
    workers = scene.start(processes=1, faults=faults)
    with scene.client() as client:

        def age() -> bool:
            for name in client.zrange("asynq:{default}:aggregation_sets", 0, -1):
                if workers.said("is ready with") > 1 or workers.said("stops until later"):
                    client.zadd("asynq:{default}:aggregation_sets", {name: 0}, xx=True)
            return len([run for run in scene.runs() if run.end == "ok"]) >= 20

        scene.until(age, 40)
        scene.until(lambda: not client.exists("asynq:{default}:groups", "rota:{default}:spent"), 20)


def half_grouped(scene: Scene, faults: str) -> None:
    """An aggregation dies, and the fault comes when its set is put back."""
    taken, mark = scene.fault("aggregate:taken", "kill")
    scene.enqueue(20, "crash:member", options={"group": "g"})
    first = scene.start(faults=taken)
    scene.note_mark(mark)
    first.process.wait()
    with scene.client() as client:
        [name] = client.zrange("asynq:{default}:aggregation_sets", 0, -1)
        client.zadd("asynq:{default}:aggregation_sets", {name: 0}, xx=True)
    scene.start(processes=1, faults=faults)
    scene.ended(20)


def child_died(scene: Scene, faults: str) -> None:
    """A worker process dies, and its supervisor is hit while it gives its tasks back."""
    scene.enqueue(20, seconds=0.8)
    first = scene.start(processes=1, faults=faults).ready()
    scene.running(20)
    first.kill_child()
    scene.start(processes=1)


def damaged(scene: Scene, faults: str) -> None:
    """The list of delayed tasks has lost one of them."""
    scene.enqueue(10, options={"delay": "3s"})
    with scene.client() as client:
        client.zrem("asynq:{default}:scheduled", "t0")
        scene.start(processes=1, faults=faults)
        scene.ended(10)


SCENES: dict[str, Callable[[Scene, str], None]] = {
    "fetch:send": plain,
    "fetch:answered": plain,
    "fetch:reclaim": unanswered,
    "fetch:reclaimed": unanswered,
    "run:start": plain,
    "run:end": plain,
    "record:send": plain,
    "record:answered": plain,
    "lease:send": plain,
    "lease:answered": plain,
    "forward:send": delayed,
    "forward:answered": delayed,
    "clean:send": kept,
    "clean:answered": kept,
    "recover:send": orphaned,
    "recover:answered": orphaned,
    "recover:sets": half_grouped,
    "recover:sets-answered": half_grouped,
    "aggregate:take": grouped,
    "aggregate:taken": grouped,
    "aggregate:end": grouped,
    "aggregate:ended": grouped,
    "aggregate:spend": grouped,
    "aggregate:spent": grouped,
    "sweep:look": plain,
    "sweep:seen": plain,
    "reconcile:send": damaged,
    "reconcile:answered": damaged,
    "return:send": child_died,
    "return:answered": child_died,
}


def test_every_point_in_the_code_has_a_scene_and_the_other_way_round() -> None:
    assert sorted(point for point, _ in points()) == sorted(SCENES)


def test_every_point_is_in_the_docs() -> None:
    text = Path(ROOT / "docs" / "reliability.md").read_text()
    assert [point for point in SCENES if f"`{point}`" not in text] == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("point", "act"), sorted(cases()))
def test_nothing_is_lost_or_doubled_by_a_fault(scene_of: SceneMaker, point: str, act: str) -> None:
    number = "22:" if (point, act) == ("record:answered", "drop") else "9:"
    scene = scene_of(f"{number} {act} at {point}")
    fault, mark = scene.fault(point, act)
    SCENES[point](scene, fault)
    scene.note_mark(mark)
    scene.drained()
    scene.verdict()
