"""A worker on a Cluster whose slots move while it works."""

import asyncio
import uuid

import pytest

from rota.app import Rota
from rota.broker.slots import slot_of
from rota.errors import TaskNotFound
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
    await asyncio.to_thread(cluster.move_keys, source, target, slot, str)
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
        await eventually(lambda: asyncio.sleep(0, not worker.held()), 40)

        for queue in (staying, moving):
            await wait.options(queue=queue).enqueue(name=f"again {queue}")
        await eventually(lambda: asyncio.sleep(0, len(running) == 4), 40)
        await eventually(lambda: asyncio.sleep(0, not worker.held()), 40)
    await app.aclose()


async def test_neither_a_running_task_nor_an_enqueue_is_harmed_while_half_of_its_queue_is_elsewhere(
    cluster: ClusterFleet,
) -> None:
    app, queue = Rota(cluster.url, settings={"retry_for": "30s"}), f"half-{uuid.uuid4().hex}"
    slot = slot_of(f"{{{queue}}}")
    go_on = asyncio.Event()
    runs: list[str] = []

    @app.task("slot:half", queue=queue)
    async def half(name: str) -> None:
        runs.append(name)
        await go_on.wait()

    # The lease and the place of the task go first, its hash comes last: on no side is the queue whole.
    async with app.worker(queues={queue: 1}, heartbeat="200ms") as worker:
        first = await half.enqueue(name="first")
        await eventually(lambda: asyncio.sleep(0, runs == ["first"]))
        source, target = await asyncio.to_thread(cluster.begin_move, slot)
        await asyncio.to_thread(cluster.move_keys, source, target, slot, lambda key: ":t:" in key, 2)
        before = await asyncio.to_thread(cluster.tried_again)
        go_on.set()
        enqueues = asyncio.gather(half.enqueue(name="second"), app.enqueue_many([half.plan(name="third")]))
        await eventually(lambda: asyncio.to_thread(lambda: cluster.tried_again() > before + 10))
        assert worker.held()
        assert not enqueues.done()

        await asyncio.to_thread(cluster.move_keys, source, target, slot, str)
        await asyncio.to_thread(cluster.end_move, slot, target)
        await enqueues
        await eventually(lambda: asyncio.sleep(0, len(runs) == 3 and not worker.held()))
        with pytest.raises(TaskNotFound):
            await first.info()
    assert sorted(runs) == ["first", "second", "third"]
    await app.aclose()


async def test_idle_worker_learns_that_its_empty_queue_has_moved_and_leaves_the_old_node(cluster: ClusterFleet) -> None:
    app, queue = Rota(cluster.url), f"empty-{uuid.uuid4().hex}"

    @app.task("slot:empty", queue=queue, retention="10m")
    async def empty() -> int:
        return 1

    # Without a sweep the worker asks nothing of this queue, so no error tells it that the slot has moved.
    async with app.worker(queues={queue: 1}, sweep_interval="1h", slow_poll="1h") as worker:
        [before] = worker.consumers
        recorded = len(worker.consumers.statistics())
        assert await (await empty.enqueue()).result("30s") == 1

        await move(cluster, queue)
        await eventually(lambda: asyncio.sleep(0, before not in list(worker.consumers)))
        [after] = worker.consumers
        await eventually(lambda: asyncio.sleep(0, after.fetcher.statistics.waiting))
        assert await (await empty.enqueue()).result("30s") == 1

        await eventually(lambda: asyncio.sleep(0, before.finishing.done() and before.fetcher.link is None))
        assert len(worker.consumers.statistics()) == recorded, "what a retired lane counted is kept as one sum"
        await eventually(lambda: asyncio.sleep(0, sum(each.recorded for _, each in worker.consumers.statistics()) == 2))
    await app.aclose()
