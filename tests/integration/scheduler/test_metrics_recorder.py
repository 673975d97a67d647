"""The recorder of metrics: from what workers and Asynq's counters say in Redis to samples in the store."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rota.app import Rota
from rota.inspect.metric_series import MetricSample, at_minute
from rota.scheduler import metrics_recorder
from rota.scheduler.metrics_recorder import MetricsRecorder
from rota.store import Store, open_store
from tests.integration.scheduler.conftest import eventually
from tests.servers.overseen import Overseen

EVER = {"since": datetime(2020, 1, 1, tzinfo=UTC), "until": datetime(2040, 1, 1, tzinfo=UTC)}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path}/rota.db") as store:
        yield store


class Minutes:
    """Writes what workers would have written, and lets the recorder believe that a minute is over."""

    def __init__(self, broker: Overseen, recorder: MetricsRecorder) -> None:
        self.recorder = recorder
        self.all_keys = broker.keys
        self.keys = broker.keys.queue("default")
        self.execute = broker.admin.execute

    async def now(self) -> int:
        seconds, _ = await self.execute("TIME")
        return int(seconds) // 60

    async def write(self, number: int, runs: int) -> None:
        await self.execute("SADD", self.all_keys.queues, "default")
        for key in (number, "total"):
            for name in ("n:t", "succeeded:t", "r9:t"):
                await self.execute("HINCRBY", f"{self.keys.minute_prefix}{key}", name, runs)
        await self.execute("INCRBY", self.keys.processed, runs)

    async def record(self, store: Store) -> None:
        self.recorder._tried = 0
        await self.recorder.record(store)


@pytest.fixture
async def minutes(app: Rota, broker: Overseen) -> AsyncIterator[Minutes]:
    of_the_scheduler = app.connect()
    yield Minutes(broker, MetricsRecorder(of_the_scheduler))
    await of_the_scheduler.aclose()


async def samples(store: Store, queue: str = "default") -> list[MetricSample]:
    return await store.metric_samples("minute", **EVER, queue=queue)


async def test_minutes_that_are_over_are_written_once_and_the_present_one_later(minutes: Minutes, store: Store) -> None:
    now = await minutes.now()
    for back, runs in ((3, 5), (1, 7), (0, 9)):
        await minutes.write(now - back, runs)
    await minutes.record(store)
    await minutes.record(store)
    found = {each.at: each.counts.by_type["t"]["n"] for each in await samples(store) if each.counts.by_type}
    assert found.pop(at_minute(now), 9) == 9  # only if a minute has just ended
    assert found == {at_minute(now - 3): 5, at_minute(now - 1): 7}
    assert await store.metrics_until() in (at_minute(now - 1), at_minute(now))


async def test_sample_has_sizes_and_the_age_of_the_next_task(app: Rota, minutes: Minutes, store: Store) -> None:
    await minutes.write(await minutes.now() - 1, 1)
    await app.enqueue("t", {})
    await minutes.record(store)
    [*_, last] = await samples(store)
    assert last.sizes is not None
    assert (last.sizes["pending"], last.sizes["active"]) == (1, 0)
    assert last.oldest_seconds is not None
    assert 0 <= last.oldest_seconds < 120
    [memory] = await samples(store, "")
    assert memory.memory_bytes is not None
    assert memory.memory_bytes > 100_000


async def test_what_others_processed_is_known_from_the_second_sample_on(
    minutes: Minutes, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = await minutes.now()
    await minutes.write(now - 2, 1)
    await minutes.execute("INCRBY", minutes.keys.processed, 100)  # before, so nobody knows when
    first = await minutes.recorder._others_did("default", 60.0)
    await minutes.execute("INCRBY", minutes.keys.processed, 30)
    await minutes.execute("INCRBY", minutes.keys.failed, 4)
    second = await minutes.recorder._others_did("default", 120.0)
    third = await minutes.recorder._others_did("default", 400.0)  # after a break, which is not one minute
    await minutes.execute("SET", minutes.keys.processed, 0)  # as Asynq does before it exceeds 64 bits
    reset = await minutes.recorder._others_did("default", 460.0)
    assert (first, second, third, reset) == (None, {"processed": 30, "failed": 4}, None, None)


async def test_queue_with_a_key_of_the_wrong_type_does_not_hold_up_the_others(minutes: Minutes, store: Store) -> None:
    await minutes.write(await minutes.now() - 1, 2)
    await minutes.execute("SADD", minutes.all_keys.queues, "broken")
    await minutes.execute("SET", minutes.all_keys.queue("broken").pending, "x")
    await minutes.record(store)
    assert [each.counts.by_type["t"]["n"] for each in await samples(store) if each.counts.by_type] == [2]
    assert await samples(store, "broken") == []


async def test_nothing_is_asked_before_the_next_minute(minutes: Minutes, store: Store) -> None:
    await minutes.record(store)
    await minutes.recorder._broker.aclose()
    if minutes.recorder._tried == int(metrics_recorder.time.time() // 60):
        await minutes.recorder.record(store)


async def test_leading_scheduler_records_what_a_worker_does(
    app: Rota, broker: Overseen, store: Store, tmp_path: Path
) -> None:
    """The minute that is over is one that a worker wrote, moved back, because a test does not wait for a minute."""

    @app.task("quick")
    async def quick() -> None: ...

    keys = broker.keys.queue("default")
    await quick.enqueue()
    async with app.worker():

        async def written() -> bool:
            return bool(await broker.admin.execute("EXISTS", f"{keys.minute_prefix}total"))

        await eventually(written)
    await broker.admin.execute("HINCRBY", f"{keys.minute_prefix}open", "minute", -2)
    async with app.scheduler(store=f"sqlite:///{tmp_path}/rota.db"):

        async def stored() -> list[MetricSample]:
            return [each for each in await samples(store) if each.counts.by_type]

        await eventually(stored)
    [found] = await stored()
    assert found.counts.by_type["quick"]["succeeded"] == 1
    assert datetime.now(UTC) - found.at < timedelta(minutes=10)
