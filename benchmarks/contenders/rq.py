"""RQ: a worker runs one job at a time, here without a fork for each (SimpleWorker); results are not kept."""

from redis import Redis
from rq import Queue, SimpleWorker

from benchmarks.board import mark
from benchmarks.contenders.blocking import BlockingProducer
from benchmarks.work import ready


class Producer(BlockingProducer):
    """`enqueue`, and `enqueue_many` in one pipeline."""

    def __init__(self, url: str) -> None:
        self._queue = Queue(connection=Redis.from_url(url))

    def enqueue(self, n: int) -> None:
        """Send one job."""
        self._queue.enqueue(mark, n, result_ttl=0)

    def enqueue_many(self, numbers: range) -> None:
        """Send many in pipelines of 500."""
        for at in range(0, len(numbers), 500):
            self._queue.enqueue_many([Queue.prepare_data(mark, (n,), result_ttl=0) for n in numbers[at : at + 500]])


def work(url: str, slots: int, workers: int) -> None:
    """One job at a time, whatever `slots` says."""
    connection = Redis.from_url(url)
    ready()
    SimpleWorker([Queue(connection=connection)], connection=connection).work(logging_level="CRITICAL")
