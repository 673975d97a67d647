"""Orders to a whole worker over Redis: obeyed once, answered, and shown in its record."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from rota.app import Rota
from rota.broker import Broker
from rota.errors import OptionError, TaskNotFound, WorkerNotFound, WorkerOrderFailed
from rota.inspect import Actions, ServerSnapshot
from rota.inspect.worker_actions import matching
from rota.wire import worker_order
from rota.wire.worker_order import WorkerOrder
from rota.worker.worker import Worker
from tests.integration.worker.conftest import Bench, eventually
from tests.servers.roles import as_role


@pytest.fixture
async def actions(app: Rota) -> AsyncIterator[Actions]:
    async with Broker.from_url(as_role(app.settings.broker.url, "operator")) as broker:
        yield Actions(broker)


async def server_of(bench: Bench, worker: Worker) -> ServerSnapshot:
    """Wait for the record of a worker that takes tasks."""

    async def look() -> ServerSnapshot | None:
        return next((each for each in await bench.inspector.servers() if each.id == worker.server_id), None)

    found = await eventually(look)
    assert isinstance(found, ServerSnapshot)
    return found


async def shown(bench: Bench, worker: Worker, **fields: object) -> None:
    """Wait until the record of a worker has these values."""

    async def look() -> bool:
        server = await server_of(bench, worker)
        return all(getattr(server, name) == value for name, value in fields.items())

    await eventually(look)


async def test_quiet_worker_takes_no_tasks_until_it_is_woken(app: Rota, bench: Bench, actions: Actions) -> None:
    @app.task("order:run")
    async def run() -> None: ...

    async with app.worker() as worker:
        await (await run.options(retention="1h").enqueue()).result("30s")
        server = await server_of(bench, worker)
        assert (await actions.quiet_worker(server, reason="deploy", by="anna")).is_obeyed
        await shown(bench, worker, status="stopped")
        waiting = await run.options(retention="1h").enqueue()
        await asyncio.gather(*(consumer.fetching for consumer in worker.consumers), return_exceptions=True)
        assert (await waiting.info()).state == "pending"
        assert (await actions.wake_worker(server)).is_obeyed
        await waiting.result("30s")
        await shown(bench, worker, status="active")


async def test_outcomes_of_tasks_that_ran_through_quiet_and_wake_are_recorded(
    app: Rota, bench: Bench, actions: Actions
) -> None:
    go = asyncio.Event()

    @app.task("order:wait", retention="1h")
    async def wait() -> str:
        await go.wait()
        return "done"

    async with app.worker(concurrency=2) as worker:
        jobs = [await wait.enqueue() for _ in range(4)]
        for job in jobs[:2]:
            await bench.in_state(job.id, "active")
        server = await server_of(bench, worker)
        for _ in range(3):
            await actions.quiet_worker(server)
            await actions.wake_worker(server)
        go.set()
        assert [await job.result("30s") for job in jobs] == ["done"] * 4
        assert worker.slots.used == 0


async def test_concurrency_grows_and_shrinks_at_run_time(app: Rota, bench: Bench, actions: Actions) -> None:
    running, most, ends = 0, 0, asyncio.Semaphore(0)

    @app.task("order:hold", retention="1h")
    async def hold() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await ends.acquire()
        running -= 1

    async with app.worker(concurrency=2) as worker:
        server = await server_of(bench, worker)
        jobs = [await hold.enqueue() for _ in range(12)]
        await eventually(lambda: _is(lambda: running == 2))
        assert (await actions.scale_worker(server, 6)).is_obeyed
        await eventually(lambda: _is(lambda: running == 6))
        await shown(bench, worker, concurrency=6)
        assert (await actions.scale_worker(server, 1)).is_obeyed
        await shown(bench, worker, concurrency=1, active=6)
        most = 0
        for _ in range(5):
            ends.release()
        await eventually(lambda: _is(lambda: running == 1))
        for _ in range(7):
            ends.release()
        for job in jobs:
            await job.result("30s")
        assert most <= 6
        assert worker.slots.free == worker.slots.capacity == 1


async def _is(condition: object) -> bool:
    assert callable(condition)
    return bool(condition())


async def test_functions_in_threads_follow_a_larger_concurrency(app: Rota, bench: Bench, actions: Actions) -> None:
    barrier = threading.Barrier(4)

    @app.task("order:thread", retention="1h")
    def meet() -> str:
        barrier.wait(25)  # all four have to run at once
        return "met"

    async with app.worker(concurrency=1) as worker:
        await actions.scale_worker(await server_of(bench, worker), 4)
        jobs = [await meet.enqueue() for _ in range(4)]
        assert [await job.result("30s") for job in jobs] == ["met"] * 4


async def test_parked_task_goes_back_to_its_queue_if_the_slots_were_reduced(
    app: Rota, bench: Bench, actions: Actions
) -> None:
    ends = asyncio.Semaphore(0)
    started: list[int] = []

    @app.task("order:limited", concurrency=1, retention="1h")
    async def limited(number: int) -> None:
        started.append(number)
        await ends.acquire()

    @app.task("order:free", retention="1h")
    async def free() -> None:
        await ends.acquire()

    async with app.worker(concurrency=4) as worker:
        jobs = [await limited.enqueue(number) for number in range(2)]
        others = [await free.enqueue() for _ in range(3)]
        await eventually(lambda: _is(lambda: worker.slots.used == 4))
        await actions.scale_worker(await server_of(bench, worker), 1)
        for _ in range(5):
            ends.release()
        for job in (*jobs, *others):
            await job.result("30s")
        assert started == [0, 1]
        assert (await jobs[1].info()).retried == 0


async def test_ordered_stop_lets_running_tasks_end(app: Rota, bench: Bench, actions: Actions) -> None:
    go = asyncio.Event()

    @app.task("order:last", retention="1h")
    async def last() -> str:
        await go.wait()
        return "done"

    async with app.worker() as worker:
        job = await last.enqueue()
        await bench.in_state(job.id, "active")
        assert (await actions.stop_worker(await server_of(bench, worker))).is_obeyed
        assert worker.stopping
        go.set()
        assert await job.result("30s") == "done"


async def test_idle_worker_answers_the_order_to_stop_with_its_last_words(
    app: Rota, bench: Bench, actions: Actions
) -> None:
    async with app.worker() as worker:
        assert (await actions.stop_worker(await server_of(bench, worker))).is_obeyed
        await eventually(lambda: _gone(bench, worker))


async def _gone(bench: Bench, worker: Worker) -> bool:
    return all(each.id != worker.server_id for each in await bench.inspector.servers())


async def test_order_is_found_by_the_next_heartbeat_if_its_notice_was_lost(app: Rota, bench: Bench) -> None:
    async with app.worker() as worker:
        server = await server_of(bench, worker)
        order = WorkerOrder(act="scale", concurrency=9)
        give = worker_order.give(bench.broker.keys, server.host, server.pid, server.id, order, timedelta(seconds=30))
        async with app.connect() as broker:
            await broker.run(give)
        await shown(bench, worker, concurrency=9)


async def test_order_that_is_read_again_is_obeyed_once_and_answered_again(
    app: Rota, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rota.worker")
    async with app.worker() as worker:
        server = await server_of(bench, worker)
        order = WorkerOrder(act="scale", concurrency=9, by="anna", reason="more work")
        give = worker_order.give(bench.broker.keys, server.host, server.pid, server.id, order, timedelta(seconds=30))
        orders_key = bench.broker.keys.orders(server.host, server.pid, server.id)

        async def answered() -> object:
            return await bench.execute("HGET", orders_key, worker_order.answer_field(order.id))

        async with app.connect() as broker:
            await broker.run(give)
            assert await eventually(answered) == b"done"
            worker.scale(3)
            await bench.execute("DEL", orders_key)  # the answer was lost, and the order is sent again
            await broker.run(give)
            assert await eventually(answered) == b"done"
        assert worker.slots.capacity == 3
    obeyed = [line for line in caplog.messages if "obeys an order" in line]
    assert obeyed == [f"Worker {worker.id} obeys an order by anna (more work): run 9 tasks at once."]


async def test_worker_answers_an_order_that_it_does_not_know(app: Rota, bench: Bench) -> None:
    async with app.worker() as worker:
        server = await server_of(bench, worker)
        orders_key = bench.broker.keys.orders(server.host, server.pid, server.id)
        await bench.execute("HSET", orders_key, "o1", '9999999999 {"act": "dance"}')
        await bench.execute("HSET", orders_key, "o2", "9999999999 not JSON")

        async def answers() -> list[object]:
            found = [await bench.execute("HGET", orders_key, worker_order.answer_field(each)) for each in ("o1", "o2")]
            return found if all(found) else []

        for answer in await eventually(answers):  # type: ignore[attr-defined]
            assert answer.startswith(b"It was not obeyed: ")


async def test_order_to_a_worker_that_was_started_again_is_refused(app: Rota, bench: Bench, actions: Actions) -> None:
    async with app.worker() as worker:
        server = await server_of(bench, worker)
    async with app.worker() as second:
        await server_of(bench, second)
        with pytest.raises(WorkerNotFound, match="has another ID"):
            await actions.quiet_worker(server)
        assert second.heartbeat.status == "active"


async def test_go_server_gets_no_order(app: Rota, bench: Bench, actions: Actions) -> None:
    async with app.worker() as worker:
        server = await server_of(bench, worker)
    go = ServerSnapshot(**{**{name: getattr(server, name) for name in server.__slots__}, "id": "8c1f-of-go"})
    with pytest.raises(WorkerOrderFailed, match="can only cancel a task"):
        await actions.stop_worker(go)


@pytest.mark.parametrize("concurrency", [0, -1, True, 2.5])
async def test_concurrency_must_be_a_whole_number_above_zero(
    app: Rota, bench: Bench, actions: Actions, concurrency: int
) -> None:
    async with app.worker() as worker:
        server = await server_of(bench, worker)
        with pytest.raises(OptionError, match="quiet_worker"):
            await actions.scale_worker(server, concurrency)
        assert worker.slots.capacity == 5


async def test_one_run_is_cancelled_by_its_server(app: Rota, bench: Bench, actions: Actions) -> None:
    @app.task("order:endless")
    async def endless() -> None:
        await asyncio.Event().wait()

    async with app.worker() as worker:
        job = await endless.enqueue()

        async def runs() -> ServerSnapshot | None:
            server = await server_of(bench, worker)
            return server if [task.id for task in server.running] == [job.id] else None

        server = await eventually(runs)
        assert isinstance(server, ServerSnapshot)
        with pytest.raises(TaskNotFound, match="does not run a task 'other'"):
            await actions.cancel_run(server, "other")
        await actions.cancel_run(server, job.id, reason="not needed")
        assert (await bench.in_state(job.id, "archived")).last_error == "cancelled: not needed"


async def test_names_of_workers(app: Rota, bench: Bench) -> None:
    async with app.worker() as worker:
        server = await server_of(bench, worker)
        for name in (server.id, server.id[:9], server.id.removeprefix("rota-")[:4], server.host):
            assert matching([server], name) == [server]
        assert matching([server], f"{server.host}:{server.pid}") == [server]
        for name in ("", "rota-", "nowhere", f"{server.host}:1"):
            with pytest.raises(WorkerNotFound, match="No worker is called"):
                matching([server], name)
