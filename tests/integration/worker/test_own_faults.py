"""A fault of ours must be seen: a worker that does nothing must not look alive, and one fault ends no part silently."""

import asyncio
from typing import Any

import pytest

from rota.app import Rota
from rota.broker.route import Node
from rota.errors import BrokerRefused, BrokerUnavailable, WorkerFault
from rota.tasks.context import Context
from rota.tasks.groups import GroupedTask
from rota.tasks.job import Job, Plan
from rota.worker.consume.fetcher import Fetcher
from rota.worker.consume.node_consumer import NodeConsumers
from rota.worker.groups.aggregator import Aggregator
from rota.worker.heartbeat import Heartbeat
from rota.worker.housekeeping.sweeper import Sweeper
from rota.worker.loop_watchdog import LoopWatchdog
from rota.worker.run.finisher import Finisher
from rota.worker.run.reporter import Reporter
from rota.worker.run.subscriber import Subscriber
from rota.worker.shutdown import Shutdown
from rota.worker.worker import Worker
from tests.integration.worker.conftest import Bench, eventually

GO_ON = [
    (Sweeper, "sweep"),
    (Subscriber, "listen"),
    (Reporter, "flush"),
    (Aggregator, "_round"),
    (Heartbeat, "beat"),
    (LoopWatchdog, "_check"),
]
TAKE_THE_WORKER_DOWN = [
    (Fetcher, "_session"),
    (Fetcher, "_take"),
    (Finisher, "_record"),
    (NodeConsumers, "_watch"),
    (Heartbeat, "_pause"),
]


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> list[object]:
    """Have a method fail by a fault of ours when it is called first; return its calls."""
    real, calls = getattr(owner, name), list[object]()

    def act(self: object, *args: Any, **words: Any) -> Any:
        calls.append(self)
        if len(calls) == 1:
            raise RuntimeError("a fault of ours")
        return real(self, *args, **words)

    monkeypatch.setattr(owner, name, act)
    return calls


