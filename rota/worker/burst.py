"""Burst: a worker that stops when its queues are empty, for cron jobs and pipelines (`rota worker --burst`).

Empty means, in all queues that the worker serves: no task is pending, none is running, here or in another worker, and
none is due. The steps of one look:

1. While this worker holds a task, there is nothing to ask: the task may enqueue another one.
2. Find new queues that match a pattern, since a task may have made one.
3. Ask the server. A task that another worker took from the list is active there, so no task is overlooked.

Tasks for later (delayed, to be retried, in a group that still gathers) and tasks in paused queues stay. So does a task
that no worker here has a handler for, once it is put off. A task that this worker has put off because its type runs
with limited concurrency is waited for.
"""

import asyncio
import logging
import time

from rota.broker.broker import Broker
from rota.core.text import counted
from rota.errors import BrokerError, BrokerRefused
from rota.wire.work_left import WorkLeft, work_left
from rota.worker.worker import Worker

logger = logging.getLogger("rota.worker")

LOOK_SECONDS = 0.1
PUT_OFF_MARGIN_SECONDS = 2.0
"""How long after its time a task that was put off may need to be pending again."""


async def stop_when_empty(worker: Worker) -> bool:
    """Stop the worker when its queues are empty. Returns True then, and False if it was stopped before."""
    while not worker.ready.is_set():
        if worker.stopping:
            return False
        await asyncio.sleep(LOOK_SECONDS)
    broker = worker.app.connect(worker.settings)
    try:
        while not worker.stopping:
            left = await _look(worker, broker)
            if left is not None and left.now == 0 and not worker.stopping:
                later = f"; {counted(left.later, 'task')} for later or in paused queues" if left.later else ""
                logger.info("Nothing is left to run now%s. The worker stops.", later)
                worker.stop()
                return True
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await broker.aclose()
    return False


async def _look(worker: Worker, broker: Broker) -> WorkLeft | None:
    """Return what is left; None while this worker has something to do, or where the server does not say."""
    put_off_until = max((each.put_off_until for each in worker.executor.turnovers.values()), default=0.0)
    if worker.held() or time.monotonic() < put_off_until + PUT_OFF_MARGIN_SECONDS:
        return None
    try:
        await worker.look_for_queues()
        replies = await broker.run_many([work_left(queue) for queue in worker.queue_keys()])
    except BrokerError:
        return None
    now = later = 0
    for reply in replies:
        if isinstance(reply, BrokerRefused):
            continue  # a key of another type: the worker serves no such queue, and has logged it
        if isinstance(reply, BrokerError):
            return None
        now, later = now + reply.now, later + reply.later
    return WorkLeft(now, later)
