"""One worker's whole life on every kind of deployment: the same code must do on all of them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rota.app import Rota
from rota.errors import TaskFailed
from rota.tasks.context import Context
from rota.tasks.groups import GroupedTask
from rota.tasks.job import Plan
from rota.tasks.policy import Retry, Unique
from tests.integration.worker.conftest import Bench

DEPLOYMENTS = [
    "redis",
    "valkey",
    "tls",
    pytest.param("sentinel", marks=pytest.mark.slow),
    pytest.param("cluster", marks=pytest.mark.slow),
]


@pytest.fixture(params=DEPLOYMENTS)
async def deployed(request: pytest.FixtureRequest) -> AsyncIterator[Rota]:
    kind: str = request.param
    settings: dict[str, object] = {"heartbeat": "500ms", "concurrency": 10, "group_grace": "10m"}
    if kind in ("redis", "valkey"):
        server = request.getfixturevalue(f"{kind}_server")
        settings["url"] = f"{server.unix_url}?db=4000"
    else:
        fixture = request.getfixturevalue("tls_server" if kind == "tls" else kind)
        settings["url"] = fixture.url
        if kind == "tls":
            settings |= {"tls_ca": fixture.ca, "tls_cert": fixture.client.cert, "tls_key": fixture.client.key}
    # Deployments are shared: a prefix of its own keeps each test in a world of its own.
    app = Rota(settings=settings, key_prefix=f"t{request.node.nodeid.__hash__() & 0xFFFFFF:x}")
    yield app
    await app.aclose()


async def test_tasks_of_many_queues_run_retry_and_give_results(deployed: Rota) -> None:
    failed: set[int] = set()

    @deployed.task("deploy:square", retry=Retry(max=2, delay="20ms"), retention="10m")
    async def square(n: int) -> int:
        if n % 7 == 0 and n not in failed:
            failed.add(n)
            raise ValueError(n)
        return n * n

    queues = [f"q{i}" for i in range(6)]
    async with deployed.worker(queues=dict.fromkeys(queues, 1)):
        plans = [square.options(queue=queues[n % 6]).plan(n) for n in range(120)]
        receipts = await deployed.enqueue_many(plans)
        results = await asyncio.gather(*(r.result("20s") for r in receipts if not isinstance(r, Exception)))
    assert results == [n * n for n in range(120)]
    assert len(failed) == 18


async def test_delayed_unique_cancelled_and_failing_tasks_behave_alike_everywhere(deployed: Rota) -> None:
    started = asyncio.Event()

    @deployed.task("deploy:wait", retry=0, retention="10m")
    async def wait(context: Context, n: int) -> int:
        if n == 1:
            started.set()
            await asyncio.Event().wait()
        if n == 2:
            raise OSError("no luck")
        return n

    bench = Bench(deployed)
    try:
        async with deployed.worker():
            assert await (await wait.options(delay="200ms").enqueue(3)).result("30s") == 3
            running = await wait.options(unique=Unique("10m")).enqueue(1)
            await asyncio.wait_for(started.wait(), 30)
            again = await wait.options(unique=Unique("10m")).enqueue(1)
            assert (again.created, again.id) == (False, running.id)
            await running.cancel("enough")
            assert (await bench.in_state(running.id, "archived")).end == "cancelled"
            with pytest.raises(TaskFailed, match="no luck"):
                await (await wait.enqueue(2)).result("30s")
    finally:
        await bench.broker.aclose()


async def test_a_group_becomes_one_task(deployed: Rota) -> None:
    @deployed.task("deploy:digest", retention="10m")
    async def digest(members: list[int]) -> int:
        got.append(sorted(members))
        done.set()
        return len(members)

    @deployed.aggregator("deploy:item", group="digest", max_size=5)
    def join(group: str, tasks: list[GroupedTask]) -> Plan[int]:
        return digest.plan([task.json()["n"] for task in tasks])

    got: list[list[int]] = []
    done = asyncio.Event()
    async with deployed.worker(group_interval="50ms"):
        for n in range(5):
            await deployed.enqueue("deploy:item", {"n": n}, group="digest")
        await asyncio.wait_for(done.wait(), 20)
    assert got == [[0, 1, 2, 3, 4]]
