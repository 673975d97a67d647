"""Active tasks and leases that do not match are found by a sweep, and repaired a little later (scenario 6)."""

import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from rota.broker import Broker
from rota.errors import BrokerRefused
from rota.inspect import Inspector
from rota.worker.housekeeping.reconciler import Reconciler
from tests.integration.worker.sweeping import repair
from tests.integration.worker.yard import QUEUE, Yard, message, open_yard
from tests.servers.roles import as_role


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


@pytest.fixture
def reconciler(yard: Yard) -> Reconciler:
    return Reconciler(yard.broker, delay=timedelta(0))


async def lease_of(yard: Yard, task_id: str) -> float:
    return float(await yard.execute("ZSCORE", yard.keys.lease, task_id))


async def test_nothing_is_wrong_with_a_healthy_queue(yard: Yard, reconciler: Reconciler) -> None:
    await yard.healthy()
    before = await yard.names()
    assert await repair(yard, reconciler) == {}
    assert reconciler.ripe_seconds is None
    assert await yard.names() == before


async def test_an_active_task_without_a_lease_gets_one_that_runs_out_soon(yard: Yard, reconciler: Reconciler) -> None:
    await yard.put("ours", "active", rota_token="w-1")
    await yard.put("of-go", "active")
    assert await repair(yard, reconciler) == {"unleased": 2}
    now = await yard.now()
    assert await lease_of(yard, "ours") % 1 == 0.5
    assert await lease_of(yard, "of-go") % 1 == 0
    for task_id in ("ours", "of-go"):
        assert now + 10 < await lease_of(yard, task_id) < now + 20


async def test_leases_of_tasks_that_do_not_run_go(yard: Yard, reconciler: Reconciler) -> None:
    far = await yard.now() + 1000
    await yard.put("waiting", "pending")
    await yard.hash("running", msg=message("running"), state="active")
    await yard.execute("ZADD", yard.keys.lease, far, "gone", far, "waiting", far, "running")
    assert await repair(yard, reconciler) == {"stray_lease": 2}
    # Whoever runs it may be alive: its lease, once it has run out, brings it back.
    assert await yard.members(yard.keys.lease) == ["running"]


async def test_a_task_that_moves_between_two_sweeps_is_left_alone(yard: Yard, reconciler: Reconciler) -> None:
    await yard.put("taken", "active", rota_token="w-1")
    await yard.put("ended", "active")
    await reconciler.reconcile([QUEUE])
    await yard.hash("taken", rota_token="w-2")
    await yard.execute("LREM", yard.keys.active, 0, "ended")
    await yard.put("ended", "archived", 5)
    before = await yard.names()
    await reconciler.repair()
    assert await yard.names() == before
    assert reconciler.statistics() == {}


async def test_a_finding_waits_until_it_is_seen_again(yard: Yard) -> None:
    later = Reconciler(yard.broker, delay=timedelta(seconds=60))
    await yard.put("unleased", "active")
    await later.reconcile([QUEUE])
    await later.reconcile([QUEUE])
    ripe = later.ripe_seconds
    assert ripe is not None
    assert 50 < ripe <= 60
    await later.repair()
    assert await yard.members(yard.keys.lease) == []
    later.forget()
    assert later.ripe_seconds is None


async def test_a_broken_queue_does_not_hide_another_one(yard: Yard, reconciler: Reconciler) -> None:
    await yard.put("unleased", "active")
    await yard.execute("SET", yard.broker.keys.queue("broken").active, "in the way")
    with pytest.raises(BrokerRefused, match="WRONGTYPE"):
        await reconciler.reconcile(["broken", QUEUE])
    await reconciler.repair()
    assert await yard.members(yard.keys.lease) == ["unleased"]


async def test_repairs_are_counted_and_logged_once(
    yard: Yard, reconciler: Reconciler, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        await yard.put(name, "active")
    await yard.execute("LPUSH", yard.keys.active, "gone")
    with caplog.at_level(logging.WARNING, "rota.worker"):
        await repair(yard, reconciler)
    assert reconciler.statistics() == {QUEUE: {"unleased": 2, "ghost": 1}}
    [record] = caplog.records
    assert "2 × an active task without a lease" in record.getMessage()
    assert QUEUE in record.getMessage()


async def test_the_inspector_shows_what_was_repaired(yard: Yard, reconciler: Reconciler, any_url: str) -> None:
    await yard.execute("SADD", yard.broker.keys.queues, QUEUE)
    await yard.put("unleased", "active")
    await repair(yard, reconciler)
    async with Broker.from_url(as_role(any_url, "inspector")) as broker:
        assert (await Inspector(broker).queue(QUEUE)).repaired == {"unleased": 1}
