"""Every fault point is visited: with a kill, a freeze, and where a reply comes, its loss. No task is lost by any."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.crash.conftest import SceneMaker, open_scene
from tests.crash.fault_points import cases, points
from tests.crash.scene import Scene
from tests.crash.workers import ROOT

pytestmark = pytest.mark.slow

FROZEN_SECONDS = 7.5
"""The lease, its slack, and two looks of the recoverer, so that others have what a frozen process held."""
FROZEN_AT_ONCE = 8
YOUNG_SECONDS = 4.0
DRAIN_SECONDS = 120.0
"""Twenty tasks with their last chance begin one every two seconds."""


def plain(scene: Scene, **hit: Any) -> None:
    """Tasks wait when the worker starts, and run through several heartbeats."""
    scene.enqueue(30, seconds=0.8)
    scene.start(**hit)


def unanswered(scene: Scene, **hit: Any) -> None:
    """The reply to the first fetch is lost, so that its tasks have to be found again."""
    lost, _ = scene.fault("fetch:answered", "drop")
    plain(scene, **{**hit, "faults": f"{lost},{hit['faults']}"})


def delayed(scene: Scene, **hit: Any) -> None:
    """Tasks are due again and again while the only slot is taken: that is when the forwarder moves them."""
    gate = scene.gate()
    scene.start(**hit, settings={"concurrency": "1"})
    scene.enqueue(1, gate=gate)
    scene.running(1)
    scene.enqueue(30, options={"delay": "1s"})
    with scene.client() as client:
        scene.until(lambda: not client.exists("asynq:{default}:scheduled"))
    gate.touch()


def kept(scene: Scene, **hit: Any) -> None:
    """Results are kept for a second, and then cleaned away."""
    scene.enqueue(30, "crash:result", options={"retention": "1s"})
    scene.start(**hit)
    scene.ended(30)
    with scene.client() as client:
        scene.until(lambda: not client.exists("asynq:{default}:completed"))


def orphaned(scene: Scene, **hit: Any) -> None:
    """A whole machine has gone, and another one recovers what ran there."""
    gate = scene.gate()
    scene.enqueue(20, gate=gate)
    gone = scene.start().ready()
    scene.running(20)
    gone.kill()
    gate.touch()
    scene.start(**hit)


def grouped(scene: Scene, **hit: Any) -> None:
    """A group is aggregated. Time is made to pass: a set whose aggregation died is two minutes old."""
    members(scene)
    scene.start(**hit)
    aggregated(scene)


def members(scene: Scene, **order: Any) -> None:
    scene.enqueue(20, "crash:member", options={"group": "g"}, **order)


def aggregated(scene: Scene) -> None:
    """Wait for the end of a group, whose sets are aged as soon as an aggregation has gone wrong.

    A set that is younger than `YOUNG_SECONDS` may still be at work, and is left alone: on a busy machine the sets of
    the second worker were taken from it again and again.
    """
    seen: dict[str, float] = {}
    with scene.client() as client:

        def age() -> bool:
            wrong = sum(each.said("stops until later") + each.said("failed for group") for each in scene.workers)
            if wrong or sum(each.said("is ready with") for each in scene.workers) > 1:
                aged(client, seen)
            return len([run for run in scene.runs() if run.end == "ok"]) >= 20

        scene.until(age)
        scene.until(lambda: not client.exists("asynq:{default}:groups", "rota:{default}:spent"))


def aged(client: redis.Redis, seen: dict[str, float], young_seconds: float = YOUNG_SECONDS) -> None:
    """Let the two minutes be over that an aggregation may take."""
    now = time.monotonic()
    names = client.zrange("asynq:{default}:aggregation_sets", 0, -1)
    for name in [name for name in names if now - seen.setdefault(name, now) > young_seconds]:
        client.zadd("asynq:{default}:aggregation_sets", {name: 0}, xx=True)


def sorted_out(scene: Scene, **hit: Any) -> None:
    """A group lists a task that is gone."""
    members(scene)
    with scene.client() as client:
        client.zadd("asynq:{default}:g:g", {"gone": 1})
    scene.start(**hit)
    aggregated(scene)


def failing(scene: Scene, **hit: Any) -> None:
    """The first aggregation of a group fails."""
    members(scene, fail_once=str(scene.folder / "failed"))
    scene.start(**hit)
    aggregated(scene)


def interrupted(scene: Scene, **hit: Any) -> None:
    """The worker is stopped in the middle of an aggregation, and another one takes the group."""
    gate = scene.gate()
    members(scene, gate=gate)
    first = scene.start(faults=hit["faults"])
    scene.until(lambda: any(line["what"] == "joining" for line in scene.ledger.lines()))
    first.terminate()
    first.process.wait()
    gate.touch()
    scene.start()
    aggregated(scene)


def half_grouped(scene: Scene, **hit: Any) -> None:
    """An aggregation dies, and the fault comes when its set is put back."""
    taken, mark = scene.fault("aggregate:taken", "kill")
    members(scene)
    first = scene.start(faults=taken)
    scene.note_mark(mark)
    first.process.wait()
    with scene.client() as client:
        aged(client, {}, young_seconds=-1)
    scene.start(**hit)
    scene.ended(20)


def child_died(scene: Scene, **hit: Any) -> None:
    """A worker process dies, and its supervisor is hit while it gives its tasks back."""
    gate = scene.gate()
    scene.enqueue(20, gate=gate)
    first = scene.start(**{**hit, "processes": 1}).ready()
    scene.running(20)
    first.kill_child()
    gate.touch()
    scene.start(processes=1)


def held(scene: Scene, **hit: Any) -> None:
    """A process does not let its interpreter go, and its supervisor is hit while it keeps the leases."""
    # A supervisor that is gone keeps nothing: longer than a lease would be the limit that the guarantees name.
    seconds, lease = (8, "5s") if "=drop" in hit["faults"] else (4, "15s")
    gate = scene.gate()
    scene.enqueue(5, gate=gate)
    scene.start(**{**hit, "processes": 1}, settings={"lease": lease})
    scene.running(5)
    scene.enqueue(1, "crash:gil", seconds=seconds)
    scene.running(6)
    gate.touch()
    scene.start()


def damaged(scene: Scene, **hit: Any) -> None:
    """A task of a worker that is gone has lost its lease too."""
    tasks = scene.enqueue(10)
    scene.note("damaged", task=tasks[0])
    with scene.client() as client:
        client.lrem("asynq:{default}:pending", 0, tasks[0])
        client.lpush("asynq:{default}:active", tasks[0])
        client.hset(f"asynq:{{default}}:t:{tasks[0]}", mapping={"state": "active", "rota_token": "gone"})
    scene.start(**hit)
    scene.ended(10)


SCENES: dict[str, Callable[..., None]] = {
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
    "aggregate:read": grouped,
    "aggregate:members": grouped,
    "aggregate:sort": sorted_out,
    "aggregate:sorted": sorted_out,
    "aggregate:fail": failing,
    "aggregate:failed": failing,
    "aggregate:return": interrupted,
    "aggregate:returned": interrupted,
    "sweep:look": plain,
    "sweep:seen": plain,
    "reconcile:send": damaged,
    "reconcile:answered": damaged,
    "return:send": child_died,
    "return:answered": child_died,
    "keep:send": held,
    "keep:answered": held,
}


def test_every_point_in_the_code_has_a_scene_and_the_other_way_round() -> None:
    assert sorted(point for point, _ in points()) == sorted(SCENES)


def test_every_point_is_in_the_docs() -> None:
    text = Path(ROOT / "docs" / "reliability.md").read_text()
    assert [point for point in SCENES if f"`{point}`" not in text] == []


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("point", "act"), sorted(cases()))
def test_nothing_is_lost_or_doubled_by_a_fault(scene_of: SceneMaker, point: str, act: str) -> None:
    number = "22:" if (point, act) == ("record:answered", "drop") else "9:"
    scene = scene_of(f"{number} {act} at {point}")
    fault, mark = scene.fault(point, act)
    SCENES[point](scene, faults=fault, processes=1)
    scene.note_mark(mark)
    scene.drained(DRAIN_SECONDS)
    scene.verdict()


def thaw(scene: Scene, mark: Path) -> None:
    """Let somebody else go on with what a process holds that froze, then let it go on too."""
    pid, at = scene.note_mark(mark)
    scene.note("freeze", pid=pid, at=at)
    scene.start().ready()
    time.sleep(max(0.0, at + FROZEN_SECONDS - time.monotonic()))
    scene.note("thaw", pid=pid)
    os.kill(pid, signal.SIGCONT)


def freeze(point: str, folder: Path) -> None:
    """Play the scene of a point without a supervisor, which would keep the leases of a frozen process."""
    with ExitStack() as stack:
        scene = open_scene(stack, f"14: freeze at {point}", folder / point.replace(":", "-"))
        fault, mark = scene.fault(point, "freeze")
        with ThreadPoolExecutor(1) as aside:
            thawed = aside.submit(thaw, scene, mark)
            SCENES[point](scene, faults=fault, processes=0)
            thawed.result()
        scene.drained(DRAIN_SECONDS)
        scene.verdict()


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_by_a_freeze_for_longer_than_a_lease(tmp_path: Path) -> None:
    # Nearly all of their time is waiting, so they wait together.
    with ThreadPoolExecutor(FROZEN_AT_ONCE) as pool:
        played = {point: pool.submit(freeze, point, tmp_path) for point in SCENES}
    assert {point: error for point, future in played.items() if (error := future.exception()) is not None} == {}
