"""Taking tasks: what moves where, and what is left alone."""

from itertools import count

import pytest

from rota.broker.slots import slot_of
from rota.errors import BrokerRefused
from rota.wire.fetch import (
    BROKEN,
    EMPTY,
    MORE,
    PAUSED,
    Fetched,
    LastChance,
    Spared,
    fetch,
    lost_sizes,
    reclaim,
    set_aside,
)
from rota.wire.proto import TaskMessage
from rota.wire.sweep import forward
from tests.integration.wire.conftest import Seed
from tests.servers.overseen import Overseen

# A queue in the same slot: in a Cluster, one fetch takes from such queues alone.
NEIGHBOUR = next(name for name in map(str, count()) if slot_of(name) == slot_of("default"))


async def take(broker: Overseen, wanted: int, *shares: tuple[str, int], token: str = "token-1") -> Fetched:
    queues = [(broker.keys.queue(name), share) for name, share in shares or (("default", wanted),)]
    return await broker.run(fetch(queues, token=token, wanted=wanted, lease_seconds=30))


def ids(fetched: Fetched, index: int = 0) -> list[str]:
    return [task_id.decode() for task_id in fetched.batches[index].tasks[::2]]


async def test_a_batch_is_taken_in_the_order_of_its_arrival(broker: Overseen, seed: Seed) -> None:
    await seed.pending("a", "b", "c")
    fetched = await take(broker, 2)
    assert ids(fetched) == ["a", "b"]
    assert TaskMessage.FromString(fetched.batches[0].tasks[1]).id == "a"
    assert fetched.batches[0].state == MORE
    assert await seed.ids("pending") == ["c"]
    assert await seed.ids("active") == ["b", "a"]


async def test_a_few_leases_are_a_skip_list_so_that_an_insert_does_not_search_all_of_them(
    broker: Overseen, seed: Seed
) -> None:
    await seed.pending("a", "b")
    await take(broker, 2)
    assert await broker.admin.execute("OBJECT", "ENCODING", seed.keys.lease) == b"skiplist"
    assert await broker.admin.execute("ZRANGE", seed.keys.lease, 0, -1) == [b"a", b"b"]


async def test_a_taken_task_is_active_leased_by_the_servers_clock_and_carries_the_token(
    broker: Overseen, seed: Seed
) -> None:
    await seed.pending("a")
    before = await seed.now()
    fetched = await take(broker, 5)
    score = float(await broker.admin.execute("ZSCORE", seed.keys.lease, "a"))
    assert int(before) + 30.5 <= score <= int(fetched.now) + 30.5  # Go's leases end with a whole second
    assert score % 1 == 0.5
    assert await seed.field("a", "state") == "active"
    assert await seed.field("a", "rota_token") == "token-1"
    assert await seed.field("a", "pending_since") is None
    assert before <= fetched.now <= await seed.now()


async def test_an_empty_queue_gives_nothing_and_says_so(broker: Overseen, seed: Seed) -> None:
    fetched = await take(broker, 3)
    assert fetched.batches[0] == (EMPTY, None, [], {}, [], [], "")
    assert await broker.admin.execute("DBSIZE") == 0


async def test_a_paused_queue_keeps_its_tasks_but_promotes_what_is_due(broker: Overseen, seed: Seed) -> None:
    await broker.admin.execute("SET", seed.keys.paused, 1)
    await seed.pending("a")
    await seed.at("scheduled", 1, "due")
    fetched = await take(broker, 3)
    assert fetched.batches[0].state == PAUSED
    assert ids(fetched) == []
    assert await seed.ids("pending") == ["due", "a"]


async def test_due_tasks_are_promoted_and_taken_in_one_step(broker: Overseen, seed: Seed) -> None:
    now = await seed.now()
    await seed.at("scheduled", now - 0.001, "scheduled-due")
    await seed.at("retry", 5, "retry-due")
    await seed.at("scheduled", now + 60.25, "later")
    fetched = await take(broker, 5)
    assert sorted(ids(fetched)) == ["retry-due", "scheduled-due"]
    assert fetched.batches[0].next_due == pytest.approx(now + 60.25, abs=1e-4)
    assert await seed.ids("scheduled") == ["later"]


