"""The course of every scenario with an outage: tasks run into it, others come after it, each is recorded once."""

import time
from collections.abc import Callable

from tests.crash.scene import Scene

RESUME_SECONDS = 10.0


def through(scene: Scene, outage: Callable[[], None], url: str | None = None) -> None:
    """Let 50 tasks run into an outage, and 10 come after it. Ten of the first fail once."""
    scene.start(url, settings={"concurrency": "50"}).ready()
    scene.enqueue(40, seconds=1)
    scene.enqueue(10, seconds=1, fail=1)
    scene.running(50)
    outage()
    ended_at = time.monotonic()
    after = set(scene.enqueue(10))
    scene.until(lambda: len({run.task for run in scene.runs() if run.end == "ok"} & after) == 10)
    took = time.monotonic() - ended_at
    scene.drained()
    runs = scene.runs()
    assert took <= RESUME_SECONDS
    assert len(runs) == 70, "no task ran again but those that failed"
    scene.title += f" (fetching again after {took:.1f} s)"
    scene.verdict()
