"""Stopping: nothing is lost, nothing is started that will not be finished, nothing costs a retry."""

import asyncio
from typing import Any

import pytest

from rota.app import Rota
from rota.broker import Broker
from rota.errors import BrokerUnavailable
from rota.wire.script import Call
from rota.worker.consume import fetcher
from rota.worker.run.finisher import Finisher
from rota.worker.worker import Worker
from tests.integration.worker.conftest import Bench, eventually


async def test_a_short_task_ends_as_finished_during_the_stop(app: Rota, bench: Bench) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    @app.task("stop:short", retention="1h")
    async def short() -> None:
        started.set()
        await go.wait()

    async with app.worker() as worker:
        receipt = await short.enqueue()
        await started.wait()
        worker.stop()
        await eventually(lambda: _true(worker.executor.closed))
        go.set()
    assert (await bench.in_state(receipt.id, "completed")).retried == 0


async def test_outcome_whose_reply_is_under_way_at_the_stop_is_not_sent_again(
    app: Rota, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    send = Finisher._send

    async def send_and_stop(self: Finisher, call: Call[Any]) -> Any:
        link = self._fetcher.link
        assert link is not None
        assert link._transport is not None
        await eventually(lambda: _true(not self._fetcher._taking))  # a stop cuts a connection with a fetch under way
        reply = asyncio.ensure_future(send(self, call))
        worker.stop()
        await asyncio.sleep(0)
        link._transport.pause_reading()
        await eventually(lambda: _true(link.closed))
        if not link._failed:
            link._transport.resume_reading()
        return await reply

    @app.task("stop:recorded", retention="1h")
    async def recorded() -> None: ...

    monkeypatch.setattr(fetcher, "LAST_OUTCOMES_SECONDS", 30)
    monkeypatch.setattr(Finisher, "_send", send_and_stop)
    async with app.worker(wake_up="poll") as worker:
        receipt = await recorded.enqueue()
        await eventually(lambda: _true(worker.executor.closed))
    await bench.in_state(receipt.id, "completed")
    [(_, finished)] = [each for each in worker.consumers.statistics() if each[1].calls]
    assert (finished.recorded, finished.repeated) == (1, 0)
    assert "Recording 1 outcome" not in caplog.text


async def test_end_of_the_block_does_not_hurry_a_worker_that_was_asked_to_stop_in_it(app: Rota, bench: Bench) -> None:
    started = asyncio.Event()

    @app.task("stop:gently", retention="1h")
    async def gently() -> None:
        started.set()
        while not worker.executor.closed:  # the stop begins when the block has ended
            await asyncio.sleep(0.01)

    async with app.worker(shutdown_timeout="1h") as worker:
        receipt = await gently.enqueue()
        await started.wait()
        worker.stop()
    assert (await bench.in_state(receipt.id, "completed")).retried == 0


async def test_a_worker_that_cannot_find_its_queues_at_its_start_can_still_be_stopped(
    app: Rota, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = asyncio.Event()

    async def nowhere(self: Broker, key: str) -> str:
        tried.set()
        raise BrokerUnavailable("No node of the Cluster serves the slot now.")

    monkeypatch.setattr(Broker, "node_of", nowhere)
    worker = Worker(app, app.settings)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(worker.run())
        await tried.wait()
        worker.stop()
    assert not worker.ready.is_set()


async def test_a_worker_that_is_quieted_before_it_is_ready_takes_no_task(app: Rota, bench: Bench) -> None:
    worker = Worker(app, app.settings)
    worker.quiet()
    running = asyncio.create_task(worker.run())
    await worker.ready.wait()
    assert worker.heartbeat.status == "stopped"
    worker.stop()
    await running


async def _true(value: bool) -> bool:
    return value


async def test_a_long_task_is_cancelled_first_and_handed_back_to_the_front_with_no_retry_spent(
    app: Rota, bench: Bench
) -> None:
    events: list[str] = []
    started = asyncio.Event()

    @app.task("stop:long")
    async def long() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            task = await bench.task(receipt.id)
            assert task is not None
            events.append(f"ended while {task.state}")

    async with app.worker(shutdown_timeout="50ms", concurrency=1):
        receipt = await long.enqueue()
        await started.wait()
        second = await long.enqueue()
    assert events == ["ended while active"]
    task = await bench.in_state(receipt.id, "pending")
    assert (task.retried, task.last_error) == (0, "")
    keys = app.keys.queue("default")
    assert await bench.execute("LRANGE", keys.pending, 0, -1) == [second.id.encode(), receipt.id.encode()]
    assert await bench.execute("EXISTS", keys.active, keys.lease) == 0


async def test_asked_twice_it_stops_without_waiting(app: Rota, bench: Bench) -> None:
    started = asyncio.Event()

    @app.task("stop:twice")
    async def endless() -> None:
        started.set()
        await asyncio.Event().wait()

    async with app.worker(shutdown_timeout="1h") as worker:
        receipt = await endless.enqueue()
        await started.wait()
        worker.stop()
        worker.stop()
    await bench.in_state(receipt.id, "pending")


async def test_tasks_that_wait_for_their_types_limit_are_handed_back_at_once(app: Rota, bench: Bench) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    @app.task("stop:limited", concurrency=1)
    async def limited() -> None:
        started.set()
        await go.wait()

    async with app.worker() as worker:
        receipts = [await limited.enqueue() for _ in range(2)]
        await started.wait()
        await eventually(lambda: _true(len(worker.held()) == 2))
        worker.stop()
        waiting = [r for r in receipts if r.id not in {a.id for a in worker.executor.running()}]
        await bench.in_state(waiting[0].id, "pending")
        go.set()


async def test_a_quiet_worker_takes_nothing_new_and_finishes_what_it_has(app: Rota, bench: Bench) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    @app.task("stop:quiet")
    async def quiet() -> None:
        started.set()
        await go.wait()

    async with app.worker() as worker:
        first = await quiet.enqueue()
        await started.wait()
        worker.quiet()
        await eventually(lambda: _true(all(consumer.fetching.done() for consumer in worker.consumers)))
        second = await quiet.enqueue()
        go.set()
        await bench.gone(first.id)
        await bench.in_state(second.id, "pending")

        async def shown_as_stopped() -> bool:
            return [str(server.status) for server in await bench.inspector.servers()] == ["stopped"]

        await eventually(shown_as_stopped)


async def test_a_worker_is_listed_while_it_works_and_gone_after_it(app: Rota, bench: Bench) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    @app.task("stop:shown")
    async def shown() -> None:
        started.set()
        await go.wait()

    async with app.worker(concurrency=7, queues="critical=6,default=3") as worker:
        receipt = await shown.enqueue()
        await started.wait()

        async def listed() -> bool:
            servers = await bench.inspector.servers()
            return bool(servers and servers[0].running)

        await eventually(listed)
        [server] = await bench.inspector.servers()
        assert (server.id, server.concurrency, server.queues) == (worker.server_id, 7, {"critical": 6, "default": 3})
        assert [task.id for task in server.running] == [receipt.id]
        go.set()
    assert await bench.inspector.servers() == []
    assert await bench.execute("KEYS", "asynq:servers*") == []
    assert await bench.execute("KEYS", "asynq:workers*") == []


async def test_running_tasks_that_do_not_end_in_time_return_in_their_old_order(app: Rota, bench: Bench) -> None:
    started = asyncio.Semaphore(0)

    @app.task("stop:order")
    async def hang() -> None:
        started.release()
        await asyncio.Event().wait()

    jobs = [await hang.enqueue() for _ in range(8)]
    async with app.worker(concurrency=8, shutdown_timeout="100ms"):
        async with asyncio.timeout(30):
            for _ in jobs:
                await started.acquire()
    ids = await bench.execute("LRANGE", app.keys.queue("default").pending, 0, -1)
    assert [raw.decode() for raw in reversed(ids)] == [job.id for job in jobs]


async def test_a_hundred_stops_under_load_lose_and_double_nothing(app: Rota, bench: Bench) -> None:
    runs: dict[int, int] = {}

    @app.task("stop:counted")
    async def counted(n: int) -> None:
        await asyncio.sleep(0)
        runs[n] = runs.get(n, 0) + 1

    total = 3000
    await app.enqueue_many(counted.plan(n) for n in range(total))
    for _ in range(100):
        async with app.worker(concurrency=20):
            pass
        if len(runs) == total:
            break
    else:
        async with app.worker():
            await eventually(lambda: _true(len(runs) == total), seconds=30)
    assert runs == dict.fromkeys(range(total), 1)
    info = await bench.inspector.queue("default")
    assert (info.processed_total, info.failed_total, info.size) == (total, 0, 0)
