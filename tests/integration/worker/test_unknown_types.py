"""Tasks of types that a worker does not know: left to others, then put off, never at the cost of a retry."""

import pytest

from rota.app import Rota
from tests.integration.worker.conftest import Bench, eventually


async def test_an_unknown_type_is_handed_back_without_costing_a_retry_and_counted(app: Rota, bench: Bench) -> None:
    async with app.worker(unknown_task_delay="20ms") as worker:
        receipt = await app.enqueue("nobody:knows", {})
        task = await bench.in_state(receipt.id, "retry")
        assert task.last_error == 'handler not found for task "nobody:knows"'
        assert task.retried == 0
        assert worker.executor.unhandled.unknown.counts["nobody:knows"] >= 1

        @app.task("nobody:knows")
        async def known() -> None:
            return None

        await bench.gone(receipt.id)


@pytest.mark.parametrize("way", ["tracking", "poll"])
async def test_an_idle_worker_leaves_them_to_one_that_knows_them(app: Rota, bench: Bench, way: str) -> None:
    newer = Rota(app.settings.broker.url, settings=app.settings)

    @newer.task("others:job")
    async def job() -> None:
        return None

    async with app.worker(wake_up=way) as worker:
        receipt = await app.enqueue("others:job", {}, max_retry=0)

        async def left() -> bool:
            return worker.executor.unhandled.unknown.counts["others:job"] > 0 and not worker.executor.held

        await eventually(left)
        assert (await bench.in_state(receipt.id, "pending")).last_error == ""
        async with newer.worker():
            await bench.gone(receipt.id)
        assert worker.executor.unhandled.unknown.counts["others:job"] == 1
    await newer.aclose()


@pytest.mark.parametrize("way", ["tracking", "poll"])
async def test_a_worker_that_has_met_one_waits_as_quietly_as_before(app: Rota, bench: Bench, way: str) -> None:
    async with app.worker(wake_up=way, unknown_task_delay="1s") as worker:
        [consumer] = worker.consumers
        receipt = await app.enqueue("nobody:knows", {})

        await bench.in_state(receipt.id, "retry")
        assert worker.executor.unhandled.unknown.counts["nobody:knows"] == 2
        assert consumer.fetcher.statistics.rounds < 30

        await app.client.delete("default", receipt.id)
        rounds = consumer.fetcher.statistics.rounds

        async def waits() -> bool:
            return consumer.fetcher.statistics.waiting and consumer.fetcher.statistics.rounds <= rounds + 5

        await eventually(waits)


async def test_what_others_would_run_holds_up_nothing_that_is_run_here(app: Rota, bench: Bench) -> None:
    @app.task("mine:job", retention="10m")
    async def job() -> int:
        return 1

    async with app.worker():
        others = [await app.enqueue("others:job", {}) for _ in range(20)]
        assert [await (await job.enqueue()).result("20s") for _ in range(3)] == [1, 1, 1]
        assert (await bench.in_state(others[-1].id, "pending")).last_error == ""
