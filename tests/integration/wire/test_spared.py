"""Tasks of a type that the asker cannot run: left where they are for a while, for whoever can."""

import pytest

from rota.wire.fetch import MORE, STAYING, Fetched, Spared, fetch
from rota.wire.message import pack
from tests.integration.wire.conftest import Seed

FOREIGN = "nur:für:andere"
SPARED = Spared(("others", FOREIGN), 60.0)


async def put(seed: Seed, type: str, *ids: str, age: float = 0.0) -> None:
    since = int((await seed.now() - age) * 1e9)
    for task_id in ids:
        fields = ("msg", pack(type, b"{}", task_id), "state", "pending", "pending_since", since)
        await seed.broker.admin.execute("HSET", seed.keys.task(task_id), *fields)
        await seed.broker.admin.execute("LPUSH", seed.keys.pending, task_id)


async def take(seed: Seed, wanted: int = 10, spared: Spared = SPARED) -> Fetched:
    shares = [(seed.keys, wanted)]
    return await seed.broker.run(fetch(shares, token="token-1", wanted=wanted, lease_seconds=30, spared=spared))


def ids(fetched: Fetched) -> list[str]:
    return [task_id.decode() for task_id in fetched.batches[0].tasks[::2]]


async def test_young_tasks_of_a_spared_type_stay_where_they_are_until_they_are_old(seed: Seed) -> None:
    await put(seed, FOREIGN, "a", age=20)
    await put(seed, "others", "b")
    before = await seed.broker.admin.execute("INFO", "commandstats")

    fetched = await take(seed)

    [batch] = fetched.batches
    assert (ids(fetched), batch.state) == ([], STAYING)
    assert batch.next_due == pytest.approx(fetched.now + 40, abs=5)
    assert await seed.ids("pending") == ["b", "a"]
    assert await seed.field("a", "state") == "pending"
    # A write to the list would wake every worker that waits for it.
    after = await seed.broker.admin.execute("INFO", "commandstats")
    assert [line for line in written(after) if line not in written(before)] == []


def written(statistics: bytes) -> list[str]:
    names = ("lpush", "rpush", "ltrim", "lrem", "hset", "zadd")
    return [
        line for line in statistics.decode().split() if line.startswith(tuple(f"cmdstat_{name}:" for name in names))
    ]


async def test_others_are_taken_from_between_them_in_their_order(seed: Seed) -> None:
    await put(seed, "others", "x1", "x2")
    await put(seed, "mine", "m1")
    await put(seed, FOREIGN, "x3")
    await put(seed, "mine", "m2", "m3")
    await seed.broker.admin.execute("LPUSH", seed.keys.pending, "gone")

    fetched = await take(seed, 2)

    assert (ids(fetched), fetched.batches[0].state) == (["m1", "m2"], MORE)
    assert await seed.ids("pending") == ["gone", "m3", "x3", "x2", "x1"]
    fetched = await take(seed)
    assert (ids(fetched), fetched.batches[0].dangling) == (["m3"], [b"gone"])
    assert await seed.ids("pending") == ["x3", "x2", "x1"]
    assert await seed.ids("active") == ["m3", "m2", "m1"]


@pytest.mark.parametrize("age", [61, -3600], ids=["old", "of a machine whose clock is ahead"])
async def test_one_that_nobody_else_has_taken_is_taken(seed: Seed, age: float) -> None:
    await put(seed, "others", "x", age=age)
    assert ids(await take(seed)) == ["x"]


@pytest.mark.parametrize("since", ["", "soon", "nan", "inf", "-inf"])
async def test_one_of_which_nobody_knows_since_when_it_waits_is_taken(seed: Seed, since: str) -> None:
    await put(seed, "others", "x")
    await seed.broker.admin.execute("HSET", seed.keys.task("x"), "pending_since", since)
    assert ids(await take(seed)) == ["x"]


async def test_a_crowd_of_them_holds_up_others_only_while_it_is_young(seed: Seed) -> None:
    herd_backoff = [f"x{n}" for n in range(80)]
    await put(seed, "others", *herd_backoff)
    await put(seed, "mine", "m")

    fetched = await take(seed, 1)

    # To ask again at once would be for nothing.
    assert (ids(fetched), fetched.batches[0].state) == ([], STAYING)
    assert fetched.batches[0].next_due is not None
    fetched = await take(seed, 100, Spared(("others",), 0.0))
    assert ids(fetched) == [*herd_backoff, "m"]


async def test_what_no_other_queue_could_use_goes_round_past_them(seed: Seed) -> None:
    await put(seed, "others", "x1")
    await put(seed, "mine", "m1", "m2", "m3")
    shares = [(seed.keys, 1)]

    fetched = await seed.broker.run(fetch(shares, token="t", wanted=3, lease_seconds=30, spared=SPARED))

    assert (ids(fetched), fetched.batches[0].state) == (["m1", "m2", "m3"], STAYING)
    assert await seed.ids("pending") == ["x1"]


async def test_one_that_is_to_be_cancelled_is_taken(seed: Seed) -> None:
    await put(seed, "others", "x")
    await seed.broker.admin.execute("HSET", seed.keys.task("x"), "rota_cancel", "enough")
    fetched = await take(seed)
    assert (ids(fetched), fetched.batches[0].notes[0].cancel) == (["x"], "enough")


async def test_a_small_share_of_a_queue_whose_first_tasks_all_stay_does_not_end_the_look(seed: Seed) -> None:
    await put(seed, "others", *(f"x{n}" for n in range(70)))
    await put(seed, "mine", "m")
    shares = [(seed.keys, 1)]

    fetched = await seed.broker.run(fetch(shares, token="t", wanted=50, lease_seconds=30, spared=SPARED))

    assert (ids(fetched), fetched.batches[0].state) == (["m"], STAYING)
