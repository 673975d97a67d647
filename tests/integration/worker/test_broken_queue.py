"""A queue of which a key is of another type keeps no other queue of its worker from being served."""

import asyncio
import logging
from typing import Any

import pytest

from rota.app import Rota
from rota.broker.broker import Broker
from rota.errors import BrokerRefused
from tests.integration.worker.conftest import Bench, eventually

TASKS = 20
BREAKS = ["pending", "active", "lease", "scheduled", "retry"]


@pytest.mark.parametrize("key", BREAKS)
async def test_the_tasks_of_other_queues_run_once_and_those_of_the_broken_one_once_it_is_mended(
    app: Rota, bench: Bench, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    runs: list[int] = []

    @app.task("broken:run")
    async def run(number: int) -> None:
        runs.append(number)

    broken = bench.broker.keys.queue("b")
    for number in range(TASKS):
        await run.options(queue="a").enqueue(number)
    for number in range(TASKS if key != "pending" else 0):
        await run.options(queue="b").enqueue(TASKS + number)
    await bench.execute("SET", broken.base + key, "not what it should be")
    await bench.execute("SADD", bench.broker.keys.queues, "b")

    async with app.worker(queues={"a": 1, "b": 1}, concurrency=2 * TASKS, sweep_interval="500ms") as worker:
        with caplog.at_level(logging.ERROR, "rota.worker"):
            await run.options(queue="a").enqueue(-1)

            async def all_ran() -> bool:
                return len(runs) == TASKS + 1

            async def swept() -> bool:
                return worker.parts.sweep.sweeper.statistics().sweeps > 2

            await eventually(all_ran)
            await eventually(swept)
        assert caplog.text.count(f"Queue b is not served: its key {broken.base}{key} is of another type") == 1
        await bench.execute("DEL", broken.base + key)
        for number in range(TASKS):
            await run.options(queue="b").enqueue(2 * TASKS + number)
        expected = {-1, *range(TASKS), *range(2 * TASKS, 3 * TASKS)}
        expected |= set(range(TASKS, 2 * TASKS)) if key != "pending" else set()

        async def mended() -> bool:
            return set(runs) == expected

        await eventually(mended)
        await asyncio.sleep(0)

    assert len(runs) == len(expected)
    for name in ("a", "b"):
        keys = bench.broker.keys.queue(name)
        assert await bench.execute("EXISTS", keys.archived, keys.crashed, keys.active, keys.lease) == 0


async def test_what_a_refused_fetch_had_taken_is_run_all_the_same(
    app: Rota, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked for in each queue that was asked, and one where that is refused holds up no other."""
    send, refused = Broker.run_via, asyncio.Event()

    async def run_via(self: Broker, link: Any, call: Any) -> Any:
        reply = await send(self, link, call)
        if call.script.name == "fetch" and any(batch.tasks for batch in reply.batches) and not refused.is_set():
            refused.set()
            await bench.execute("SET", bench.broker.keys.queue("b").active, "x")
            raise BrokerRefused("refused half-way")
        return reply

    monkeypatch.setattr(Broker, "run_via", run_via)
    runs: list[int] = []

    @app.task("broken:refused")
    async def run(number: int) -> None:
        runs.append(number)

    for number in range(5):
        await run.options(queue="a").enqueue(number)

    async def all_ran() -> bool:
        return len(runs) == 5

    async with app.worker(queues={"a": 1, "b": 1}):
        await eventually(all_ran)
        assert refused.is_set()
    assert sorted(runs) == [*range(5)]
    keys = bench.broker.keys.queue("a")
    assert await bench.execute("EXISTS", keys.active, keys.lease, keys.pending, keys.crashed) == 0


async def test_a_queue_is_paused_by_a_key_of_any_type(app: Rota, bench: Bench) -> None:
    ran = asyncio.Event()

    @app.task("broken:paused")
    async def run() -> None:
        ran.set()

    paused = bench.broker.keys.queue("b").paused
    await bench.execute("LPUSH", paused, "x")
    held = await run.options(queue="b").enqueue()
    async with app.worker(queues={"a": 1, "b": 1}):
        await run.options(queue="a").enqueue()
        await asyncio.wait_for(ran.wait(), 30)
        assert (await held.info()).state == "pending"
        await bench.execute("DEL", paused)
        await bench.gone(held.id, "b")
