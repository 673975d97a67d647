"""The scripts of the scheduler: the election; claim, enqueue and confirm, repeated and out of turn."""

from datetime import timedelta

from rota.wire.enqueue import Item
from rota.wire.keys import Keys
from rota.wire.message import pack
from rota.wire.scheduler_steps import (
    BatchNumber,
    Refused,
    SchedulerKeys,
    StateChange,
    StoredState,
    Taken,
    claim,
    confirm,
    elect,
    enqueue_batch,
    outbox,
    resign,
    states,
    take,
)
from tests.integration.wire.conftest import Seed
from tests.servers.overseen import Overseen

LIFE = timedelta(seconds=4)


def keys_of(broker: Overseen) -> SchedulerKeys:
    return SchedulerKeys(broker.keys)


def task(task_id: str) -> Item:
    return Item(task_id, pack("t", b"{}", task_id, queue="default"), mark=task_id)


async def test_scheduler_is_elected_when_no_other_leads(broker: Overseen, seed: Seed) -> None:
    keys = keys_of(broker)
    first = await broker.run(elect(keys, "a", LIFE))
    other = await broker.run(elect(keys, "b", LIFE))
    again = await broker.run(elect(keys, "a", LIFE))
    assert first.epoch > 0
    assert first.leader == "a"
    assert other[::2] == (0, "a")
    assert again.epoch == first.epoch
    assert abs(first.now - await seed.now()) < 30
    left_ms = await broker.admin.execute("PTTL", keys.lease)
    assert 0 < int(left_ms) <= 4000


async def test_each_election_has_a_greater_epoch(broker: Overseen) -> None:
    keys = keys_of(broker)
    first = await broker.run(elect(keys, "a", LIFE))
    await broker.run(resign(keys, "b"))  # changes nothing, because "b" does not lead
    assert (await broker.run(elect(keys, "b", LIFE))).epoch == 0
    await broker.run(resign(keys, "a"))
    second = await broker.run(elect(keys, "b", LIFE))
    assert second.epoch > first.epoch
    assert (await broker.run(elect(keys, "a", LIFE))).leader == "b"


async def test_epoch_grows_although_the_server_lost_its_data(broker: Overseen, seed: Seed) -> None:
    keys = keys_of(broker)
    first = await broker.run(elect(keys, "a", LIFE))
    while int(await seed.now() * 1000) <= first.epoch:  # an election takes longer than a millisecond to come again
        continue
    await broker.admin.execute("DEL", keys.lease, keys.epoch)
    assert (await broker.run(elect(keys, "a", LIFE))).epoch > first.epoch


async def test_leader_can_ask_for_an_epoch_above_a_foreign_mark(broker: Overseen) -> None:
    keys = keys_of(broker)
    first = await broker.run(elect(keys, "a", LIFE))
    above = await broker.run(elect(keys, "a", LIFE, above=first.epoch + 1000))
    assert above.epoch == first.epoch + 1001


async def test_run_goes_through_its_three_steps(broker: Overseen, seed: Seed) -> None:
    keys = keys_of(broker)
    shard = keys.shard("nightly")
    assert await broker.run(take(shard, BatchNumber(5, 1))) == Taken({})
    number = BatchNumber(5, 2)
    change = StateChange("nightly", 1000, '{"fired": 1}')
    assert await broker.run(claim(shard, number, [change], {"nightly-1000": b"how"}, [b"skipped"])) is None
    [reply] = await broker.run(enqueue_batch(seed.keys, shard, number, [task("nightly-1000")])) or []
    assert (reply.reason, reply.state) == ("created", "pending")
    assert await broker.run(confirm(shard, 5, ["nightly-1000"], [b"fired"]))
    assert await seed.ids("pending") == ["nightly-1000"]
    assert await broker.run(take(shard, BatchNumber(6, 1))) == Taken({})
    stored = StoredState(1000, '{"fired": 1}')
    assert await broker.run(states(shard, ["nightly", "none"])) == {"nightly": stored}
    assert await broker.run(outbox(shard, 6, remove=0, most=10)) == [b"skipped", b"fired"]
    assert await broker.run(outbox(shard, 6, remove=1, most=10)) == [b"fired"]


async def test_claim_of_an_older_leader_is_refused(broker: Overseen) -> None:
    shard = keys_of(broker).shard("s")
    await broker.run(take(shard, BatchNumber(5, 1)))
    await broker.run(take(shard, BatchNumber(6, 1)))
    refused = await broker.run(claim(shard, BatchNumber(5, 2), [StateChange("s", 1000, "{}")], {"s-1000": b""}))
    assert refused == Refused(BatchNumber(6, 1), "")
    assert await broker.run(take(shard, BatchNumber(5, 9))) == Refused(BatchNumber(6, 1), "")
    assert not await broker.run(confirm(shard, 5, []))
    assert await broker.run(outbox(shard, 5, remove=1, most=1)) is None
    assert await broker.run(take(shard, BatchNumber(7, 1))) == Taken({})


