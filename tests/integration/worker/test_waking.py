"""How soon a waiting worker starts a task, and that it waits without asking."""

import asyncio
import time
from datetime import timedelta

import pytest

from rota.app import Rota
from rota.worker.consume.idle_strategy import LAST_POLL_SECONDS
from tests.integration.worker.conftest import Bench, eventually

WAYS = ["tracking", "poll"]


async def idle(bench: Bench, worker: object) -> None:
    """Wait until every fetcher of a worker has nothing to do."""

    async def waiting() -> bool:
        return all(consumer.fetcher.statistics.waiting for consumer in worker.consumers)  # type: ignore[attr-defined]

    await eventually(waiting)


@pytest.mark.parametrize("way", WAYS)
async def test_a_waiting_worker_starts_a_new_task_whichever_way_it_waits(app: Rota, bench: Bench, way: str) -> None:
    @app.task("wake:new", retention="10m")
    async def new() -> int:
        return 1

    async with app.worker(wake_up=way) as worker:
        for _ in range(3):
            await idle(bench, worker)
            assert [consumer.fetcher.statistics.wakeup for consumer in worker.consumers] == [way]
            assert await (await new.enqueue()).result("30s") == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_delayed_task_starts_when_it_is_due(app: Rota, bench: Bench, way: str) -> None:
    @app.task("wake:delayed", retention="10m")
    async def delayed() -> float:
        return time.time()

    async with app.worker(wake_up=way) as worker:
        await idle(bench, worker)
        due = time.time() + 0.3
        started = await (await delayed.options(delay="300ms").enqueue()).result("30s")
    assert started >= due - 0.05


async def test_a_task_scheduled_by_another_program_wakes_the_worker_when_due(app: Rota, bench: Bench) -> None:
    started = asyncio.Event()

    @app.task("wake:scheduled")
    async def scheduled() -> None:
        started.set()

    async with app.worker() as worker:
        await idle(bench, worker)
        receipt = await scheduled.options(delay="1h").enqueue()
        await bench.in_state(receipt.id, "scheduled")
        await bench.execute("ZADD", app.keys.queue("default").scheduled, 1, receipt.id)
        await asyncio.wait_for(started.wait(), 30)


async def test_a_resumed_queue_is_served_at_once(app: Rota, bench: Bench) -> None:
    started = asyncio.Event()

    @app.task("wake:paused")
    async def paused() -> None:
        started.set()

    keys = app.keys.queue("default")
    async with app.worker() as worker:
        await bench.execute("SET", keys.paused, 1)
        receipt = await paused.enqueue()
        await idle(bench, worker)
        assert not started.is_set()
        await bench.in_state(receipt.id, "pending")
        await bench.execute("DEL", keys.paused)
        await asyncio.wait_for(started.wait(), 30)


async def test_an_idle_worker_asks_next_to_nothing(app: Rota, bench: Bench) -> None:
    async with app.worker(heartbeat="10s") as worker:
        await idle(bench, worker)
        rounds = [consumer.fetcher.statistics.rounds for consumer in worker.consumers]
        wakeup = [consumer.fetcher._wakeup for consumer in worker.consumers]
        assert all(w is not None and w.armed for w in wakeup)
        await bench.execute("SET", "somebody:elses:key", 1)
        await bench.execute("INFO")
        assert [consumer.fetcher.statistics.rounds for consumer in worker.consumers] == rounds


@pytest.mark.forbids
async def test_worker_polls_when_its_user_has_no_right_to_track(bench: Bench, app: Rota) -> None:
    await bench.execute("ACL", "SETUSER", "polls", "on", ">secret", "~*", "&*", "+@all", "-client|tracking")
    limited = Rota(app.settings.broker.url, settings={"username": "polls", "password": "secret", "heartbeat": "500ms"})

    @limited.task("wake:limited", retention="10m")
    async def task() -> int:
        return 5

    async with limited.worker() as worker:
        await idle(bench, worker)
        assert [consumer.fetcher.statistics.wakeup for consumer in worker.consumers] == ["poll"]
        assert await (await task.enqueue()).result("30s") == 5
    await limited.aclose()


async def test_worker_polls_less_and_less_often_while_it_finds_nothing(app: Rota, bench: Bench) -> None:
    async with app.worker(wake_up="poll") as worker:
        [fetcher] = [consumer.fetcher for consumer in worker.consumers][:1]
        await idle(bench, worker)

        async def slow() -> bool:
            return fetcher._idle_strategy._poll_seconds == LAST_POLL_SECONDS

        await eventually(slow)
        await app.enqueue("wake:unknown", {})

        async def quick() -> bool:
            return fetcher._idle_strategy._poll_seconds < LAST_POLL_SECONDS

        await eventually(quick)


async def test_many_idle_workers_share_a_trickle_of_tasks_without_all_listening(app: Rota, bench: Bench) -> None:
    done: list[int] = []

    @app.task("wake:trickle")
    async def trickle(n: int) -> None:
        done.append(n)

    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(app.worker(concurrency=2)) for _ in range(8)]
        listening, sent = 8, 0
        async with asyncio.timeout(30):  # on a busy machine a worker seldom loses several races in a row
            while listening == 8:
                await trickle.enqueue(sent)
                await eventually(lambda n=sent: _done(done, n))
                sent += 1
                wakeups = [consumer.fetcher._wakeup for worker in workers for consumer in worker.consumers]
                listening = sum(wakeup is not None and wakeup.armed for wakeup in wakeups)
    assert sorted(done) == list(range(sent))