@pytest.fixture
def app(app: Rota) -> Rota:
    """An app that has work for every part."""

    @app.task("own:told", retention="10m")
    async def told(context: Context) -> int:
        context.progress(1, 2)
        return 1

    @app.aggregator("own:member")
    def join(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        return app.plan("own:told", {})

    return app


@pytest.mark.parametrize(("part", "act"), GO_ON, ids=lambda value: getattr(value, "__name__", value))
async def test_a_part_in_which_something_fails_once_goes_on_and_says_so(
    app: Rota, part: type, act: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = fail_once(monkeypatch, part, act)

    async def called_again() -> bool:
        return len(calls) > 1

    async with app.worker(sweep_interval="100ms", report_interval="20ms"):
        for _ in range(3):
            assert await (await app.enqueue("own:told", {})).result("30s") == 1
            await asyncio.sleep(0.05)
        await eventually(called_again)
    assert "a fault of ours" in caplog.text


@pytest.mark.parametrize(("part", "act"), TAKE_THE_WORKER_DOWN, ids=lambda value: getattr(value, "__name__", value))
async def test_what_cannot_go_on_without_loss_ends_the_worker(
    app: Rota, part: type, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_once(monkeypatch, part, act)
    await app.enqueue("own:told", {})
    async with asyncio.timeout(15):
        with pytest.raises(ExceptionGroup) as caught:
            await Worker(app, app.settings).run()
    assert caught.group_contains(RuntimeError, match="a fault of ours|the heartbeat has ended")


def fail_from_now_on(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    def act(self: object, *args: Any, **words: Any) -> Any:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(owner, name, act)


@pytest.mark.parametrize(
    ("part", "act"),
    [(Fetcher, "_take"), (NodeConsumers, "_watch"), (Heartbeat, "_pause"), (NodeConsumers, "_refresh")],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_an_embedded_worker_that_meets_a_fault_stops_its_handlers_hands_back_and_raises(
    app: Rota, bench: Bench, part: type, act: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun, ended = asyncio.Event(), list[str]()

    @app.task("own:long")
    async def long() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    jobs: list[Job[Any]] = []

    async def program() -> None:
        async with app.worker():
            jobs.append(await long.enqueue())
            await begun.wait()
            monkeypatch.setattr("rota.worker.consume.node_consumer.REFRESH_SECONDS", 0.01)
            fail_from_now_on(monkeypatch, part, act)
            await app.enqueue("own:told", {})
            await asyncio.Event().wait()

    async with asyncio.timeout(30):
        with pytest.raises(WorkerFault, match="restart_after_fault") as caught:
            await program()
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert ended == ["cancelled"]
    assert "has met an internal fault and ends" in caplog.text
    assert "a fault of ours" in caplog.text
    task = await bench.in_state(jobs[0].id, "pending")
    assert (task.retried, task.crashes) == (0, 0)
    keys = app.keys.queue("default")
    assert await bench.execute("EXISTS", keys.active, keys.lease) == 0
    assert (current := asyncio.current_task()) is not None
    assert current.cancelling() == 0


async def test_a_fault_while_the_block_is_about_to_end_is_raised_too(
    app: Rota, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WorkerFault):
        async with app.worker():
            fail_from_now_on(monkeypatch, Shutdown, "drain")


async def test_the_outcomes_that_a_finisher_has_left_at_a_fault_are_recorded(
    app: Rota, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Job[Any]] = []

    async def program() -> None:
        async with app.worker():
            fail_once(monkeypatch, Finisher, "_record")
            jobs.append(await app.enqueue("own:told", {}))
            await asyncio.Event().wait()

    async with asyncio.timeout(30):
        with pytest.raises(WorkerFault):
            await program()
    await bench.in_state(jobs[0].id, "completed")


async def test_a_worker_that_is_cancelled_stops_its_handlers_and_hands_their_tasks_back(
    app: Rota, bench: Bench
) -> None:
    begun = asyncio.Event()

    @app.task("own:long")
    async def long() -> None:
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(Worker(app, app.settings).run())
    job = await long.enqueue()
    await begun.wait()
    running.cancel()
    await asyncio.wait((running,))
    assert running.cancelled()
    await bench.in_state(job.id, "pending")


async def test_nothing_of_a_worker_goes_on_that_is_cancelled_while_it_waits_for_its_last_outcomes(
    app: Rota, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending = asyncio.Event()

    async def away(self: Finisher, call: Any) -> Any:
        sending.set()
        raise BrokerUnavailable("the server is away")

    async def waits() -> bool:
        return any("NodeConsumers.flush" in repr(task) for task in asyncio.all_tasks())

    async def only_others() -> bool:
        return asyncio.all_tasks() <= others

    monkeypatch.setattr("rota.worker.shutdown.LAST_WORD_SECONDS", 0.1)
    monkeypatch.setattr(Finisher, "_send", away)
    others, worker = asyncio.all_tasks(), Worker(app, app.settings)
    running = asyncio.create_task(worker.run())
    await app.enqueue("own:told", {})
    await sending.wait()
    worker.stop()
    await eventually(waits)
    running.cancel()
    await asyncio.wait((running,))
    await eventually(only_others)  # its flush would turn the loop without a pause


async def test_an_embedded_worker_starts_again_after_a_fault_where_a_setting_says_so(
    app: Rota, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rota.worker.embedded_worker.FIRST_PAUSE_SECONDS", 0.01)
    async with app.worker(restart_after_fault=True) as worker:
        worker.add_queue("later")
        fail_once(monkeypatch, Fetcher, "_take")
        for queue in ("default", "later"):
            job = await app.enqueue("own:told", {}, queue=queue)
            assert await job.result("30s") == 1
    assert "starts again" in caplog.text


async def test_an_outcome_that_is_sent_by_itself_outlives_a_fault(
    app: Rota, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Finisher._send, 0

    async def send(self: Finisher, call: Any) -> dict[int, int]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise BrokerRefused("not this one")
        if calls == 2:
            raise RuntimeError("a fault of ours")
        return await real(self, call)

    monkeypatch.setattr(Finisher, "_send", send)
    async with app.worker():
        assert await (await app.enqueue("own:told", {})).result("30s") == 1


async def test_who_listens_does_so_again_although_the_way_back_failed_once(
    app: Rota, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app.worker() as worker:

        async def listens() -> bool:
            return worker.parts.subscriber.statistics().listening

        async def listens_again() -> bool:
            return worker.parts.subscriber.statistics().reconnects == 1

        await eventually(listens)
        await bench.broker.execute("PING")  # its own connection is there already
        calls = fail_once(monkeypatch, Node, "connect")
        await bench.broker.execute("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(listens_again)
    assert len(calls) > 1
