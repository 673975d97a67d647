"""Tasks of several queues may have the same ID."""

import asyncio

from rota.app import Rota
from tests.integration.worker.conftest import Bench, eventually


async def test_tasks_of_two_queues_with_one_id_are_shown_and_cancelled_each_by_itself(app: Rota, bench: Bench) -> None:
    @app.task("twins:wait")
    async def wait() -> None:
        await asyncio.Event().wait()

    async with app.worker(queues="a,b") as worker:
        first, second = [await wait.options(queue=queue, task_id="same").enqueue() for queue in "ab"]

        async def shown() -> bool:
            [server] = await bench.inspector.servers()
            return [(task.queue, task.id) for task in server.running] == [("a", "same"), ("b", "same")]

        await eventually(shown)
        await second.cancel("only this one")
        assert (await bench.in_state("same", "archived", queue="b")).last_error == "cancelled: only this one"

        async def first_alone() -> bool:  # a slot is free a moment after the outcome is recorded
            return [attempt.queue.queue for attempt in worker.held()] == ["a"]

        await eventually(first_alone)
        # A Go client names no queue, so it means all of them.
        await bench.execute("PUBLISH", bench.broker.keys.cancel, "same")
        assert (await bench.in_state("same", "archived", queue="a")).end == "cancelled"
    assert first.id == second.id
