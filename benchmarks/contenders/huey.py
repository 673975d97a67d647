"""Huey on Redis: a task leaves the list when it is taken, so a crash loses it; blocking pop, threads in one process."""

from typing import Any

from huey import RedisHuey

from benchmarks.board import mark
from benchmarks.contenders.blocking import BlockingProducer
from benchmarks.work import ready


def make(url: str, slots: int = 50) -> tuple[RedisHuey, Any]:
    """A queue with its one task."""
    huey = RedisHuey("bench", url=url, results=False, blocking=True)

    @huey.task(name="noop")
    def noop(n: int) -> None:
        mark(n)

    return huey, noop


class Producer(BlockingProducer):
    """Calling the task enqueues it; there is no bulk call."""

    def __init__(self, url: str) -> None:
        self._huey, self._noop = make(url)

    def enqueue(self, n: int) -> None:
        """Send one task."""
        self._noop(n)


def work(url: str, slots: int, workers: int) -> None:
    """A consumer with a thread for each slot of each worker."""
    huey, _ = make(url, slots)
    consumer = huey.create_consumer(workers=slots * workers, worker_type="thread", periodic=False)
    ready()
    consumer.run()
