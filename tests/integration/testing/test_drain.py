"""Draining: what runs, in which order, what is returned, and when a drain gives up."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Annotated, Any

import pytest

from rota import INJECTED, Context, Depends, GroupedTask, Retry, RetryLater, Revoke, Rota, current
from rota.broker.sync import SyncBroker
from rota.errors import OptionError, RoutingError
from rota.testing import DrainError, Sandbox, SandboxServer

ELSEWHERE = "redis://127.0.0.1:1/0"
events: list[object] = []


async def lifespan(app: Rota) -> AsyncIterator[str]:
    events.append("open")
    yield "the state"
    events.append("close")


app = Rota(ELSEWHERE, lifespan=lifespan)


def state_of(context: Context) -> Any:
    return context.state


@app.task("report:build")
async def build(number: int) -> int:
    return number


@app.task("report:all")
async def build_all(numbers: int) -> None:
    for number in range(numbers):
        await build.options(queue=f"queue-{number}").enqueue(number)


@app.task("report:later")
def build_later(number: int) -> None:
    build.options(delay="1h").enqueue_sync(number)


@app.task("page:fetch", retry=Retry(max=2, backoff="exponential", base="10m"), on_exhausted=lambda c, e: note(e))
async def fetch(url: str) -> None:
    raise LookupError(url)


@app.task("page:poll")
async def poll(context: Context) -> int:
    if context.retried == 0:
        raise RetryLater("5m")
    return context.retried


@app.task("page:revoke")
async def revoke() -> None:
    raise Revoke("nothing to do")


@app.task("page:slow", timeout="1s")
async def slow() -> None:
    await asyncio.Event().wait()


@app.task("loop:self")
async def again(number: int) -> None:
    await again.enqueue(number + 1)


@app.task("loop:child", run="process")
def in_process() -> list[object]:
    return [os.getpid(), current().type]


@app.task("loop:limited", concurrency=2)
async def limited(number: int) -> None:
    running.append(number)
    most.append(len(running))
    await asyncio.sleep(0)
    running.remove(number)


@app.task("loop:state")
async def with_state(state: Annotated[Any, Depends(state_of)] = INJECTED) -> str:
    return str(state)


running: list[int] = []
most: list[int] = []


def note(value: object) -> None:
    events.append(value)


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def sandbox(server: SandboxServer) -> Iterator[Sandbox]:
    events.clear()
    with Sandbox(app, server=server) as sandbox:
        yield sandbox


def test_empty_sandbox_has_nothing_to_run(sandbox: Sandbox) -> None:
    assert sandbox.drain_sync() == []


def test_tasks_run_in_the_order_of_their_queue(sandbox: Sandbox) -> None:
    for number in range(20):
        build.enqueue_sync(number)

    assert [run.result for run in sandbox.drain_sync()] == list(range(20))


def test_run_tells_what_ran(sandbox: Sandbox) -> None:
    job = build.options(queue="low").enqueue_sync(7)

    [run] = sandbox.drain_sync()

    assert (run.id, run.type, run.queue, run.payload) == (job.id, "report:build", "low", b'{"number":7}')
    assert (run.state, run.result, run.error, run.retried) == ("completed", 7, None, 0)


def test_tasks_that_tasks_enqueue_run_too_in_queues_that_are_new(sandbox: Sandbox) -> None:
    build_all.enqueue_sync(3)

    runs = sandbox.drain_sync()

    assert sorted(run.queue for run in runs) == ["default", "queue-0", "queue-1", "queue-2"]
    assert sandbox.enqueued() == []


def test_retry_waits_for_its_time(sandbox: Sandbox) -> None:
    fetch.enqueue_sync("https://example.org")

    [run] = sandbox.drain_sync()

    assert (run.state, str(run.error)) == ("retry", "https://example.org")
    [task] = sandbox.enqueued()
    assert (task.state, task.retried) == ("retry", 1)
    assert sandbox.drain_sync() == []


def test_drain_that_travels_runs_each_retry_at_its_time(sandbox: Sandbox) -> None:
    began = sandbox.clock.freeze()
    job = fetch.enqueue_sync("https://example.org")

    runs = sandbox.drain_sync(travel="2h")

    assert [(run.retried, run.state) for run in runs] == [(0, "retry"), (1, "retry"), (2, "archived")]
    assert [str(error) for error in events if isinstance(error, LookupError)] == ["https://example.org"]
    assert (sandbox.clock.now() - began).total_seconds() == 7200
    assert events[0] == "open"
    assert events.count("open") == events.count("close") == 1
    attempts = job.info().attempts
    assert [(each.number, each.outcome) for each in attempts] == [(1, "failed"), (2, "failed"), (3, "failed")]
    started = [each.started_at for each in attempts if each.started_at is not None]
    assert began - timedelta(seconds=1) < started[0] < started[1] < started[2]


def test_drain_that_travels_does_not_run_what_is_due_after_that(sandbox: Sandbox) -> None:
    build_later.enqueue_sync(7)

    assert [run.type for run in sandbox.drain_sync(travel="50m")] == ["report:later"]
    assert [run.type for run in sandbox.drain_sync(travel="20m")] == ["report:build"]


def test_instructions_of_a_handler_are_told(sandbox: Sandbox) -> None:
    poll.enqueue_sync()
    revoke.enqueue_sync()

    states = {run.type: run.state for run in sandbox.drain_sync()}

    assert states == {"page:poll": "retry", "page:revoke": "revoked"}
    assert [(run.retried, run.result) for run in sandbox.drain_sync(travel="6m")] == [(1, 1)]


def test_exceeded_time_limit_is_told_as_the_error(sandbox: Sandbox) -> None:
    slow.options(max_retry=0).enqueue_sync()

    [run] = sandbox.drain_sync()

    assert run.state == "archived"
    assert isinstance(run.error, TimeoutError)


def test_error_of_a_handler_is_raised_if_asked(sandbox: Sandbox) -> None:
    build.enqueue_sync(7)
    fetch.enqueue_sync("https://example.org")
    fetch.enqueue_sync("https://example.com")

    with pytest.raises(LookupError, match=r"example\.org") as caught:
        sandbox.drain_sync(raise_errors=True)

    assert "1 more run failed: page:fetch." in caught.value.__notes__


def test_arguments_that_do_not_fit_are_an_error_of_the_run(sandbox: Sandbox) -> None:
    Rota(sandbox.url).enqueue_sync("report:build", {"number": "seven"})

    [run] = sandbox.drain_sync()

    assert "number" in str(run.error)
    assert run.state == "archived"


def test_task_that_enqueues_itself_for_ever_ends_the_drain_with_an_error(sandbox: Sandbox) -> None:
    again.enqueue_sync(1)

    with pytest.raises(DrainError, match=r"(?s)^5 tasks ran, and more are due .*loop:self.* raise max_runs"):
        sandbox.drain_sync(max_runs=5)

    [task] = sandbox.enqueued()
    assert (task.payload, task.retried) == (b'{"number":6}', 0)


def test_task_that_does_not_end_ends_the_drain_with_its_name(sandbox: Sandbox) -> None:
    slow.options(timeout="1h").enqueue_sync()

    with pytest.raises(DrainError, match=r"within 1 s\. Still running: page:slow"):
        sandbox.drain_sync(timeout="1s")

    assert sandbox.enqueued()[0].state == "pending"


def test_task_without_a_handler_is_an_error_that_names_it(sandbox: Sandbox) -> None:
    app.enqueue_sync("invoice:send", {"id": 7}, queue="low")
    build.enqueue_sync(7)

    with pytest.raises(DrainError, match=r"'invoice:send' \(1\). Import the module"):
        sandbox.drain_sync()

    assert [task.type for task in sandbox.enqueued()] == ["invoice:send"]


def test_task_without_a_handler_is_named_although_the_worker_put_it_off(server: SandboxServer) -> None:
    own = Rota(ELSEWHERE, settings={"unknown_task_delay": "1s"})

    @own.task("wait:until-put-off")
    async def wait() -> None:
        while any(task.state == "pending" for task in sandbox.enqueued()):
            await asyncio.sleep(0.01)
        sandbox.clock.freeze()  # so that the task is not due again

    with Sandbox(own, server=server) as sandbox:
        own.enqueue_sync("invoice:send", {"id": 7})
        wait.enqueue_sync()

        with pytest.raises(DrainError, match=r"'invoice:send' \((put off|1)\)\. Import the module"):
            sandbox.drain_sync(timeout="30s")

        sandbox.assert_enqueued("invoice:send", id=7, count=1)


def test_task_for_another_program_can_be_left(sandbox: Sandbox) -> None:
    app.enqueue_sync("invoice:send", {"id": 7})
    build.enqueue_sync(7)

    assert [run.type for run in sandbox.drain_sync(leave_unknown=True)] == ["report:build"]
    assert [(task.type, task.state) for task in sandbox.enqueued()] == [("invoice:send", "pending")]


def test_function_for_a_process_runs_in_a_thread_of_the_test(sandbox: Sandbox) -> None:
    in_process.enqueue_sync()

    assert sandbox.drain_sync(raise_errors=True)[0].result == [os.getpid(), "loop:child"]
    assert in_process.handler.run == "process"


def test_concurrency_limit_of_a_type_holds_and_no_task_is_put_off(sandbox: Sandbox) -> None:
    most.clear()
    for number in range(30):
        limited.enqueue_sync(number)

    assert len(sandbox.drain_sync(raise_errors=True)) == 30
    assert max(most) <= 2


def test_dependencies_and_overrides_apply(sandbox: Sandbox) -> None:
    with_state.enqueue_sync()
    assert [run.result for run in sandbox.drain_sync()] == ["the state"]

    app.overrides[state_of] = lambda: "a stand-in"
    try:
        with_state.enqueue_sync()
        assert [run.result for run in sandbox.drain_sync()] == ["a stand-in"]
    finally:
        app.overrides.clear()


def test_each_app_of_a_sandbox_has_its_own_state(server: SandboxServer) -> None:
    async def other_lifespan(app: Rota) -> AsyncIterator[str]:
        yield "another state"

    other = Rota(ELSEWHERE, lifespan=other_lifespan)

    @other.task("other:state")
    async def other_state(context: Context) -> str:
        return str(context.state)

    with Sandbox(app, other, server=server) as sandbox:
        with_state.enqueue_sync()
        other_state.enqueue_sync()

        assert {run.type: run.result for run in sandbox.drain_sync()} == {
            "loop:state": "the state",
            "other:state": "another state",
        }


def test_two_apps_with_a_handler_for_one_type_are_refused(server: SandboxServer) -> None:
    other = Rota(ELSEWHERE)

    @other.task("report:build")
    async def build(number: int) -> int:
        return number

    with Sandbox(app, other, server=server) as sandbox, pytest.raises(RoutingError, match="registered already"):
        sandbox.drain_sync()


def test_handlers_run_in_the_loop_and_thread_of_the_test(server: SandboxServer) -> None:
    own = Rota(ELSEWHERE)

    @own.task("run:look")
    async def look() -> bool:
        return asyncio.get_running_loop() is loops[0] and threading.current_thread() is threading.main_thread()

    loops: list[asyncio.AbstractEventLoop] = []

    async def test() -> None:
        loops.append(asyncio.get_running_loop())
        async with Sandbox(own, server=server) as sandbox:
            await look.enqueue()
            assert [run.result for run in await sandbox.drain()] == [True]

    asyncio.run(test())


def test_error_of_an_aggregator_is_the_cause_of_a_drain_error(server: SandboxServer) -> None:
    own = Rota(ELSEWHERE)

    @own.task("comment:added")
    async def comment(author: str) -> None:
        pass

    @own.task("comment:other")
    async def other() -> str:
        return "ran"

    @own.aggregator("comment:added", group="page", grace="1s")
    def summarize(group: str, tasks: list[GroupedTask]) -> None:
        raise LookupError(group)

    with Sandbox(own, server=server) as sandbox:
        comment.options(group="page").enqueue_sync("Ann")
        other.enqueue_sync()
        sandbox.clock.travel("1s")
        with pytest.raises(DrainError, match="summarize failed for group page in queue default") as caught:
            sandbox.drain_sync()

        assert isinstance(caught.value.__cause__, LookupError)
        sandbox.assert_not_enqueued("comment:other")  # the other tasks ran first
        for times in (2, 3):
            sandbox.assert_enqueued("comment:added", author="Ann", count=1)  # in its group again
            with pytest.raises(DrainError, match=f"time {times} of 3"):
                sandbox.drain_sync()
        assert sandbox.enqueued() == []  # archived


def test_paused_queue_is_not_drained(sandbox: Sandbox) -> None:
    build.enqueue_sync(7)
    with SyncBroker.from_url(sandbox.url) as admin:
        admin.execute("SET", "asynq:{default}:paused", 1)

    assert sandbox.drain_sync(travel="1h") == []
    assert sandbox.enqueued()[0].state == "pending"


@pytest.mark.parametrize("name", ["max_runs", "concurrency"])
def test_number_below_one_is_refused(sandbox: Sandbox, name: str) -> None:
    words: dict[str, Any] = {name: 0}

    with pytest.raises(OptionError, match=f"{name} is 0, but must be a whole number, 1 or more"):
        sandbox.drain_sync(**words)