async def test_claim_that_is_sent_twice_is_refused_and_found_by_the_next_take(broker: Overseen) -> None:
    shard = keys_of(broker).shard("s")
    again = claim(shard, BatchNumber(5, 2), [StateChange("s", 1000, "{}")], {"s-1000": b"how"})
    assert await broker.run(again) is None
    assert await broker.run(again) == Refused(BatchNumber(5, 2), "")
    taken = await broker.run(take(shard, BatchNumber(5, 3)))
    assert taken == Taken({"s-1000": b"how"})
    assert await broker.run(states(shard, ["s"])) == {"s": StoredState(1000, "{}")}


async def test_planned_time_that_is_not_after_the_last_is_refused_with_its_whole_batch(broker: Overseen) -> None:
    shard = keys_of(broker).shard("s")
    await broker.run(claim(shard, BatchNumber(5, 1), [StateChange("s", 1000, "{}")], {}))
    changes = [StateChange("other", 1000, "{}"), StateChange("s", 1000, "{}")]
    assert await broker.run(claim(shard, BatchNumber(6, 1), changes, {"other-1000": b""})) == Refused(None, "s")
    assert await broker.run(take(shard, BatchNumber(6, 1))) == Taken({})
    assert await broker.run(states(shard, ["s", "other"])) == {"s": StoredState(1000, "{}")}


async def test_state_can_change_without_a_planned_time(broker: Overseen) -> None:
    shard = keys_of(broker).shard("s")
    changes = [StateChange("s", None, "a b"), StateChange("t", -5, "")]
    await broker.run(claim(shard, BatchNumber(5, 1), changes, {"s-m1": b""}))
    await broker.run(claim(shard, BatchNumber(5, 2), [StateChange("t", None, "x")], {}))
    taken = await broker.run(take(shard, BatchNumber(5, 3)))
    assert taken == Taken({"s-m1": b""})
    assert await broker.run(states(shard, ["s", "t"])) == {"s": StoredState(0, "a b"), "t": StoredState(-5, "x")}


async def test_batch_is_added_once_although_its_tasks_are_gone(broker: Overseen, seed: Seed) -> None:
    shard = keys_of(broker).shard("s")
    first = enqueue_batch(seed.keys, shard, BatchNumber(5, 2), [task("s-1000"), task("s-2000")])
    replies = await broker.run(first)
    assert replies is not None
    assert [reply.reason for reply in replies] == ["created", "created"]
    await broker.admin.execute("DEL", seed.keys.pending)
    await broker.admin.execute("DEL", seed.keys.task("s-1000"))
    await broker.admin.execute("DEL", seed.keys.task("s-2000"))
    assert await broker.run(first) is None
    assert await broker.run(enqueue_batch(seed.keys, shard, BatchNumber(4, 9), [task("s-500")])) is None
    assert await seed.ids("pending") == []
    assert await broker.run(enqueue_batch(seed.keys, shard, BatchNumber(6, 1), [task("s-3000")])) is not None
    assert await seed.ids("pending") == ["s-3000"]


async def test_batches_of_other_shards_are_apart(broker: Overseen, seed: Seed) -> None:
    first, second = keys_of(broker).shards[:2]
    assert await broker.run(enqueue_batch(seed.keys, first, BatchNumber(5, 2), [task("a")])) is not None
    assert await broker.run(enqueue_batch(seed.keys, second, BatchNumber(5, 1), [task("b")])) is not None
    assert sorted(await seed.ids("pending")) == ["a", "b"]


async def test_task_that_cannot_be_added_leaves_the_others_of_its_batch(broker: Overseen, seed: Seed) -> None:
    shard = keys_of(broker).shards[0]
    await broker.admin.execute("SET", seed.keys.group("g"), "no sorted set")
    items = [task("a")._replace(group="g"), task("b")]
    replies = await broker.run(enqueue_batch(seed.keys, shard, BatchNumber(5, 2), items))
    assert replies is not None
    assert [reply.reason for reply in replies] == ["error", "created"]


async def test_batch_of_which_nothing_was_added_can_be_sent_again(broker: Overseen, seed: Seed) -> None:
    shard = keys_of(broker).shards[0]
    call = enqueue_batch(seed.keys, shard, BatchNumber(5, 2), [task("a")])
    await broker.admin.execute("SET", seed.keys.own("scheduler"), "no hash")
    [failed] = await broker.run_many([call])
    assert isinstance(failed, Exception)
    await broker.admin.execute("DEL", seed.keys.own("scheduler"))
    assert await broker.run(call) is not None
    assert await seed.ids("pending") == ["a"]


def test_every_schedule_has_its_shard() -> None:
    keys = SchedulerKeys(Keys())
    shards = {keys.shard(f"schedule-{number}").number for number in range(500)}
    assert shards == set(range(16))
    assert keys.shard("a").fence.startswith("rota:scheduler:{")
    assert SchedulerKeys(Keys("team")).lease == "team:rota:scheduler:{scheduler}:leader"
