"""Tasks are moved to and fro while workers run them: each runs once, and none is lost."""

import asyncio
from collections import Counter

from rota import Rota
from rota.inspect import InState, MoveTo
from tests.servers.roles import as_role

TASKS = 400
PATIENCE_SECONDS = 60


async def test_each_task_runs_once_while_it_is_moved_between_queues_that_workers_serve(any_url: str) -> None:
    app = Rota(any_url, settings={"concurrency": 4})
    ran: Counter[int] = Counter()
    all_ran = asyncio.Event()

    @app.task("count")
    async def count(number: int) -> None:
        ran[number] += 1
        if len(ran) == TASKS:
            all_ran.set()

    async def move(source: str, target: str) -> None:
        actions = app.actions()
        while not all_ran.is_set():
            async for _ in actions.batches(actions.bulk(MoveTo(target, create=True), InState(source, "pending"))):
                await asyncio.sleep(0)

    async with app:
        jobs = await app.enqueue_many([count.options(queue="left").plan(number) for number in range(TASKS)])
        assert len(jobs) == TASKS
        movers = [asyncio.create_task(move("left", "right")), asyncio.create_task(move("right", "left"))]
        async with asyncio.timeout(PATIENCE_SECONDS), app.worker(queues={"left": 1, "right": 1}):
            await all_ran.wait()
            await asyncio.gather(*movers)
    async with Rota(as_role(any_url, "inspector")) as looking:
        left = [await looking.inspector().queue(name) for name in ("left", "right")]
    assert set(ran.values()) == {1}
    assert sum(each.pending + each.active + each.archived + each.retry for each in left) == 0
    assert all(each.failed == 0 for each in left)
