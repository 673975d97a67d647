"""Celery on Redis: late acknowledgement, no results, a pool of threads in one process."""

from celery import Celery
from celery.signals import worker_ready

from benchmarks.board import mark
from benchmarks.contenders.blocking import BlockingProducer
from benchmarks.work import ready


def make(url: str, slots: int = 1) -> tuple[Celery, object]:
    """An application with its one task."""
    app = Celery("bench", broker=url)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=4,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_pool_limit=50,
        broker_transport_options={"max_connections": 200 + slots},
    )

    @app.task(name="bench.noop")
    def noop(n: int) -> None:
        mark(n)

    return app, noop


class Producer(BlockingProducer):
    """`delay`; there is no bulk call that is faster."""

    def __init__(self, url: str) -> None:
        self._app, self._noop = make(url)

    def enqueue(self, n: int) -> None:
        """Send one task."""
        self._noop.delay(n)


def work(url: str, slots: int, workers: int) -> None:
    """One worker with a thread for each slot."""
    app, _ = make(url, slots)
    worker_ready.connect(lambda **_: ready(), weak=False)
    quiet = ["--loglevel=CRITICAL", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    app.worker_main(["worker", f"--concurrency={slots}", "--pool=threads", *quiet])
