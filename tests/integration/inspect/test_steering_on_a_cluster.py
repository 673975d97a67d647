"""Pauses, deletions and orders on a Cluster, where the keys of one call have to share a slot."""

import pytest

from rota import Rota
from rota.errors import QueuePaused
from rota.inspect import deleting_queue
from rota.worker.worker import Worker
from tests.integration.worker.conftest import eventually
from tests.servers.fleet import ClusterFleet

pytestmark = pytest.mark.slow


async def test_queues_and_workers_are_steered_on_a_cluster(
    cluster: ClusterFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting_queue, "SETTLE_SECONDS", 0.0)
    app = Rota(cluster.url, settings={"heartbeat": "300ms", "queues": {"steered-a": 1, "steered-b": 1}})
    actions, inspector = app.actions(), app.inspector()
    for queue in ("steered-a", "steered-b"):
        for options in ({}, {"delay": "1h"}, {"group": "g"}, {"unique": "1h"}):
            await app.enqueue("t", str(options), queue=queue, **options)  # type: ignore[arg-type]
        await actions.pause(queue, "both", reason="test")
        for options in ({}, {"delay": "1h"}):
            with pytest.raises(QueuePaused):
                await app.enqueue("t", queue=queue, **options)  # type: ignore[arg-type]
        last = [each async for each in actions.delete_queue(queue)][-1]
        assert (last.all_tasks, last.others_known) == (4, True)
        assert queue not in await inspector.queues()

    async def record(worker: Worker) -> object:
        return next((each for each in await inspector.servers() if each.id == worker.server_id), None)

    async with app.worker() as worker:
        server = await eventually(lambda: record(worker))
        assert (await actions.scale_worker(server, 7)).is_obeyed  # type: ignore[arg-type]
        assert worker.slots.capacity == 7
        assert (await actions.quiet_worker(server)).is_obeyed  # type: ignore[arg-type]
        assert (await actions.wake_worker(server)).is_obeyed  # type: ignore[arg-type]
    await app.aclose()