async def test_a_fraction_of_a_second_is_waited_for(broker: Overseen, seed: Seed) -> None:
    for attempt in count():
        at = await seed.now() + 0.4
        await seed.at("scheduled", at, f"soon-{attempt}")
        fetched = await take(broker, 1)
        assert bool(ids(fetched)) == (fetched.now >= at)
        if fetched.now < at:  # else the machine stood still for so long
            break
    assert fetched.batches[0].next_due == pytest.approx(at, abs=1e-4)


async def test_each_queue_gets_its_share_and_the_rest_goes_where_tasks_are(broker: Overseen, seed: Seed) -> None:
    other = Seed(broker, NEIGHBOUR)
    await seed.pending("a", "b", "c", "d")
    await other.pending("x")
    fetched = await take(broker, 4, ("default", 1), (NEIGHBOUR, 3))
    assert ids(fetched, 0) == ["a", "b", "c"]
    assert ids(fetched, 1) == ["x"]


async def test_strict_shares_drain_the_first_queue_before_the_second(broker: Overseen, seed: Seed) -> None:
    other = Seed(broker, NEIGHBOUR)
    await seed.pending("a", "b")
    await other.pending("x", "y")
    fetched = await take(broker, 3, (NEIGHBOUR, 3), ("default", 0))
    assert ids(fetched, 0) == ["x", "y"]
    assert ids(fetched, 1) == ["a"]


async def test_an_id_without_a_hash_is_dropped_and_reported_not_made_into_a_stub(broker: Overseen, seed: Seed) -> None:
    await broker.admin.execute("LPUSH", seed.keys.pending, "ghost")
    await seed.pending("a")
    fetched = await take(broker, 5)
    assert ids(fetched) == ["a"]
    assert fetched.batches[0].dangling == [b"ghost"]
    assert not await broker.admin.execute("EXISTS", seed.keys.task("ghost"))
    assert await seed.ids("active") == ["a"]


async def test_notes_tell_of_a_cancel_request_crashes_and_explicit_options(broker: Overseen, seed: Seed) -> None:
    await seed.pending("plain")
    await seed.pending("marked", rota_cancel="by hand", rota_crashes=2)
    await seed.pending("said", rota_explicit="timeout")
    fetched = await take(broker, 5)
    assert fetched.batches[0].notes == {1: ("by hand", 2, ""), 2: ("", 0, "timeout")}


async def test_a_lock_held_while_queued_is_given_back_when_the_task_is_taken(broker: Overseen, seed: Seed) -> None:
    lock = seed.keys.base + "unique:t:x"
    await broker.admin.execute("SET", lock, "a")
    await seed.pending("a", unique_key=lock, rota_unique="queued")
    await take(broker, 1)
    assert not await broker.admin.execute("EXISTS", lock)


async def test_a_lock_that_somebody_else_holds_by_now_is_left_alone(broker: Overseen, seed: Seed) -> None:
    lock = seed.keys.base + "unique:t:x"
    await broker.admin.execute("SET", lock, "somebody-else")
    await seed.pending("a", unique_key=lock, rota_unique="queued")
    await take(broker, 1)
    assert await broker.admin.execute("GET", lock) == b"somebody-else"


async def test_a_key_of_the_wrong_kind_is_no_task_and_is_left_as_it_is(broker: Overseen, seed: Seed) -> None:
    await seed.pending("a", "b", "c")
    await seed.at("scheduled", 1, "d")
    for task_id in ("b", "d"):
        await broker.admin.execute("DEL", seed.keys.task(task_id))
        await broker.admin.execute("SET", seed.keys.task(task_id), "no hash")
    fetched = await take(broker, 5)
    assert ids(fetched) == ["a", "c"]
    assert fetched.batches[0].dangling == [b"b"]
    assert await seed.ids("active") == ["c", "a"]
    assert await seed.ids("pending") == await seed.ids("scheduled") == []
    assert await broker.admin.execute("GET", seed.keys.task("b")) == b"no hash"


