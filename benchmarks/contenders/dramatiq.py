"""Dramatiq on Redis: acknowledged after the run, its default middleware without Prometheus, threads in one process."""

import threading

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.board import mark
from benchmarks.contenders.blocking import BlockingProducer
from benchmarks.work import ready


def make(url: str, slots: int = 50) -> "dramatiq.Actor[..., None]":
    """The actor on its broker."""
    broker = RedisBroker(url=url, max_connections=slots + 20)
    dramatiq.set_broker(broker)

    @dramatiq.actor(actor_name="noop")
    def noop(n: int) -> None:
        mark(n)

    return noop


class Producer(BlockingProducer):
    """`send`; there is no bulk call."""

    def __init__(self, url: str) -> None:
        self._noop = make(url)

    def enqueue(self, n: int) -> None:
        """Send one message."""
        self._noop.send(n)


def work(url: str, slots: int, workers: int) -> None:
    """What each process of Dramatiq's command runs: one worker with a thread for each slot."""
    noop = make(url, slots)
    dramatiq.Worker(noop.broker, worker_threads=slots).start()
    ready()
    threading.Event().wait()
