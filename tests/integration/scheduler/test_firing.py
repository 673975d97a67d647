"""Claim, enqueue and confirm by several leaders, with each reply lost and each leader late."""

from pathlib import Path

import pytest

from rota.core import faults
from rota.core.faults import Fault
from rota.errors import BrokerError
from rota.scheduler.firing import TermOver
from rota.wire.scheduler_steps import SchedulerKeys, StoredState
from tests.integration.scheduler.conftest import Hand, order

POINTS = ("scheduler:claimed", "scheduler:enqueued", "scheduler:confirmed")


async def test_runs_are_enqueued_and_their_states_are_kept(hand: Hand) -> None:
    firing = hand.firing()
    await firing.take(1)
    assert await firing.states(["a", "b"]) == {}
    await firing.fire([order("a", 0), order("b", 0, 1), order("c", 0, queue="low")])
    assert await hand.pending() == ["a-1772366400000", "b-1772366400000", "b-1772366401000"]
    assert await hand.pending("low") == ["c-1772366400000"]
    assert {run.schedule_id for run in hand.done} == {"a", "b", "c"}
    assert all(run.task_ids == (run.id,) and run.enqueued_at is not None for run in hand.done)
    names = await hand.broker.admin.execute("SMEMBERS", hand.broker.keys.queues)
    assert {name.decode() for name in names} == {"default", "low"}
    heir = hand.firing()
    await heir.take(2)
    assert await heir.states(["b", "x"]) == {"b": StoredState(1772366401000, "{}")}


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("point", POINTS)
async def test_lost_reply_neither_loses_nor_repeats_a_run(hand: Hand, tmp_path: Path, point: str) -> None:
    firing = hand.firing()
    await firing.take(1)
    faults.arm([Fault(point, "drop", tmp_path / "mark")])
    with pytest.raises(BrokerError):
        await firing.fire([order("a", 0), order("b", 0, queue="low")])
    assert (tmp_path / "mark").exists()
    await firing.take(1)  # the same leader, in the same epoch
    assert set(await firing.states(["a", "b"])) == {"a", "b"}
    assert (await hand.take_all(), await hand.take_all("low")) == (["a-1772366400000"], ["b-1772366400000"])
    await hand.firing().take(2)
    assert (await hand.pending(), await hand.pending("low")) == ([], [])


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("point", POINTS)
async def test_next_leader_finishes_what_a_dead_one_left(hand: Hand, tmp_path: Path, point: str) -> None:
    dead, heir = hand.firing(), hand.firing()
    await dead.take(1)
    faults.arm([Fault(point, "drop", tmp_path / "mark")])
    with pytest.raises(BrokerError):
        await dead.fire([order("a", 0, 1)])
    taken = await hand.take_all() if point != "scheduler:claimed" else []
    await heir.take(2)
    assert [*taken, *await hand.pending()] == ["a-1772366400000", "a-1772366401000"]
    keys = SchedulerKeys(hand.broker.keys)
    assert await hand.broker.admin.execute("HLEN", keys.shard("a").claims) == 0
    assert await hand.broker.admin.execute("LLEN", keys.shard("a").outbox) == 2


async def test_leader_that_was_frozen_fires_nothing_more(hand: Hand) -> None:
    frozen, heir = hand.firing(), hand.firing()
    await frozen.take(1)
    await heir.take(2)
    await heir.fire([order("a", 0)])
    assert await hand.take_all() == ["a-1772366400000"]
    with pytest.raises(TermOver) as over:
        await frozen.fire([order("a", 0), order("a", 1)])
    assert over.value.above == 2
    assert await hand.pending() == []


async def test_stale_definition_cannot_fire_a_planned_time_again(hand: Hand) -> None:
    firing = hand.firing()
    await firing.take(1)
    await firing.fire([order("a", 5)])
    with pytest.raises(TermOver, match="a was planned further"):
        await firing.fire([order("a", 5, queue="low")])
    assert (await hand.pending(), await hand.pending("low")) == (["a-1772366405000"], [])


async def test_queue_that_refuses_does_not_stop_the_other_queues(hand: Hand) -> None:
    firing = hand.firing()
    await firing.take(1)
    await hand.broker.admin.execute("SET", hand.broker.keys.queue("broken").pending, "no list")
    await firing.fire([order("a", 0, queue="broken"), order("b", 0)])
    assert await hand.pending() == ["b-1772366400000"]
    [refused] = [run for run in hand.done if run.schedule_id == "a"]
    assert (refused.outcome, refused.skip_reason) == ("skipped", "refused")
    assert "WRONGTYPE" in refused.error
    await hand.firing().take(2)
    assert await hand.pending() == ["b-1772366400000"]


async def test_claim_that_cannot_be_read_does_not_block_its_shard(hand: Hand) -> None:
    keys = SchedulerKeys(hand.broker.keys)
    await hand.broker.admin.execute("HSET", keys.shard("a").claims, "a-1", "not JSON")
    firing = hand.firing()
    await firing.take(1)
    await firing.fire([order("a", 0)])
    assert await hand.pending() == ["a-1772366400000"]
    assert await hand.broker.admin.execute("HLEN", keys.shard("a").claims) == 0


async def test_thousands_of_runs_are_fired_once_each(hand: Hand) -> None:
    firing = hand.firing()
    await firing.take(1)
    await firing.fire([order(f"s{number}", 0) for number in range(3000)])
    assert len(await hand.pending()) == len(set(await hand.pending())) == 3000
    assert len(await firing.states(f"s{number}" for number in range(3001))) == 3000
