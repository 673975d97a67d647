"""A repair beside running workers: it never touches a task that a worker holds, and it can be stopped and run again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest

from rota import Job, Retry, Rota, Unique
from rota.broker import Broker
from rota.errors import BrokerError
from rota.inspect import Inspector
from rota.inspect.doctor import Repair, compare
from rota.wire import server_record as records
from rota.wire.server_record import RunningTask, ServerState
from tests.integration.worker.conftest import eventually
from tests.integration.worker.yard import QUEUE, Yard, message, open_yard
from tests.servers.overseen import Overseen
from tests.servers.roles import as_role

NOW = timedelta(0)


@pytest.fixture
async def doctor(redis_url: str) -> AsyncIterator[Broker]:
    async with Broker.from_url(as_role(redis_url, "repairer")) as broker:
        yield broker


@pytest.fixture
async def yard(redis_url: str) -> AsyncIterator[Yard]:
    async with open_yard(redis_url) as yard:
        await yard.execute("SADD", yard.broker.keys.queues, QUEUE)
        yield yard


@pytest.fixture
async def app(redis_url: str) -> AsyncIterator[Rota]:
    app = Rota(redis_url, settings={"heartbeat": "500ms", "sweep_interval": "500ms", "group_grace": "1s"})
    yield app
    await app.aclose()


async def empty(doctor: Broker) -> bool:
    queue = await Inspector(doctor).queue("default")
    return queue.size + queue.in_aggregation == 0


async def test_nothing_of_busy_workers_is_repaired(app: Rota, doctor: Broker) -> None:
    """Tasks run, fail, wait for their retry, are kept, delayed, locked and grouped, while all of them are compared."""
    runs: Counter[int] = Counter()
    joined: list[int] = []

    @app.task("busy:work", retry=Retry(delay="10ms"))
    async def work(number: int) -> None:
        runs[number] += 1
        await asyncio.sleep(0.001 * (number % 7))
        if number % 10 == 0 and runs[number] == 1:
            raise ValueError("once")

    @app.task("busy:joined")
    async def together(number: int) -> None:
        joined.append(number)

    @app.aggregator("busy:joined")
    def join(group: str, tasks: list[object]) -> object:
        return together.plan(len(tasks))

    repair = Repair(doctor, delay=NOW)
    passes = 0

    async def look() -> None:
        nonlocal passes
        while True:
            await repair.run()
            passes += 1

    async with app.worker(concurrency=20), app.worker(concurrency=20):
        looking = asyncio.create_task(look())
        plans = [work.options(delay="300ms" if n % 3 == 0 else None).plan(n) for n in range(2000)]
        plans += [together.options(group=f"g{n % 3}").plan(1) for n in range(100)]
        plans += [work.options(unique=Unique(scope="running")).plan(n) for n in range(2000, 2100)]
        await app.enqueue_many(plans)
        await eventually(lambda: empty(doctor), 60)
        looking.cancel()
        await asyncio.wait([looking])
    assert repair.total == 0
    assert passes > 2
    assert {n: times for n, times in runs.items() if times != (2 if n % 10 == 0 else 1)} == {}
    assert len(runs) == 2100
    assert sum(joined) == 100


async def test_a_task_that_a_worker_runs_is_left_alone(app: Rota, doctor: Broker, redis_url: str) -> None:
    """Although its ID is in no list and it has no lease, again and again."""
    gate = asyncio.Event()
    runs: list[int] = []

    @app.task("held:work", retention="1h")
    async def work(number: int) -> None:
        runs.append(number)
        await gate.wait()

    keys = app.keys.queue("default")
    async with Overseen.from_url(redis_url) as broker, app.worker(concurrency=5):
        jobs = [await work.enqueue(number) for number in range(5)]

        async def shown() -> bool:
            servers = await Inspector(doctor).servers()
            return {task.id for server in servers for task in server.running} == {job.id for job in jobs}

        await eventually(shown)
        for _ in range(20):
            await broker.admin.execute("DEL", keys.active)
            await broker.admin.execute("DEL", keys.lease)
            repair = Repair(doctor, delay=NOW)
            await repair.run()
            assert repair.total == 0
            assert {task for _, task in repair.running} <= {job.id for job in jobs}
        gate.set()
        for job in jobs:
            await eventually(partial(_has_ended, job))
    assert sorted(runs) == [0, 1, 2, 3, 4]
    assert (await compare(doctor))[0].total == 0


async def _has_ended(job: Job[None]) -> bool:
    return (await job.info()).state == "completed"


async def test_a_task_is_repaired_when_its_server_is_gone(yard: Yard, doctor: Broker) -> None:
    await yard.hash("held", msg=message("held"), state="active", rota_token="w-1")
    await yard.execute("SET", yard.keys.base + "unique:test:it:" + "0" * 64, "gone")
    server = ServerState(host="h", pid=1, server_id="of-go", concurrency=1, queues={QUEUE: 1}, active=1)
    running = [RunningTask(id="held", type="test:it", payload=b"", queue=QUEUE)]
    for reply in await yard.broker.run_many(records.beat(yard.broker.keys, server, running, timedelta(minutes=1))):
        assert not isinstance(reply, BrokerError)
    repair = Repair(doctor, delay=NOW)
    await repair.run()
    assert repair.repaired[QUEUE] == {"lock": 1}
    assert repair.running == {(QUEUE, "held")}
    for reply in await yard.broker.run_many(records.clear(yard.broker.keys, server)):
        assert not isinstance(reply, BrokerError)
    await repair.run()
    assert repair.repaired[QUEUE] == {"lock": 1, "unlisted": 1}
    assert repair.running == set()
    assert await yard.members(yard.keys.pending) == ["held"]
    assert (await yard.fields("held"))["rota_crashes"] == b"1"


async def test_a_repair_that_is_stopped_goes_on_when_it_is_run_again(
    yard: Yard, doctor: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.inspect.doctor.repair.MOST_FINDINGS", 100)
    ids = [f"t{number}" for number in range(300)]
    for task_id in ids:
        await yard.hash(task_id, msg=message(task_id), state="pending", pending_since="1")
    batches: list[int] = []

    class Stopped(Repair):
        async def _running_tasks(self) -> set[tuple[str, str]]:
            batches.append(self.total)
            if len(batches) == 2:
                stopped.cancel()
            return await super()._running_tasks()

    first = Stopped(doctor, delay=NOW)
    stopped = asyncio.create_task(first.run())
    await asyncio.wait([stopped])
    assert stopped.cancelled()
    done = first.total
    assert 0 < done < 300
    assert len(await yard.members(yard.keys.pending)) == done
    again = Repair(doctor, delay=NOW)
    await again.run()
    assert done + again.total == 300
    assert sorted(await yard.members(yard.keys.pending)) == sorted(ids)
