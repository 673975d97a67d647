"""Burst: a worker that stops when its queues are empty, for cron jobs and pipelines (`rota worker --burst`).

Empty means, for all queues that the worker serves: no task is pending, no task is running, here or in another worker,
and no task is due. The steps of one check:

1. If this worker holds a task, its queues are not empty: the task may enqueue another one.
2. Find new queues that match a pattern, because a task may have created one.
3. Ask the server. A task that another worker has taken is active, so it is counted too.

Some tasks stay in their queues: tasks for later (scheduled, waiting for a retry, in a group that is not due), tasks in
paused queues, and tasks that were put off because this worker has no handler for their type. The worker does wait for
tasks that it has put off because of the concurrency limit of their type.
"""

import asyncio
import time

from rota import events
from rota.broker.broker import Broker
from rota.errors import BrokerError, BrokerRefused
from rota.wire.look_task import WorkLeft, work_left
from rota.worker.worker import Worker

LOOK_SECONDS = 0.1
PUT_OFF_MARGIN_SECONDS = 2.0
"""How long after its due time a task that was put off may take to be pending again."""


async def stop_when_empty(worker: Worker) -> bool:
    """Stop the worker when its queues are empty. Returns True if it did, False if the worker was stopped before."""
    while not worker.ready.is_set():
        if worker.stopping:
            return False
        await asyncio.sleep(LOOK_SECONDS)
    broker = worker.app.connect(worker.settings)  # the worker closes its own when it stops, perhaps during a check
    try:
        while not worker.stopping:
            left = await _look(worker, broker)
            if left is not None and left.now == 0 and not worker.stopping:
                events.emit(events.BurstEnded(later=left.later))
                worker.stop()
                return True
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await broker.aclose()
    return False


async def _look(worker: Worker, broker: Broker) -> WorkLeft | None:
    """Count the tasks that are left; None while this worker has work to do, or if the server does not answer."""
    put_off_until = worker.executor.types.put_off_until
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
            continue  # a key of the queue has the wrong type: the worker does not serve this queue, and has logged that
        if isinstance(reply, BrokerError):
            return None
        now, later = now + reply.now, later + reply.later
    return WorkLeft(now, later)
