"""Lanes that are asked to stop before there are any."""

import asyncio
from typing import Any, cast

from rota.worker.consume.node_consumer import NodeConsumers


def nobody(*_: Any) -> Any:
    raise AssertionError("nothing is to be started any more")


async def test_lanes_that_are_stopped_before_they_are_laid_wait_for_their_end() -> None:
    consumers = NodeConsumers(cast(Any, None), list, nobody, nobody)
    await consumers.stop_fetching()
    running = asyncio.create_task(consumers.run())
    await consumers.refreshed.wait()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
