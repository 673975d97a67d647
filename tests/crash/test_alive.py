"""Scenarios 10 to 17: workers that are slow, frozen or of another time, but alive."""

import signal
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.crash.conftest import SceneMaker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

LONGER_THAN_A_LEASE_SECONDS = 8.0
CLOCKS_DIFFER_SECONDS = 90


@pytest.mark.parametrize(
    ("number", "type", "processes"),
    [
        ("10: a loop in Python", "crash:spin", 0),
        ("11: a blocked event loop", "crash:block", 0),
        ("12: C code that keeps the interpreter", "crash:gil", 1),
    ],
    ids=["spin", "block", "gil"],
)
def test_what_holds_the_interpreter_keeps_its_lease_and_that_of_its_neighbours(
    scene_of: SceneMaker, number: str, type: str, processes: int
) -> None:
    scene = scene_of(f"{number}, longer than its lease")
    busy = scene.start(processes=processes).ready()
    gate = scene.gate()
    scene.enqueue(5, gate=gate)
    scene.running(5)
    scene.enqueue(1, type, seconds=LONGER_THAN_A_LEASE_SECONDS)
    scene.running(6)
    scene.start().ready()
    scene.ended(1)
    gate.touch()
    scene.ended(6)
    assert len(scene.runs()) == 6
    assert busy.said("Lost the lease") == 0
    scene.drained()
    scene.verdict()


def test_what_holds_the_interpreter_of_a_process_of_its_own_outlives_the_supervisor_and_runs_once(
    scene_of: SceneMaker,
) -> None:
    scene = scene_of("12: C code that keeps the interpreter of a process of its own, SIGKILL of the supervisor")
    orphans = scene.start(processes=1, settings={"shutdown_timeout": "20s"}).ready()
    scene.enqueue(1, "crash:process", hold=LONGER_THAN_A_LEASE_SECONDS)
    scene.running(1)
    orphans.send(signal.SIGKILL, orphans.pid)
    scene.start().ready()
    scene.drained()
    assert scene.verdict().runs == 1


def test_a_delayed_task_that_runs_for_several_leases_runs_once(scene_of: SceneMaker) -> None:
    scene = scene_of("13: delayed, then longer than two leases")
    scene.enqueue(10, seconds=12, options={"delay": "1s"})
    scene.start().ready()
    scene.start().ready()
    scene.ended(10)
    scene.drained()
    assert len(scene.verdict().doubled) == 0
    assert len(scene.runs()) == 10


def test_a_frozen_worker_that_wakes_up_can_record_nothing(scene_of: SceneMaker) -> None:
    scene = scene_of("14: SIGSTOP, recovery elsewhere, SIGCONT")
    frozen = scene.start().ready()
    scene.enqueue(10, seconds=6)
    scene.running(10)
    pid = frozen.freeze()
    scene.start().ready()
    scene.running(20)
    frozen.thaw(pid)
    scene.until(lambda: frozen.said("Late result") + frozen.said("Lost the lease") >= 10)
    scene.drained()
    verdict = scene.verdict()
    assert (verdict.done, verdict.runs) == (10, 20)


def test_a_worker_that_froze_before_its_tasks_began_begins_none_that_ran_elsewhere(scene_of: SceneMaker) -> None:
    scene = scene_of("14: SIGSTOP between taking and running, recovery elsewhere, SIGCONT")
    scene.enqueue(10)
    fault, mark = scene.fault("fetch:answered", "freeze")
    frozen = scene.start(faults=fault)
    pid, at = scene.note_mark(mark)
    scene.note("freeze", pid=pid, at=at)
    scene.start().ready()
    scene.ended(10)
    frozen.thaw(pid)
    scene.until(lambda: frozen.said("not begun, since its lease had run out") == 10)
    scene.drained()
    assert scene.verdict().runs == 10


def test_clocks_that_differ_take_no_task_away(scene_of: SceneMaker) -> None:
    scene = scene_of("15: the clock of one machine is 90 s fast, of another 90 s slow")
    scene.start(pretend={"CRASH_CLOCK_SKEW": f"-{CLOCKS_DIFFER_SECONDS}"}).ready()
    scene.enqueue(10, seconds=LONGER_THAN_A_LEASE_SECONDS)
    scene.running(10)
    scene.start(pretend={"CRASH_CLOCK_SKEW": f"{CLOCKS_DIFFER_SECONDS}"}).ready()
    delayed_at = time.monotonic()
    scene.enqueue(5, options={"delay": "2s"})
    scene.drained()
    late = [run.start - delayed_at for run in scene.runs() if run.start > delayed_at]
    assert len(scene.runs()) == 15
    assert 2 <= min(late) <= max(late) <= CLOCKS_DIFFER_SECONDS / 3
    scene.verdict()


def test_a_thousand_tasks_due_at_once_run_once_although_the_broker_stops_in_between(scene_of: SceneMaker) -> None:
    scene = scene_of("17: 1,000 delayed tasks due in one second, the broker pauses")
    plans = [
        scene.app.plan("crash:loop", {}, task_id=f"d{n}", process_at=datetime.now(UTC) + timedelta(seconds=3))
        for n in range(1000)
    ]
    scene.send(plans)
    for _ in range(2):
        scene.start(processes=2, settings={"concurrency": "12"}).ready(2)
    scene.ended(100)
    scene.silence(1)
    scene.drained()
    assert len(scene.runs()) == 1000
    scene.verdict()
