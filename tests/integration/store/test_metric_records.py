"""Samples of metrics in the store: written once, folded into hours and days, and bounded."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete

from rota.inspect.metric_series import MetricSample
from rota.store import Store, metric_records
from rota.store.metric_records import AGES
from rota.store.tables import counters
from rota.wire.minute import TypeCounts

START = datetime(2026, 11, 29, 22, 58, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVER = {"since": datetime(2020, 1, 1, tzinfo=UTC), "until": datetime(2040, 1, 1, tzinfo=UTC)}


def sample(minute: int, number: int = 1, queue: str = "q", pending: int = 0) -> MetricSample:
    counts = TypeCounts({"t": {"n": number, "succeeded": number, "r9": number}}, {})
    return MetricSample(queue=queue, at=START + minute * MINUTE, counts=counts, sizes={"pending": pending})


async def runs(store: Store, step: str) -> dict[tuple[str, datetime], int]:
    found = await store.metric_samples(step, **EVER)  # type: ignore[arg-type]
    return {(each.queue, each.at): each.counts.by_type["t"]["n"] for each in found}


async def test_minutes_are_folded_into_the_hours_and_days_that_are_over(store: Store) -> None:
    assert await store.metrics_until() is None
    assert await store.record_metrics([sample(0, 1, pending=3), sample(1, 2)], START + MINUTE) == 2
    hour = START.replace(minute=0)
    assert await runs(store, "hour") == {("q", hour): 3}
    assert await runs(store, "day") == {}
    await store.record_metrics([sample(2, 4), sample(61, 8), sample(62, 16)], START + 62 * MINUTE)
    assert await store.metrics_until() == START + 62 * MINUTE
    assert await runs(store, "hour") == {("q", hour): 3, ("q", hour + HOUR): 12}
    assert await runs(store, "day") == {("q", START.replace(hour=0, minute=0)): 15}
    [first, *_] = await store.metric_samples("hour", **EVER)  # type: ignore[arg-type]
    assert first.counts.by_type["t"] == {"n": 3, "succeeded": 3, "r9": 3}
    assert (first.sizes or {})["pending"] == 3


async def test_minute_is_written_once_by_any_number_of_recorders(store: Store) -> None:
    written = await asyncio.gather(*(store.record_metrics([sample(0), sample(1)], START + MINUTE) for _ in range(4)))
    assert sorted(written) == [0, 0, 0, 2]
    # A recorder that died after its commit, or an earlier leader, comes again with what it has read.
    assert await store.record_metrics([sample(1, 50), sample(2)], START + 2 * MINUTE) == 1
    assert await store.record_metrics([sample(1, 50)], START) == 0
    assert await runs(store, "minute") == {("q", START + n * MINUTE): 1 for n in range(3)}
    assert list((await runs(store, "hour")).values()) == [2]


class Death(BaseException):
    """Ends a recorder at a line."""


async def test_nothing_is_written_if_the_recorder_dies_before_the_commit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise Death

    with monkeypatch.context() as patch:
        patch.setattr(metric_records, "_fold", die)
        with pytest.raises(Death):
            await store.record_metrics([sample(0), sample(1)], START + MINUTE)
    assert (await runs(store, "minute"), await store.metrics_until()) == ({}, None)
    assert await store.record_metrics([sample(0), sample(1)], START + MINUTE) == 2
    assert list((await runs(store, "hour")).values()) == [2]


async def test_a_long_break_is_folded_without_a_look_at_each_hour(store: Store) -> None:
    await store.record_metrics([sample(0)], START)
    later = 400 * 24 * 60
    await store.record_metrics([sample(later)], START + later * MINUTE)
    assert len(await runs(store, "hour")) == 1
    assert len(await runs(store, "day")) == 1


async def test_samples_are_read_by_queue_and_time(store: Store) -> None:
    await store.record_metrics([sample(0), sample(0, queue="other"), sample(1)], START + MINUTE)
    found = await store.metric_samples("minute", since=START, until=START + MINUTE, queue="other")
    assert [(each.queue, each.at) for each in found] == [("other", START)]
    assert await store.metric_samples("minute", since=START + 2 * MINUTE, until=START + DAY) == []


async def test_old_samples_are_deleted_by_age_and_by_number(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.record_metrics([sample(n) for n in range(1500)], START + 1500 * MINUTE)
    assert await store.trim_metrics(START + AGES["minute"] + 600 * MINUTE) == 600
    monkeypatch.setattr(metric_records, "MOST_ROWS", {"minute": 100, "hour": 10, "day": 1})
    await store.trim_metrics(START)
    assert len(await runs(store, "minute")) == 100
    assert len(await runs(store, "hour")) == 10
    assert min(at for _, at in await runs(store, "minute")) == START + 1400 * MINUTE


async def test_store_that_was_loaded_from_an_earlier_dump_is_filled(store: Store) -> None:
    async def forget(connection: object) -> None:
        await connection.execute(delete(counters).where(counters.c.name == "metrics"))  # type: ignore[attr-defined]

    await store.database.write(forget)
    assert await store.record_metrics([sample(0)], START) == 1
    assert await store.metrics_until() == START
