"""Metrics of a queue that Go servers and workers of Rota share: what each did is told apart."""

import asyncio

from interop.programs import Go
from rota.app import Rota
from rota.client.requests import Requests
from rota.inspect import metric_series
from rota.inspect.prometheus import read_queues
from rota.wire import minute


async def test_what_go_processed_is_a_number_without_types_and_times(go: Go, app: Rota) -> None:
    @app.task("ours", retry=0)
    async def ours(good: bool) -> None:
        if not good:
            raise ValueError("bad")

    broker = app.connect()
    keys = broker.keys.queue("default")

    async def processed(number: int) -> minute.Totals:
        async with asyncio.timeout(60):
            while (totals := await broker.run(minute.look_total(keys))).processed < number:
                await asyncio.sleep(0.02)
        return totals

    async with go.server(queues={"default": 1}, concurrency=5, tasks={"*": {"sleep_ms": 1}}):
        await go.enqueue_many(20, type="theirs")
        totals = await processed(20)
    assert totals.elsewhere() == {"processed": 20, "failed": 0}
    assert totals.counts.by_type == {}
    for good in (True, False):
        await ours.enqueue(good)
    async with app.worker():
        totals = await processed(22)
    assert totals.elsewhere() == {"processed": 20, "failed": 0}
    assert {name: totals.counts.by_type["ours"][name] for name in ("succeeded", "failed")} == {
        "succeeded": 1,
        "failed": 1,
    }
    samples = [
        each
        for each in await Requests(broker).carry_out(metric_series.live_samples(keys))
        if "ours" in each.counts.by_type
    ]
    assert [each.elsewhere for each in samples] == [None] * len(samples) != []
    [shown] = await Requests(broker).carry_out(read_queues(broker.keys))
    assert (shown.snapshot.processed_total, shown.totals.elsewhere()["processed"]) == (22, 20)
    await broker.aclose()
