"""A worker that does not hear: a message or a reply is lost, and what it said is found all the same."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rota.app import Rota
from rota.core import faults
from rota.errors import TaskCancelled
from tests.integration.worker.conftest import Bench, eventually
from tests.servers.process import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of our own: rights are taken from everybody here, and it falls silent."""
    server = Server().start()
    yield server
    if server.process is not None:
        server.thaw()
    server.stop()


@pytest.fixture
def redis_url(server: Server) -> str:
    return server.url


@pytest.fixture
async def lost_fetch(tmp_path: Path) -> AsyncIterator[Path]:
    """Lose the reply to the next fetch; the path is there when it has happened."""
    mark = tmp_path / "lost"
    faults.arm([faults.Fault("fetch:answered", "drop", mark)])
    yield mark
    faults.arm([])


@pytest.mark.parametrize("way", ["frozen", "gone"])
async def test_asked_twice_a_worker_stops_although_its_server_does_not_answer(
    app: Rota, server: Server, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.worker.shutdown.LAST_RECORD_SECONDS", 1000)
    started, go_on = asyncio.Event(), asyncio.Event()

    @app.task("deaf:unrecorded")
    async def unrecorded() -> None:
        started.set()
        await go_on.wait()

    async with asyncio.timeout(50), app.worker() as worker:
        worker.heartbeat.seconds_to_stop = 1000
        await unrecorded.enqueue()
        await started.wait()
        if way == "frozen":
            server.freeze()
        else:
            server.kill()
        go_on.set()
        worker.stop()
        worker.stop()


@pytest.mark.slow
async def test_worker_that_stops_records_its_outcomes_when_an_outage_of_some_seconds_is_over(
    app: Rota, server: Server, bench: Bench
) -> None:
    """The soak found it: a worker that was stopped while its server was read-only gave up after 5 s."""
    started, go_on = asyncio.Event(), asyncio.Event()

    @app.task("deaf:recorded-late", retention="1h")
    async def recorded_late() -> None:
        started.set()
        await go_on.wait()

    with server.admin() as admin:
        async with asyncio.timeout(100), app.worker():
            job = await recorded_late.enqueue()
            await started.wait()
            admin.execute_command("REPLICAOF", "127.0.0.1", "1")
            asyncio.get_running_loop().call_later(5.5, admin.execute_command, "REPLICAOF", "NO", "ONE")
            go_on.set()
    await bench.in_state(job.id, "completed")


async def test_a_cancel_that_was_sent_while_nobody_listened_still_ends_its_task(app: Rota, bench: Bench) -> None:
    started = asyncio.Event()

    @app.task("deaf:long", retention="10m")
    async def long() -> int:
        started.set()
        await asyncio.Event().wait()
        return 1

    async with app.worker() as worker:
        receipt = await long.enqueue()
        await started.wait()
        await bench.execute("ACL", "SETUSER", "default", "-subscribe")
        await bench.execute("CLIENT", "KILL", "TYPE", "pubsub")
        await receipt.cancel("nobody hears")
        assert (await bench.in_state(receipt.id, "archived")).end == "cancelled"
        await bench.execute("ACL", "SETUSER", "default", "+subscribe")
        with pytest.raises(TaskCancelled, match="nobody hears"):
            await receipt.result("30s")
        assert worker.parts.subscriber.statistics().heard == 0


async def test_a_stop_hands_back_the_tasks_of_a_fetch_whose_reply_was_lost(
    app: Rota, bench: Bench, lost_fetch: Path
) -> None:
    @app.task("deaf:never")
    async def never() -> None:
        raise AssertionError("it was not to begin")

    receipts = [await never.enqueue() for _ in range(3)]
    async with app.worker() as worker:

        async def lost() -> bool:
            return lost_fetch.exists()

        await eventually(lost)
        worker.stop()
    assert [(await bench.in_state(receipt.id, "pending")).crashes for receipt in receipts] == [0, 0, 0]
    keys = app.keys.queue("default")
    assert await bench.execute("EXISTS", keys.active, keys.lease) == 0


async def test_who_is_quieted_and_then_stopped_looks_for_the_tasks_of_a_lost_fetch_once(
    app: Rota, bench: Bench, lost_fetch: Path
) -> None:
    runs = 0

    @app.task("deaf:once")
    async def once() -> None:
        nonlocal runs
        runs += 1

    receipts = [await once.enqueue() for _ in range(3)]
    async with app.worker() as worker:

        async def lost() -> bool:
            return lost_fetch.exists()

        await eventually(lost)
        [consumer] = worker.consumers
        await asyncio.gather(*(consumer.fetcher.stop(consumer.fetching) for _ in range(2)))
        worker.stop()
    assert runs + len([each for each in receipts if await bench.task(each.id)]) == 3
    keys = app.keys.queue("default")
    assert await bench.execute("EXISTS", keys.active, keys.lease) == 0


@pytest.mark.slow
async def test_a_silent_server_holds_up_no_stop_for_as_long_as_a_reply_may_take(server: Server) -> None:
    app = Rota(server.url, settings={"response_timeout": "90s", "connect_timeout": "90s", "shutdown_timeout": "0s"})

    enqueued, silent = asyncio.Event(), asyncio.Event()

    @app.task("deaf:endless")
    async def endless() -> None:
        await enqueued.wait()  # the server may answer the fetch before the enqueue
        server.freeze()
        silent.set()
        await asyncio.Event().wait()

    async def stop_in_silence() -> None:
        async with app.worker():
            await endless.enqueue()
            enqueued.set()
            await silent.wait()

    async with asyncio.timeout(45):
        await stop_in_silence()
    server.thaw()
    await app.aclose()


@pytest.mark.parametrize("queue", ["default", "def*"])
async def test_after_a_flush_tasks_run_and_queue_and_worker_are_listed_again(
    app: Rota, server: Server, bench: Bench, queue: str
) -> None:
    """The name of the queue, the lease of a task that runs, and the record of the worker are gone all at once."""
    started, go_on = asyncio.Event(), asyncio.Event()

    @app.task("deaf:flushed", retention="1h")
    async def flushed(*, wait: bool) -> None:
        if wait:
            started.set()
            await go_on.wait()

    async with app.worker(queues={queue: 1}):
        await flushed.enqueue(wait=True)
        await started.wait()
        with server.admin() as admin:
            admin.flushall()
        go_on.set()

        async def is_all_back() -> bool:
            # The client publishes the name of a queue again within seconds, and a worker of a pattern finds it then.
            job = await flushed.enqueue(wait=False)
            await job.result("30s")
            listed = await bench.execute("SISMEMBER", "asynq:queues", "default")
            return bool(listed) and len(await bench.inspector.servers()) == 1

        await eventually(is_all_back)
