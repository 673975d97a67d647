"""Routers on a real server: what they bring to an app, also while its worker runs."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import pytest

from rota import INJECTED, Context, Depends, GroupedTask, Plan, Rota, Tasks
from scripts.tree import ROOT


async def resources(app: Rota) -> AsyncGenerator[dict[str, str]]:
    yield {"greeting": "hello"}


def greeting(ctx: Context) -> str:
    return str(ctx.state["greeting"])


@pytest.fixture
async def app(any_url: str) -> AsyncIterator[Rota]:
    app = Rota(
        any_url,
        settings={"queues": {"default": 1, "billing": 1}, "shutdown_timeout": "5s", "group_interval": "100ms"},
        lifespan=resources,
    )
    yield app
    await app.aclose()


async def test_task_of_a_router_gets_its_queue_middleware_hooks_and_dependencies(app: Rota) -> None:
    seen: list[str] = []
    ended = asyncio.Event()
    tasks = Tasks()

    @tasks.task("greet", retention="1h")
    async def greet(name: str, words: Annotated[str, Depends(greeting)] = INJECTED) -> str:
        return f"{words} {name}"

    @tasks.middleware
    async def around(ctx: Context) -> AsyncGenerator[None]:
        seen.append(f"{ctx.type} in {ctx.queue}")
        yield

    @tasks.on_success
    async def after(ctx: Context, result: Any) -> None:
        seen.append(result)
        ended.set()

    soon = greet.options(delay="1s")
    app.include(tasks, prefix="billing:", queue="billing")

    async with app.worker():
        job = await greet.enqueue("Ada")
        assert await job.result("30s") == "hello Ada"
        await asyncio.wait_for(ended.wait(), 30)
    later = await soon.enqueue("Ada")

    assert seen == ["billing:greet in billing", "hello Ada"]
    assert (later.type, later.queue, later.state) == ("billing:greet", "billing", "scheduled")


PROGRAM = """
import asyncio
from router_of_program import start, tasks
from rota import Rota

app = Rota()
app.include(tasks, prefix="number:")

async def main():
    async with app, app.worker():
        job = await start.enqueue(7)
        print(await job.result("60s"))

if __name__ == "__main__":
    asyncio.run(main())
"""
ROUTER = """
from rota import Tasks

tasks = Tasks()

@tasks.task("end")
async def end(number: int) -> None: ...

@tasks.task("start", run="process", retention="1h")
def start(number: int) -> str:
    return end.enqueue_sync(number).type
"""


def test_function_in_a_process_enqueues_where_the_main_program_includes_its_router(
    any_url: str, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "router_of_program.py").write_text(ROUTER)
    environment = {**os.environ, "ROTA_URL": any_url, "PYTHONPATH": str(ROOT)}

    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90
    )

    assert done.stdout == "number:end\n", done.stderr


async def test_router_included_while_a_worker_runs_brings_tasks_and_aggregators(app: Rota) -> None:
    sums: asyncio.Queue[list[int]] = asyncio.Queue()
    tasks = Tasks()

    @tasks.task("add", group="sums")
    async def add(number: int) -> None: ...

    @tasks.task("sum")
    async def total(numbers: list[int]) -> None:
        sums.put_nowait(sorted(numbers))

    @tasks.aggregator(max_size=2)
    def joined(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        return total.plan([task.json()["number"] for task in tasks])

    async with app.worker():
        app.include(tasks, prefix="number:")
        await add.enqueue(1)
        await add.enqueue(2)

        assert await asyncio.wait_for(sums.get(), 30) == [1, 2]
