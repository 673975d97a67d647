"""Findings of the doctor about schedules."""

from collections.abc import AsyncIterator

import pytest

from rota.broker import Broker
from rota.inspect.doctor import examine
from rota.wire.scheduler_steps import SchedulerKeys
from tests.servers.overseen import Overseen
from tests.servers.roles import as_role


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Overseen]:
    async with Overseen.from_url(as_role(redis_url, "inspector")) as broker:
        yield broker


async def findings(broker: Broker) -> set[str]:
    return {finding.code for finding in (await examine(broker, role="inspector")).findings}


async def test_schedules_without_a_scheduler_are_found(broker: Overseen) -> None:
    keys = SchedulerKeys(broker.keys)
    assert "no-scheduler" not in await findings(broker)
    await broker.admin.execute("HSET", keys.shard("s").last, "s", "1000 {}")
    assert "no-scheduler" in await findings(broker)
    await broker.admin.execute("SET", keys.lease, "host:1:rota-x", "PX", "60000")
    assert "no-scheduler" not in await findings(broker)


async def test_records_that_pile_up_are_found(broker: Overseen) -> None:
    shard = SchedulerKeys(broker.keys).shards[0]
    assert "runs-not-recorded" not in await findings(broker)
    await broker.admin.execute("RPUSH", shard.outbox, *["{}"] * 10_001)
    assert "runs-not-recorded" in await findings(broker)
