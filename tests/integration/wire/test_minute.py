"""Counts by the minute, as the scripts write and read them."""

from datetime import timedelta
from typing import Any

import pytest

from rota.broker.broker_options import BrokerOptions
from rota.client.requests import Requests
from rota.inspect import metric_series
from rota.wire import minute
from rota.wire.fetch import fetch
from rota.wire.group import spend, spent_key
from rota.wire.minute import Minutes, TypeCounts
from rota.wire.outcome import Outcome, done, record
from rota.wire.owner import give_back
from rota.wire.recover import Move, Slack, expired, recover
from tests.integration.wire.conftest import Seed
from tests.servers.overseen import Overseen

TOKEN = "w-1"
SLACK = Slack(timedelta(seconds=5), timedelta(seconds=30))
NOTHING = TypeCounts({}, {})


def words(type: str, **counts: int) -> list[Any]:
    return [word for name, number in counts.items() for word in (f"{name}:{type}", number)]


async def take(seed: Seed, *ids: str, token: str = TOKEN) -> None:
    await seed.pending(*ids)
    await seed.broker.run(fetch([(seed.keys, len(ids))], token=token, wanted=len(ids), lease_seconds=30))


async def both(seed: Seed) -> tuple[TypeCounts, TypeCounts]:
    """The counts of the minutes, added up in case one has just ended, and of all time."""
    found: Minutes = await Requests(seed.broker).carry_out(metric_series.minutes(seed.keys))
    samples = [
        metric_series.MetricSample(queue="q", at=metric_series.at_minute(0), counts=each)
        for each in found.counts.values()
    ]
    return metric_series.merged(samples, "q", metric_series.at_minute(0)).counts, (
        await seed.broker.run(minute.look_total(seed.keys))
    ).counts


async def test_batches_add_up_by_type_in_their_minute_and_in_total(seed: Seed) -> None:
    await take(seed, "a", "b", "c")
    assert await seed.broker.run(done(seed.keys, ["a", TOKEN], words("mail:send", n=1, succeeded=1, w3=1))) == {}
    counts = [*words("mail:send", n=1, failed=1), *words("", n=1, retried=1, r9=1)]
    outcomes = [Outcome("b", TOKEN, "archive"), Outcome("c", TOKEN, "retry", seconds=60)]
    assert await seed.broker.run(record(seed.keys, outcomes, counts)) == {}
    expected = {
        "mail:send": {"n": 2, "succeeded": 1, "w3": 1, "failed": 1},
        "": {"n": 1, "retried": 1, "r9": 1},
    }
    for found in await both(seed):
        assert found == TypeCounts(expected, {})


async def test_batch_of_which_some_is_refused_counts_nothing_nor_does_a_repeated_one(seed: Seed) -> None:
    await take(seed, "a", "b")
    plain = done(seed.keys, ["a", TOKEN, "b", "other-1"], words("t", n=2))
    assert await seed.broker.run(plain) == {1: 2}
    kept = record(seed.keys, [Outcome("b", TOKEN, "complete", seconds=60)], words("t", n=1, succeeded=1))
    assert await seed.broker.run(kept) == {}
    assert await seed.broker.run(kept) == {0: 1}
    for found in await both(seed):
        assert found.by_type == {"t": {"n": 1, "succeeded": 1}}
    await seed.broker.run(minute.add(seed.keys, words("t", n=1)))
    for found in await both(seed):
        assert found.by_type["t"]["n"] == 2


async def test_types_beyond_the_limit_and_long_ones_are_counted_together(seed: Seed) -> None:
    names = [f"type:{number}" for number in range(minute.MOST_TYPES - 1)]
    await seed.broker.run(minute.add(seed.keys, [word for name in names for word in words(name, n=1)]))
    late = [*words("x" * 201, n=1, w1=1), *words("last", n=1), *words("more", n=2, w1=2), *words("type:0", n=1)]
    await seed.broker.run(minute.add(seed.keys, late))
    await seed.broker.run(minute.add(seed.keys, words("more", n=5)))
    found, total = await both(seed)
    assert len(total.by_type) == minute.MOST_TYPES
    assert total.by_type["type:0"] == {"n": 2}
    assert "last" in total.by_type
    assert total.others == {"n": 8, "w1": 3}
    if len(found.by_type) == minute.MOST_TYPES:  # else the minute has ended in the middle
        assert found == total


