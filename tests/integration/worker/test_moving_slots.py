"""A worker on a Cluster whose slots move while it works."""

import asyncio
import uuid

from rota.app import Rota
from rota.broker.slots import slot_of
from tests.integration.worker.conftest import eventually
from tests.servers.fleet import ClusterFleet


def neighbours(cluster: ClusterFleet) -> tuple[str, str]:
    """Two new queues on one node."""
    names = [f"moving-{uuid.uuid4().hex}" for _ in range(20)]
    ports = {name: cluster.owner(slot_of(f"{{{name}}}")).port for name in names}
    return names[0], next(name for name in names[1:] if ports[name] == ports[names[0]])


async def move(cluster: ClusterFleet, queue: str) -> None:
    slot = slot_of(f"{{{queue}}}")
    source, target = await asyncio.to_thread(cluster.begin_move, slot)
    await asyncio.to_thread(cluster.move_keys, source, target, slot)
    await asyncio.to_thread(cluster.end_move, slot, target)


async def test_what_runs_while_its_queue_moves_is_recorded_and_the_queue_served_on(cluster: ClusterFleet) -> None:
    app = Rota(cluster.url)
    staying, moving = neighbours(cluster)
    go_on = asyncio.Event()
    running: list[str] = []

    @app.task("slot:wait")
    async def wait(name: str) -> None:
        running.append(name)
        await go_on.wait()

    # Without a sweep nothing but the tasks themselves tells the worker that the slot has moved.
    async with app.worker(queues={staying: 1, moving: 1}, sweep_interval="1h") as worker:
        for queue in (staying, moving):
            await wait.options(queue=queue).enqueue(name=queue)
        await eventually(lambda: asyncio.sleep(0, len(running) == 2))

        await move(cluster, moving)
        go_on.set()
        await eventually(lambda: asyncio.sleep(0, not worker.held()), 10)

        for queue in (staying, moving):
            await wait.options(queue=queue).enqueue(name=f"again {queue}")
        await eventually(lambda: asyncio.sleep(0, len(running) == 4), 10)
        await eventually(lambda: asyncio.sleep(0, not worker.held()), 10)
    await app.aclose()
