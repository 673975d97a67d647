"""Acts on many tasks, and the types that a worker publishes, for their tests."""

from typing import Any
from uuid import uuid4

from rota.client import Client
from rota.errors import BrokerUnavailable
from rota.inspect import Actions, Bulk, BulkProgress, TaskRef
from rota.tasks.type_record import TypeRecord, pack
from rota.wire.server_record import ServerState, beat, publish
from tests.integration.client.conftest import Desk, plan


async def done(actions: Actions, bulk: Bulk) -> BulkProgress:
    """Do all batches."""
    async for _ in actions.batches(bulk):
        pass
    return bulk.progress


async def fill(client: Client, number: int, **words: Any) -> list[TaskRef]:
    """Enqueue this number of tasks, each once, also when an answer is lost, as on a machine that is busy."""
    ids = [str(uuid4()) for _ in range(number)]
    plans = [plan(b"%d" % n, task_id=task_id, **words) for n, task_id in enumerate(ids)]
    left = plans
    for _ in range(5):
        outcomes = zip(left, await client.enqueue_many(left), strict=True)
        left = [each for each, outcome in outcomes if isinstance(outcome, BrokerUnavailable)]
        if not left:
            return [TaskRef(str(words.get("queue", "default")), task_id) for task_id in ids]
    raise AssertionError(f"{len(left)} of {number} tasks could not be enqueued")


def ref_of(job: Any) -> TaskRef:
    return TaskRef(job.queue, job.id)


async def publish_types(desk: Desk, *records: TypeRecord) -> None:
    """Write the record of a live server that handles these types."""
    types = pack(records)
    server = ServerState(host="h", pid=1, server_id="rota-s", concurrency=1, queues={"default": 1})
    for call in beat(desk.broker.keys, server, [], types=types.digest):
        await desk.broker.run(call)
    await desk.broker.run(publish(desk.broker.keys, *types))
