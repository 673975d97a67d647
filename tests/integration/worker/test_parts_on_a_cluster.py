"""In a Cluster a script that touches two slots is refused: every part once, on queues of different nodes."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from rota.wire.attempts import members, records
from rota.wire.outcome import Held, Outcome, TaskReport, extend, record, report
from rota.worker.housekeeping.forwarder import Forwarder
from rota.worker.housekeeping.janitor import Janitor
from rota.worker.housekeeping.recoverer import Recoverer, Recovery
from tests.integration.worker.groups import OLD, Collector, fill, part, pending
from tests.integration.worker.yard import Yard
from tests.servers.fleet import ClusterFleet
from tests.servers.overseen import Overseen


@pytest.fixture
async def yards(cluster: ClusterFleet) -> AsyncIterator[list[Yard]]:
    """Several queues, so that more than one node takes part."""
    async with Overseen.from_url(cluster.url) as broker:
        yards = [Yard(broker) for _ in range(4)]
        for yard in yards:
            name = f"yard-{uuid.uuid4().hex}"
            yard.keys = broker.keys.queue(name)
            yard.queues = lambda name=name: [name]  # type: ignore[method-assign,misc]
        yield yards


async def test_tasks_are_forwarded_cleaned_and_recovered(yards: list[Yard]) -> None:
    for yard in yards:
        await yard.put("due", "scheduled", OLD)
        await yard.put("over", "completed", OLD)
        lock = f"{yard.keys.base}unique:x:1"
        await yard.execute("SET", lock, "old")
        await yard.put("old", "archived", OLD - 10**8, unique_key=lock)
        await yard.active("dead", OLD)
    queues = [queue for yard in yards for queue in yard.queues()]
    broker = yards[0].broker
    assert await Forwarder(broker).forward(queues) == 4
    assert await Janitor(broker).clean(queues) == 8
    assert await Recoverer(broker, lambda *_: Recovery(None)).recover(queues) == 4
    for yard in yards:
        assert await yard.members(yard.keys.pending) == ["due"]
        assert await yard.members(yard.keys.archived) == ["dead"]


async def test_groups_are_aggregated(yards: list[Yard]) -> None:
    for yard in yards:
        await fill(yard, "g", "ab")
        assert await part(yard, Collector()).aggregate() == 1
        assert await pending(yard) == [b"a+b"]


async def test_attempts_are_recorded(yards: list[Yard]) -> None:
    broker = yards[0].broker
    for yard in yards:
        await yard.active("failed", OLD + 0.5, rota_token="w-1")
        await yard.active("crashed", OLD + 0.5, rota_token="w-2")
    outcome = Outcome("failed", "w-1", "retry", seconds=60, attempt=members(error="boom"))
    assert await broker.run_many([record(yard.keys, [outcome]) for yard in yards]) == [{}] * 4
    assert await Recoverer(broker, lambda *_: Recovery(None)).recover([q for yard in yards for q in yard.queues()]) == 4
    for yard in yards:
        for task_id, error in (("failed", "boom"), ("crashed", "worker died: its lease was not extended any more")):
            [found] = records((await yard.fields(task_id))["rota_attempts"])
            assert found["error"] == error


async def test_leases_and_reports_reach_the_node_of_their_queue(yards: list[Yard]) -> None:
    broker = yards[0].broker
    for yard in yards:
        await yard.active("a", OLD + 0.5, rota_token="t")
    held = [Held("a", "t")]
    leases = await broker.run_many([extend(yard.keys, held, timedelta(seconds=30)) for yard in yards])
    assert leases == [([], {})] * 4
    told = [TaskReport("a", "t", b"{}", b"line\n")]
    written = await asyncio.gather(*(broker.run(report(yard.keys, told, max_log_bytes=100)) for yard in yards))
    assert written == [1] * 4