@pytest.mark.parametrize("name", ["total", "open"])
async def test_counts_under_a_key_of_the_wrong_type_do_not_hold_up_outcomes(seed: Seed, name: str) -> None:
    await seed.broker.admin.execute("SET", f"{seed.keys.minute_prefix}{name}", "mine")
    await take(seed, "a")
    assert await seed.broker.run(done(seed.keys, ["a", TOKEN], words("t", n=1))) == {}
    assert await seed.ids("active") == []
    assert await seed.counter("processed") == 1


@pytest.mark.parametrize(("max_crashes", "ends"), [(3, {}), (1, {"failed": 1})])
async def test_crash_is_counted_where_the_lease_has_run_out(seed: Seed, max_crashes: int, ends: dict[str, int]) -> None:
    await take(seed, "a")
    await seed.broker.admin.execute("ZADD", seed.keys.lease, 1.5, "a")
    found = await seed.broker.run(expired(seed.keys, SLACK))
    await seed.broker.run(recover(seed.keys, SLACK, [Move(found.attempts[0], "crash")], max_crashes))
    for counts in await both(seed):
        assert counts.by_type == {"t": {"n": 1, "crashed": 1, **ends}}


async def test_crash_is_counted_where_a_supervisor_puts_tasks_back_but_not_after_a_stop(seed: Seed) -> None:
    await take(seed, "a")
    await seed.broker.run(give_back(seed.keys, "w", max_crashes=0))
    assert await both(seed) == (NOTHING, NOTHING)
    await seed.broker.run(fetch([(seed.keys, 1)], token=TOKEN, wanted=1, lease_seconds=30))
    await seed.broker.run(give_back(seed.keys, "w", max_crashes=3))
    for counts in await both(seed):
        assert counts.by_type == {"t": {"n": 1, "crashed": 1}}


async def test_only_what_fits_is_read_at_once_and_the_rest_by_further_calls(
    seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(await seed.now() // 60)
    for back in (0, 1, 5, 119, 130):
        key = f"{seed.keys.minute_prefix}{now - back}"
        await seed.broker.admin.execute("HSET", key, "types", 1, "n:t", back + 1, "succeeded:t", 1)
    monkeypatch.setattr(minute, "MOST_FIELDS", 3)
    found: Minutes = await Requests(seed.broker).carry_out(metric_series.minutes(seed.keys))
    later = int(found.now // 60) - now
    assert {now - number: each.by_type["t"]["n"] - 1 for number, each in found.counts.items()} == {
        back: back for back in (0, 1, 5, *([119] if later < 2 else []))
    }
    some: Minutes = await Requests(seed.broker).carry_out(metric_series.minutes(seed.keys, now - 1))
    assert sorted(some.counts) == [now - 1, now]


async def test_waits_of_fetched_tasks_are_told_in_microseconds(seed: Seed) -> None:
    now = await seed.now()
    for task_id, since in (("none", ""), ("ahead", f"{int((now + 60) * 1e9)}"), ("old", f"{int((now - 2) * 1e9)}")):
        await seed.pending(task_id)
        await seed.broker.admin.execute("HSET", seed.keys.task(task_id), "pending_since", since)
    fetched = await seed.broker.run(fetch([(seed.keys, 3)], token=TOKEN, wanted=3, lease_seconds=30))
    none, ahead, old = fetched.batches[0].waits
    assert none == -1
    assert ahead < 0
    assert 2e6 <= old < 2e6 + (await seed.now() - now) * 1e6 + 1


@pytest.mark.parametrize("prefix", ["asynq", "shop"])
async def test_what_ends_without_a_run_is_not_taken_for_the_work_of_others(any_url: str, prefix: str) -> None:
    async with Overseen.from_url(any_url, options=BrokerOptions(key_prefix=prefix)) as broker:
        keys = broker.keys.queue("q")
        spent = f"{keys.group('g')}:set"
        await broker.admin.execute("ZADD", spent, 1, "a", 1, "b")
        for task_id in ("a", "b"):
            await broker.admin.execute("HSET", keys.task(task_id), "msg", "x", "state", "aggregating")
        await broker.admin.execute("SADD", spent_key(keys), spent)
        await broker.admin.execute("INCRBY", keys.processed, 5)  # as a Go server does
        assert await broker.run(spend(keys, spent)) == 2
        totals = await broker.run(minute.look_total(keys))
        assert (totals.processed, totals.elsewhere()) == (7, {"processed": 5, "failed": 0})
        names = {name.decode() for name in await broker.admin.execute("KEYS", "*minute:*")}
        assert names == {f"{keys.minute_prefix}total"}