@pytest.mark.parametrize("place", ["pending", "active", "lease", "scheduled", "retry"])
async def test_a_place_of_the_wrong_kind_stops_its_queue_alone_and_before_anything_of_it_is_moved(
    broker: Overseen, seed: Seed, place: str
) -> None:
    other = Seed(broker, NEIGHBOUR)
    for each in (seed, other):
        await each.pending(*(f"{each.keys.queue}-{number}" for number in range(3)))
    key = other.keys.base + place
    await broker.admin.execute("DEL", key)
    await broker.admin.execute("SET", key, "x")
    fetched = await take(broker, 5, (NEIGHBOUR, 2), ("default", 2))
    assert ids(fetched, 1) == ["default-0", "default-1", "default-2"]
    assert fetched.batches[0] == (BROKEN, None, [], {}, [], [], key)
    assert await broker.admin.execute("GET", key) == b"x"
    if place != "pending":
        assert len(await other.ids("pending")) == 3
        await broker.admin.execute("DEL", key)
        assert len(ids(await take(broker, 5, (NEIGHBOUR, 5)))) == 3


@pytest.mark.parametrize("place", ["pending", "groups", "g:g"])
async def test_what_is_due_stays_where_it_is_while_the_place_it_should_go_to_is_of_the_wrong_kind(
    broker: Overseen, seed: Seed, place: str
) -> None:
    await seed.at("scheduled", 1, "a", "b")
    await seed.hash("b", group="g")
    await broker.admin.execute("SET", seed.keys.base + place, "x")
    assert (await take(broker, 5)).batches[0].state == BROKEN
    with pytest.raises(BrokerRefused, match="WRONGTYPE"):
        await broker.run(forward(seed.keys, 10))
    assert await seed.ids("scheduled") == ["a", "b"]
    assert await seed.field("a", "state") == await seed.field("b", "state") == "scheduled"


async def test_a_lock_of_the_wrong_kind_holds_up_nobody(broker: Overseen, seed: Seed) -> None:
    lock = seed.keys.base + "unique:t:x"
    await broker.admin.execute("LPUSH", lock, "x")
    await seed.pending("a", unique_key=lock, rota_unique="queued")
    assert ids(await take(broker, 1)) == ["a"]
    assert await seed.ids("active") == await seed.ids("lease") == ["a"]


async def test_a_large_batch_fits_lua(broker: Overseen, seed: Seed) -> None:
    for start in range(0, 1200, 200):
        await seed.pending(*(f"id-{n}" for n in range(start, start + 200)))
    fetched = await take(broker, 5000)
    assert len(ids(fetched)) == 500
    assert len(await seed.ids("lease")) == 500


async def test_tasks_of_a_fetch_without_an_answer_are_found_by_its_token(broker: Overseen, seed: Seed) -> None:
    await seed.pending("a", "b", "c")
    await take(broker, 2, token="lost")
    await take(broker, 1, token="kept")
    found = await broker.run(reclaim(seed.keys, "lost", new_token="new", lease_seconds=30))
    assert sorted(found.tasks[::2]) == [b"a", b"b"]
    assert await broker.run(reclaim(seed.keys, "unknown", new_token="new", lease_seconds=30)) == ([], {}, False)


async def test_what_is_known_of_a_task_that_is_found_again_comes_with_it(broker: Overseen, seed: Seed) -> None:
    await seed.pending("a", "b", "c")
    await take(broker, 3, token="lost")
    await broker.admin.execute("HSET", seed.keys.task("a"), "rota_cancel", "enough")
    await broker.admin.execute("HSET", seed.keys.task("b"), "rota_crashes", "2")
    await broker.admin.execute("HSET", seed.keys.task("c"), "rota_explicit", "timeout")
    found = await broker.run(reclaim(seed.keys, "lost", new_token="new", lease_seconds=30))
    known = {found.tasks[2 * index]: notes for index, notes in found.notes.items()}
    assert known == {b"a": ("enough", 0, ""), b"b": ("", 2, ""), b"c": ("", 0, "timeout")}


