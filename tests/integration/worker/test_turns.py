"""More tasks for processes than processes: they wait for their turn in the worker."""

from rota.app import Rota
from tests.integration.worker.conftest import Bench
from tests.unit.worker.process_functions import nap


async def test_the_wait_for_a_process_is_not_taken_from_the_time_of_a_task(app: Rota, bench: Bench) -> None:
    task = app.task("turn:nap", run="process", timeout="4s", retention="1h")(nap)
    async with app.worker(concurrency=8, pool_size=1) as worker:
        await worker.parts.processes.warm()  # a busy machine takes long to start one
        receipts = [await task.enqueue(0.6) for _ in range(8)]
        for receipt in receipts:
            await receipt.result("30s")


async def test_a_task_that_takes_longer_than_its_time_after_a_wait_is_still_ended(app: Rota, bench: Bench) -> None:
    task = app.task("turn:over", run="process", timeout="1s")(nap)
    async with app.worker(concurrency=2, pool_size=1):
        await task.enqueue(0.5)
        second = await task.enqueue(60)
        assert (await bench.in_state(second.id, "retry")).last_error == "context deadline exceeded"
