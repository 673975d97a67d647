"""Scenarios 10 to 14 with the real times and the default settings: `CRASH_LONG=1 python -m pytest tests/crash`."""

import time

import pytest

from tests.crash.conftest import SceneMaker
from tests.crash.scene import Scene
from tests.crash.workers import Workers
from tests.servers.process import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TEN_MINUTES, FIVE_MINUTES = 600.0, 300.0


def busy(scene: Scene, type: str, seconds: float) -> Workers:
    """A fleet of one process that runs five short tasks and one that lets none of them go on."""
    running = sum(not run.end for run in scene.runs())
    workers = scene.start(processes=1, quick=False).ready()
    scene.enqueue(5, seconds=10)
    scene.running(running + 5)
    scene.enqueue(1, type, seconds=seconds)
    scene.running(running + 6)
    return workers


def passes(seconds: float) -> None:
    """Wait until so much time is over."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= until, seconds + 1)


def test_what_holds_the_interpreter_for_ten_minutes_keeps_its_lease(scene_of: SceneMaker) -> None:
    scene = scene_of(
        "10, 11, 12: 10 min of C code that keeps the interpreter, 5 min of a blocked loop, 10 min of a loop"
    )
    # In this order nothing is taken by a process that is busy: the first two take nothing more.
    fleets = [
        busy(scene, type, seconds)
        for type, seconds in (("crash:gil", TEN_MINUTES), ("crash:block", FIVE_MINUTES), ("crash:spin", TEN_MINUTES))
    ]
    scene.start(processes=1, quick=False).ready()
    scene.ended(18, TEN_MINUTES + 60)
    scene.drained()
    assert len(scene.runs()) == 18
    assert [fleet.said("Lost the lease") for fleet in fleets] == [0, 0, 0]
    scene.verdict()


def test_a_process_frozen_for_five_minutes_keeps_its_tasks_while_its_supervisor_lives(scene_of: SceneMaker) -> None:
    scene = scene_of("14: SIGSTOP of a worker process for 5 min, its supervisor lives, an idle fleet beside")
    fleet = scene.start(processes=1, quick=False).ready()
    scene.enqueue(1, seconds=5)  # time enough to tell the supervisor that it is ready
    scene.ended(1)
    scene.enqueue(20, seconds=10)
    scene.running(20)
    pid = fleet.freeze()
    scene.start(processes=1, quick=False).ready()
    passes(FIVE_MINUTES)
    assert len(scene.runs()) == 21
    fleet.thaw(pid)
    scene.drained()
    assert fleet.said("so the supervisor extends its leases") == 1
    assert len(scene.runs()) == 21
    assert scene.verdict().done == 21


def test_a_group_frozen_for_five_minutes_can_record_nothing(scene_of: SceneMaker) -> None:
    scene = scene_of("14: SIGSTOP of supervisor and process for 5 min, recovery elsewhere, SIGCONT")
    frozen = scene.start(processes=1, quick=False).ready()
    # The second runs of the first ten are over at the SIGCONT, those of the others go on.
    scene.enqueue(10, seconds=60)
    scene.enqueue(10, seconds=FIVE_MINUTES - 10)
    scene.running(20)
    pids = [*frozen.children(), frozen.pid]
    for pid in pids:
        frozen.freeze(pid)
    frozen_at = time.monotonic()
    scene.start(processes=1, quick=False).ready()
    scene.running(40, 60)
    passes(frozen_at + FIVE_MINUTES - time.monotonic())
    for pid in pids:
        frozen.thaw(pid)
    scene.until(lambda: frozen.said("Late result") + frozen.said("Lost the lease") >= 20)
    scene.drained(90)
    verdict = scene.verdict()
    assert (verdict.done, verdict.runs) == (20, 40)