async def test_a_task_that_is_found_again_is_leased_anew_for_its_lease_may_be_about_to_end(
    broker: Overseen, seed: Seed
) -> None:
    await seed.pending("a", "b")
    await take(broker, 2, token="lost")
    await broker.admin.execute("ZADD", seed.keys.lease, int(await seed.now()) - 3.5, "a")
    await broker.admin.execute("ZREM", seed.keys.lease, "b")
    await broker.run(reclaim(seed.keys, "lost", new_token="new", lease_seconds=30))
    leases = await broker.admin.execute("ZRANGE", seed.keys.lease, 0, -1, "WITHSCORES")
    assert {task_id for task_id, _ in leases} == {b"a", b"b"}
    assert min(score for _, score in leases) > await seed.now() + 25


async def test_a_task_that_a_go_server_has_taken_over_meanwhile_is_left_to_it(broker: Overseen, seed: Seed) -> None:
    await seed.pending("a")
    await take(broker, 1, token="lost")
    await broker.admin.execute(
        "ZADD", seed.keys.lease, int(await seed.now()) + 30, "a"
    )  # whole seconds: a lease of Go's
    assert await broker.run(reclaim(seed.keys, "lost", new_token="new", lease_seconds=30)) == ([], {}, False)


async def take_the_crashed(broker: Overseen, *, taken: bool = False) -> Fetched:
    shares = [(broker.keys.queue("default"), 10)]
    last = LastChance(2, taken)
    return await broker.run(fetch(shares, token="token-1", wanted=10, lease_seconds=30, last_chance=last))


async def test_of_tasks_with_their_last_chance_one_is_taken_and_the_others_come_again_soon(
    broker: Overseen, seed: Seed
) -> None:
    await seed.pending("a", "b", "c", rota_crashes=2)
    await seed.pending("once", rota_crashes=1)
    await seed.pending("never")
    fetched = await take_the_crashed(broker)
    assert ids(fetched) == ["a", "once", "never"]
    assert fetched.batches[0].next_due == pytest.approx(fetched.now + 2, abs=0.01)
    assert await seed.ids("scheduled") == ["b", "c"]
    assert (await seed.field("b", "state"), await seed.field("b", "pending_since")) == ("scheduled", None)
    assert await seed.ids("pending") == []
    assert len(await seed.ids("active")) == 3


async def test_who_has_a_task_with_its_last_chance_takes_no_other_but_one_that_is_to_be_cancelled(
    broker: Overseen, seed: Seed
) -> None:
    await seed.pending("a", rota_crashes=2)
    await seed.pending("b", rota_crashes=2, rota_cancel="enough")
    assert ids(await take_the_crashed(broker, taken=True)) == ["b"]
    assert await seed.ids("scheduled") == ["a"]


async def test_who_puts_nothing_into_quarantine_takes_crashed_tasks_like_any(broker: Overseen, seed: Seed) -> None:
    await seed.pending("a", "b", rota_crashes=2)
    assert ids(await take(broker, 5)) == ["a", "b"]


async def of_size(broker: Overseen, *sizes: tuple[str, int], queue: str = "default") -> None:
    """Put tasks in a queue whose messages have these sizes."""
    keys = broker.keys.queue(queue)
    for task_id, size in sizes:
        await broker.admin.execute("HSET", keys.task(task_id), "msg", b"m" * size, "state", "pending")
        await broker.admin.execute("LPUSH", keys.pending, task_id)


async def fetch_bytes(broker: Overseen, most_bytes: int, *queues: str, spared: Spared = Spared()) -> Fetched:  # noqa: B008
    shares = [(broker.keys.queue(queue), 5) for queue in queues or ("default",)]
    call = fetch(shares, token="token-1", wanted=10, lease_seconds=30, most_bytes=most_bytes, spared=spared)
    return await broker.run(call)


