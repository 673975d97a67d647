"""The courses of every scenario with an outage: tasks run into it, or idle workers; others come after it."""

import time
from collections.abc import Callable

from tests.crash.scene import Scene

RESUME_SECONDS = 10.0
IDLE = 3
LEASE = "60s"
"""Longer than any outage, also where a machine takes its time to end it: a worker that lives keeps its tasks."""


def through(scene: Scene, outage: Callable[[], None], url: str | None = None) -> None:
    """Let 50 tasks run into an outage, and 10 come after it. Ten of the first fail once."""
    scene.start(url, settings={"concurrency": "50", "lease": LEASE}).ready()
    gate = scene.gate()
    scene.enqueue(40, gate=gate, seconds=1)
    scene.enqueue(10, gate=gate, seconds=1, fail=1)
    scene.running(50)
    gate.touch()
    outage()
    ended_at = time.monotonic()
    after = set(scene.enqueue(10))
    scene.drained()
    runs = scene.runs()
    took = max(run.ended for run in runs if run.task in after) - ended_at
    assert took <= RESUME_SECONDS
    assert len(runs) == 70, "no task ran again but those that failed"
    scene.title += f" (fetching again after {took:.1f} s)"
    scene.verdict()


def beside_idle(scene: Scene, outage: Callable[[], None], url: str | None = None) -> None:
    """Let an outage meet idle workers of one slot each. After it every one of them has to take one of as many tasks."""
    scene.start(url, processes=IDLE, settings={"concurrency": "1", "lease": LEASE}).ready()
    before = scene.enqueue(IDLE)
    scene.ended(IDLE)
    outage()
    ended_at = time.monotonic()
    gate = scene.gate()
    after = set(scene.enqueue(IDLE, gate=gate))
    scene.running(IDLE)
    took = max(run.start for run in scene.runs() if run.task in after) - ended_at
    gate.touch()
    scene.drained()
    assert len(scene.runs()) == len(before) + IDLE
    scene.title += f" (all at work after {took:.1f} s)"
    scene.verdict()
