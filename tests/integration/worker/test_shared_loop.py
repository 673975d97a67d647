"""The event loop, its default executor and its asyncio tasks are shared with code of the application.

If that code shuts down, fills or cancels a part of the loop, the worker must go on, or end with an error.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import pytest

from rota.app import Rota
from rota.broker.broker import Broker
from rota.errors import WorkerFault
from rota.tasks.context import Context
from rota.tasks.groups import GroupedTask
from rota.tasks.job import Plan
from rota.tasks.policy import Retry
from rota.tasks.signature import INJECTED, Depends
from rota.worker.loop_guard import SHUTDOWNS
from rota.worker.run.attempt import Attempt
from rota.worker.run.executor import Executor
from tests.integration.worker.conftest import Bench, eventually
from tests.servers.process import Server

SHUT_DOWN: dict[str, Callable[[asyncio.AbstractEventLoop], Awaitable[None]]] = {
    "shutdown_asyncgens": lambda loop: loop.shutdown_asyncgens(),
    "shutdown_default_executor": lambda loop: loop.shutdown_default_executor(),
}


@pytest.fixture
def app(app: Rota) -> Rota:
    @app.task("shared:plain", retention="1h")
    async def plain() -> int:
        return 7

    return app


@pytest.mark.parametrize("code", ["handler", "thread", "hook", "middleware", "dependency", "aggregator"])
@pytest.mark.parametrize("name", SHUTDOWNS)
async def test_shutdown_of_the_loop_by_code_of_a_task_is_refused_and_the_worker_goes_on(
    app: Rota, bench: Bench, caplog: pytest.LogCaptureFixture, name: str, code: str
) -> None:
    loop = asyncio.get_running_loop()

    async def act(here: str) -> None:
        if here == code:
            await SHUT_DOWN[name](loop)

    async def resource() -> AsyncIterator[int]:
        await act("dependency")
        yield 1

    async def hook(context: Context, result: Any) -> None:
        await act("hook")

    @app.middleware
    async def around(context: Context) -> AsyncGenerator[None]:
        if context.type != "shared:plain":
            await act("middleware")
        yield

    @app.aggregator("shared:grouped", grace="1s", max_size=1)
    async def join(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        await act("aggregator")
        return app.plan("shared:act", {})

    @app.task("shared:act", retention="1h", retry=Retry(max=0), on_success=hook)
    async def work(number: Annotated[int, Depends(resource)] = INJECTED) -> int:
        await act("handler")
        return number

    @app.task("shared:thread", retention="1h", retry=Retry(max=0))
    def in_thread() -> None:
        asyncio.run_coroutine_threadsafe(act("thread"), loop).result(30)

    async with app.worker():
        if code == "aggregator":
            await app.enqueue("shared:grouped", {}, group="g")
            await eventually(lambda: _holds(f"loop.{name}()" in caplog.text))
        else:
            job = await app.enqueue("shared:thread" if code == "thread" else "shared:act", {})
            ended = await bench.in_state(job.id, "archived", "completed")
            assert f"loop.{name}()" in (caplog.text if code == "hook" else ended.last_error)
        assert await (await app.enqueue("shared:plain", {})).result("30s") == 7
    await asyncio.to_thread(int)  # the program's own executor is as it was
    assert name not in vars(loop)


async def _holds(condition: bool) -> bool:
    return condition


@pytest.mark.parametrize("name", SHUTDOWNS)
async def test_embedded_worker_and_lifespan_go_on_when_the_program_shuts_down_parts_of_its_loop(
    redis_url: str, name: str
) -> None:
    class Open:
        async def __aenter__(self) -> dict[str, int]:
            return {"number": 7}

        async def __aexit__(self, *error: object) -> None:
            return None

    app = Rota(redis_url, settings={"heartbeat": "500ms"}, lifespan=lambda app: Open())

    @app.task("shared:state", retention="1h", result=int)
    async def state() -> Any:
        return app.state["number"]

    async with app, app.worker() as worker:
        await SHUT_DOWN[name](asyncio.get_running_loop())
        assert await (await state.enqueue()).result("30s") == 7
        assert not worker.stopping


async def test_worker_connects_by_name_and_aggregates_while_every_thread_of_the_executor_is_taken(
    app: Rota, bench: Bench, redis_server: Server
) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    free, taken = threading.Event(), threading.Event()

    def block() -> None:
        taken.set()
        free.wait(60)

    @app.task("shared:block", retention="1h")
    async def blocking() -> None:
        await asyncio.to_thread(block)

    @app.aggregator("shared:grouped", grace="1s", max_size=1)
    def join(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        return app.plan("shared:plain", {}, task_id="joined")

    try:
        async with app.worker(shutdown_timeout="50ms"):
            await blocking.enqueue()
            await eventually(lambda: _holds(taken.is_set()))
            by_name = Broker.from_url(f"redis://localhost:{redis_server.port}/0")
            assert await by_name.execute("PING") == b"PONG"
            await by_name.aclose()
            await app.enqueue("shared:grouped", {}, group="g")
            await bench.in_state("joined", "completed")
    finally:
        free.set()


async def ends_because_a_part_was_cancelled(program: Callable[[], Awaitable[None]]) -> None:
    """Run a program until its worker ends by the fault that tells of a cancelled part."""
    async with asyncio.timeout(30):
        with pytest.raises(WorkerFault) as caught:
            await program()
    fault = caught.value.__cause__
    assert isinstance(fault, ExceptionGroup)
    assert fault.subgroup(lambda error: "was cancelled by other code of this process" in str(error))


@pytest.mark.parametrize("part", ["Fetcher.run", "Finisher.run", "Crew._run"])
async def test_worker_ends_by_a_fault_when_code_of_a_task_cancels_its_parts(
    app: Rota, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr("rota.worker.consume.node_consumer.REFRESH_SECONDS", 0.05)

    @app.task("shared:cancel")
    async def cancel() -> None:
        for task in asyncio.all_tasks():
            if part in repr(task):
                task.cancel()

    async def program() -> None:
        async with app.worker():
            await cancel.enqueue()
            await asyncio.Event().wait()

    await ends_because_a_part_was_cancelled(program)


async def test_worker_ends_by_a_fault_when_a_retired_finisher_is_cancelled_and_its_outcomes_are_recorded(
    app: Rota, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.worker.consume.node_consumer.REFRESH_SECONDS", 0.05)
    sending = asyncio.Event()

    async def program() -> None:
        async with app.worker() as worker:
            [retired] = worker.consumers
            send = retired.finisher._send

            async def silent(call: Any) -> Any:
                monkeypatch.setattr(retired.finisher, "_send", send)
                sending.set()
                await asyncio.Event().wait()

            monkeypatch.setattr(retired.finisher, "_send", silent)
            await app.enqueue("shared:plain", {}, task_id="mine")
            await sending.wait()
            await worker.consumers.stop_fetching()
            await worker.consumers.start_fetching()
            await asyncio.sleep(0)
            retired.finishing.cancel()
            await asyncio.Event().wait()

    await ends_because_a_part_was_cancelled(program)
    await bench.in_state("mine", "completed")


@pytest.mark.parametrize("moment", ["begun", "created"])
async def test_tasks_of_a_worker_go_back_and_use_no_retry_when_the_program_ends_its_loop(
    app: Rota, bench: Bench, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    begun = asyncio.Event()

    @app.task("shared:long", retry=0)
    async def long() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def program() -> None:
        async with app.worker():
            await asyncio.Event().wait()

    def launch(self: Executor, attempt: Attempt, now: float) -> None:
        real(self, attempt, now)
        cancel_all()

    def cancel_all() -> None:  # as `asyncio.run` does at its end
        for task in asyncio.all_tasks() - others:
            task.cancel()

    others, real = asyncio.all_tasks(), Executor._launch
    if moment == "created":
        monkeypatch.setattr(Executor, "_launch", launch)
    running = asyncio.create_task(program())
    job = await long.enqueue()
    if moment == "begun":
        await begun.wait()
        cancel_all()
    await asyncio.wait((running,))
    assert (await bench.in_state(job.id, "pending", "archived")).state == "pending"
