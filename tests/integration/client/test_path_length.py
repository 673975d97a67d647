"""How long the way of one awaited enqueue is: Python calls of ours from the call to the socket and back."""

from rota import Rota
from rota.wire import enqueue
from scripts.measure_house import calls_by_file

MOST_CALLS = 25
"""A coroutine that is resumed counts once more."""
MOST_MODULES = 15


async def test_one_enqueue_takes_few_calls_in_few_modules(redis_url: str) -> None:
    enqueue._ready.clear()  # so that the first enqueue makes the IDs of a whole batch
    async with Rota(redis_url) as app:

        @app.task("path:length")
        async def task(number: int) -> None: ...

        await task.enqueue(1)  # connects, registers the queue, sends the source of the script
        await task.enqueue(2)
        with calls_by_file() as found:
            await task.enqueue(7)

    assert found.total() <= MOST_CALLS, found
    assert len(found) <= MOST_MODULES, found