async def _done(done: list[int], n: int) -> bool:
    return n in done


async def test_queues_can_be_added_and_removed_while_it_works(app: Rota, bench: Bench) -> None:
    @app.task("wake:queues", retention="10m")
    async def where(n: int) -> int:
        return n

    async with app.worker() as worker:
        elsewhere = where.options(queue="elsewhere")
        receipt = await elsewhere.enqueue(1)
        worker.add_queue("elsewhere", 2)
        assert await receipt.result("30s") == 1
        await idle(bench, worker)
        assert await (await elsewhere.enqueue(2)).result("30s") == 2
        worker.remove_queue("elsewhere")
        await eventually(lambda: _gone(worker, "elsewhere"))
        receipt = await elsewhere.enqueue(3)
        for consumer in worker.consumers:
            consumer.fetcher.note_due_in("elsewhere", 0)  # a retry of the removed queue must not block the event loop
        assert await (await where.enqueue(4)).result("30s") == 4
        await bench.in_state(receipt.id, "pending", queue="elsewhere")


async def _gone(worker: object, queue: str) -> bool:
    return queue not in worker.queue_names()  # type: ignore[attr-defined]


async def test_a_pattern_takes_up_a_queue_that_appears_later(app: Rota, bench: Bench) -> None:
    @app.task("wake:pattern", retention="10m")
    async def found() -> int:
        return 9

    async with app.worker(queues="mail-*=2", queue_refresh="50ms") as worker:
        assert worker.queue_names() == []
        receipt = await found.options(queue="mail-eu").enqueue()
        assert await receipt.result("30s") == 9
        assert worker.queue_names() == ["mail-eu"]


async def test_first_task_of_a_new_queue_starts_at_once_where_a_pattern_finds_the_queue(
    app: Rota, bench: Bench
) -> None:
    @app.task("wake:first", retention="10m")
    async def first() -> int:
        return 9

    # With this `queue_refresh` only a notification of the server can find the queue in time.
    async with app.worker(queues="mail-*=2,jobs[eu]=1", queue_refresh="1h") as worker:
        for queue in ("mail-eu", "jobs[eu]", "mail-us"):
            await idle(bench, worker)
            assert await (await first.options(queue=queue).enqueue()).result("30s") == 9


async def test_first_task_of_a_new_queue_starts_soon_where_the_worker_polls(app: Rota, bench: Bench) -> None:
    @app.task("wake:polled", retention="10m")
    async def polled() -> int:
        return 9

    async with app.worker(queues="mail-*=2", wake_up="poll") as worker:
        await idle(bench, worker)
        assert worker.settings.worker.queue_refresh <= timedelta(seconds=1)
        assert await (await polled.options(queue="mail-eu").enqueue()).result("30s") == 9


async def test_weighted_queues_are_drained_in_proportion(app: Rota, bench: Bench) -> None:
    order: list[str] = []

    @app.task("wake:weights")
    async def note(queue: str) -> None:
        order.append(queue)

    for queue in ("high", "low"):
        await app.enqueue_many(note.options(queue=queue).plan(queue) for _ in range(800))
    async with app.worker(queues="high=3,low=1", concurrency=4):
        await eventually(lambda: _count(order, 1600), 30)
    share = order[:800].count("high") / 800
    assert 0.6 < share < 0.9


async def test_strict_queues_are_drained_in_order(app: Rota, bench: Bench) -> None:
    order: list[str] = []

    @app.task("wake:strict")
    async def note(queue: str) -> None:
        order.append(queue)

    for queue in ("low", "high"):
        await app.enqueue_many(note.options(queue=queue).plan(queue) for _ in range(50))
    async with app.worker(queues="low=1,high=3", strict_priority=True, concurrency=4):
        await eventually(lambda: _count(order, 100))
    assert order == ["high"] * 50 + ["low"] * 50


async def _count(items: list[str], n: int) -> bool:
    return len(items) == n


async def test_a_fetch_whose_reply_was_lost_loses_no_task(app: Rota, bench: Bench) -> None:
    ran: list[int] = []

    @app.task("wake:lost")
    async def task(n: int) -> None:
        ran.append(n)

    async with app.worker() as worker:
        await idle(bench, worker)
        for n in range(10):
            for consumer in worker.consumers:
                link = consumer.fetcher.link
                if link is not None:
                    await task.enqueue(n)
                    link.close("cut by the test")
            await eventually(lambda n=n: _ran(ran, n))
    assert sorted(ran) == list(range(10))


async def _ran(ran: list[int], n: int) -> bool:
    return n in ran


async def test_a_change_that_is_told_together_with_an_empty_reply_is_looked_for_again(app: Rota, bench: Bench) -> None:
    """The loop handles a push that came with a reply before it resumes the fetch that waits for the reply."""
    async with app.worker() as worker:
        await idle(bench, worker)
        [consumer] = worker.consumers
        fetcher, link = consumer.fetcher, consumer.fetcher.link
        assert link is not None
        run, told = link.run, []

        async def run_and_be_told(call: object) -> object:
            answer = await run(call)  # type: ignore[arg-type]
            if not told:
                told.append(fetcher.statistics.rounds)
                fetcher.note("default", contended=True)
            return answer

        link.run = run_and_be_told  # type: ignore[method-assign, assignment]
        fetcher.note("default")
        await eventually(lambda: _count(told, 1))

        async def looked_again() -> bool:
            return fetcher.statistics.rounds >= told[0] + 2

        await eventually(looked_again)