async def test_fetch_takes_no_more_tasks_than_their_bytes_allow(broker: Overseen, seed: Seed) -> None:
    await of_size(broker, ("a", 300), ("b", 300), ("c", 600), ("d", 1))
    fetched = await fetch_bytes(broker, 1000)
    assert (ids(fetched), fetched.batches[0].state) == (["a", "b"], MORE)
    assert await seed.ids("pending") == ["d", "c"]
    assert ids(await fetch_bytes(broker, 1000)) == ["c", "d"]


async def test_fetch_takes_one_task_however_large_it_is(broker: Overseen, seed: Seed) -> None:
    await of_size(broker, ("a", 5000), ("b", 5000))
    fetched = await fetch_bytes(broker, 1000)
    assert (ids(fetched), fetched.batches[0].state) == (["a"], MORE)
    fetched = await fetch_bytes(broker, 1000)
    assert (ids(fetched), fetched.batches[0].state) == (["b"], EMPTY)


async def test_fetch_bounds_the_bytes_of_all_queues_together(broker: Overseen, seed: Seed) -> None:
    await of_size(broker, ("a", 600))
    await of_size(broker, ("b", 600), ("c", 100), queue=NEIGHBOUR)
    fetched = await fetch_bytes(broker, 1000, "default", NEIGHBOUR)
    assert [batch.state for batch in fetched.batches] == [EMPTY, MORE]
    assert (ids(fetched, 0), ids(fetched, 1)) == (["a"], [])


async def test_fetch_says_that_there_is_more_when_only_a_large_task_is_left_behind_spared_ones(
    broker: Overseen, seed: Seed
) -> None:
    await of_size(broker, ("a", 600), ("b", 600))
    fetched = await fetch_bytes(broker, 1000, spared=Spared(("another type",), 60))
    assert (ids(fetched), fetched.batches[0].state) == (["a"], MORE)


async def test_reclaim_takes_tasks_over_in_parts_and_its_own_lost_reply_is_found_by_the_new_token(
    broker: Overseen, seed: Seed
) -> None:
    await of_size(broker, ("a", 600), ("b", 600), ("c", 600))
    await take(broker, 3, token="lost")

    async def found(token: str, new_token: str) -> tuple[list[bytes], bool]:
        call = reclaim(seed.keys, token, new_token=new_token, lease_seconds=30, most_bytes=1300)
        reply = await broker.run(call)
        return reply.tasks[::2], reply.more

    assert await found("lost", "new-1") == ([b"c", b"b"], True)
    assert await found("lost", "new-2") == ([b"a"], False)
    assert await found("lost", "new-3") == ([], False)
    assert await found("new-1", "new-4") == ([b"c", b"b"], False)
    assert await seed.field("a", "rota_token") == "new-2"


async def test_tasks_of_a_lost_fetch_that_are_too_large_are_archived_with_the_reason(
    broker: Overseen, seed: Seed
) -> None:
    await of_size(broker, ("kept", 2**20), ("small", 600), ("large", 2**20), ("unwanted", 2**20))
    await take(broker, 1, token="kept")
    await take(broker, 3, token="lost")
    await broker.admin.execute("HSET", seed.keys.task("unwanted"), "rota_cancel", "enough")
    sizes = await broker.run(lost_sizes(seed.keys, "lost"))
    assert sizes == {"small": 600, "large": 2**20, "unwanted": 2**20}
    assert len(await seed.ids("active")) == 4

    both = set_aside(seed.keys, "lost", least_bytes=2**20, error="has {size}")
    archived = await broker.run(both)
    assert await broker.run(both) == {}
    assert archived == {"large": 2**20, "unwanted": 2**20}
    assert sorted(archived) == sorted(await seed.ids("archived"))
    assert len(await seed.ids("active")) == len(await seed.ids("lease")) == 2
    for task_id in archived:
        ending = "cancelled" if task_id == "unwanted" else "quarantined"
        assert await seed.field(task_id, "rota_end") == ending
        stored = await broker.admin.execute("HGET", seed.keys.task(task_id), "msg")
        assert (b"has 1.0 MB" in stored[-100:]) is (ending == "quarantined")
