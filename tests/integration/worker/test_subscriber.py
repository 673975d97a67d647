import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from rota.worker.run.subscriber import Subscriber
from tests.integration.worker.yard import Yard, open_yard

DEADLINE = 30.0


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.005)


async def test_it_hears_who_is_to_be_cancelled(yard: Yard) -> None:
    heard: list[str] = []
    subscriber = Subscriber(yard.broker, heard.append)
    running = asyncio.create_task(subscriber.run())
    await until(lambda: subscriber.statistics().listening)
    await yard.execute("PUBLISH", yard.broker.keys.cancel, "task-1")
    await until(lambda: "task-1" in heard)
    running.cancel()
    await asyncio.wait([running])
    assert subscriber.statistics().heard == len(heard)
    assert not subscriber.statistics().listening


async def test_it_hears_again_after_its_connection_was_cut(yard: Yard) -> None:
    heard: list[str] = []
    subscriber = Subscriber(yard.broker, heard.append)
    running = asyncio.create_task(subscriber.run())
    await until(lambda: subscriber.statistics().listening)
    await yard.broker.admin.cut_listeners()
    await until(lambda: subscriber.statistics().reconnects == 1)
    await yard.execute("PUBLISH", yard.broker.keys.cancel, "task-2")
    await until(lambda: "task-2" in heard)
    running.cancel()
    await asyncio.wait([running])


async def test_an_error_of_the_listener_does_not_end_it(yard: Yard) -> None:
    heard: list[str] = []

    def fail_once(task_id: str) -> None:
        heard.append(task_id)
        if task_id == "one":
            raise LookupError(task_id)

    subscriber = Subscriber(yard.broker, fail_once)
    running = asyncio.create_task(subscriber.run())
    await until(lambda: subscriber.statistics().listening)
    await yard.execute("PUBLISH", yard.broker.keys.cancel, "one")
    await until(lambda: subscriber.statistics().errors == 1)
    await until(lambda: subscriber.statistics().listening)
    await yard.execute("PUBLISH", yard.broker.keys.cancel, "two")
    # The nodes of a Cluster pass messages on when they can: one of the test before may be there too.
    await until(lambda: [each for each in heard if each in ("one", "two")] == ["one", "two"])
    running.cancel()
    await asyncio.wait([running])
