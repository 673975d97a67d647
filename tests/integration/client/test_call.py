"""Calls: enqueue, wait, and return the result; what happens if no result comes."""

import asyncio
import threading
from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from rota.broker import Broker, SyncBroker
from rota.client import Client, SyncClient
from rota.errors import (
    DuplicateTask,
    OptionError,
    PayloadError,
    ResultNotKept,
    ResultTimeout,
    TaskCancelled,
    TaskFailed,
)
from rota.tasks.job import Plan
from rota.tasks.policy import Unique
from tests.integration.client.conftest import Desk, plan
from tests.integration.worker.conftest import eventually
from tests.servers.roles import as_role


@pytest.fixture
def blocking(any_url: str) -> Iterator[SyncClient]:
    with SyncBroker.from_url(as_role(any_url, "producer")) as broker:
        yield SyncClient(broker)


async def called(client: Client, desk: Desk, some: Plan[Any], timeout: str = "20s") -> "tuple[asyncio.Task[Any], str]":
    """Begin a call; return it and the ID of its task, which a worker has taken and which is being waited for."""
    call = asyncio.create_task(client.call(some, timeout))
    return call, await taken(desk)


async def taken(desk: Desk) -> str:
    found: list[str] = []

    async def take() -> bool:
        found.extend(await desk.take())
        return bool(found)

    await eventually(take)

    async def waited_for() -> bool:
        return "rota_wait" in await desk.hash(found[0])

    await eventually(waited_for)
    return found[0]


async def test_a_call_returns_the_result_of_a_task_that_keeps_none_otherwise(client: Client, desk: Desk) -> None:
    call, task_id = await called(client, desk, plan())
    assert (await desk.message(task_id)).retention == 60
    await desk.end(task_id, "complete", seconds=60, text=b'{"a": [1, null]}')
    assert await call == {"a": [1, None]}


@pytest.mark.parametrize(
    ("retention", "timeout", "kept"),
    [
        ("1h", "20s", 3600),
        ("0s", "20s", 60),
        (None, "20m", 1200),
        (None, None, 60),
        (None, timedelta.max, 86_400_000_000_000),
    ],
)
async def test_a_result_is_kept_as_long_as_the_call_may_wait_unless_the_task_has_a_retention(
    client: Client, desk: Desk, retention: str | None, timeout: Any, kept: int
) -> None:
    call, task_id = await called(client, desk, plan(retention=retention), timeout)
    assert (await desk.message(task_id)).retention == kept
    await desk.end(task_id, "complete", seconds=60, text=b"1")
    assert await call == 1


async def test_a_call_from_blocking_code_returns_the_result_too(blocking: SyncClient, desk: Desk) -> None:
    results: list[Any] = []
    caller = threading.Thread(target=lambda: results.append(blocking.call(plan(), "20s")))
    caller.start()
    await desk.end(await taken(desk), "complete", seconds=60, text=b"[7]")
    await asyncio.to_thread(caller.join)
    assert results == [[7]]


async def test_after_the_timeout_the_task_goes_on_and_can_be_waited_for_again(client: Client, desk: Desk) -> None:
    with pytest.raises(ResultTimeout, match=r"did not end within 3 s \(it is pending\)") as caught:
        await client.call(plan(queue="default"), "3s")
    assert caught.value.queue == "default"
    assert await desk.take() == [caught.value.task_id]
    await desk.end(caught.value.task_id, "complete", seconds=60, text=b"7")
    assert await client.job(caught.value.queue, caught.value.task_id).result("20s") == 7


def test_a_timeout_in_blocking_code_names_the_task_too(blocking: SyncClient) -> None:
    with pytest.raises(ResultTimeout, match=r"did not end within 1 s") as caught:
        blocking.call(plan(), "1s")
    assert blocking.info(caught.value.queue, caught.value.task_id).state == "pending"


async def test_a_caller_that_is_cancelled_leaves_the_task_running(client: Client, desk: Desk) -> None:
    call, task_id = await called(client, desk, plan())
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await client.info("default", task_id)).state == "active"


async def test_a_failure_and_a_cancelled_task_raise_and_name_the_task(client: Client, desk: Desk) -> None:
    call, task_id = await called(client, desk, plan())
    failed = await desk.message(task_id)
    failed.error_msg = "boom"
    await desk.end(task_id, "archive", message=failed.SerializeToString(), text=b"boom")
    with pytest.raises(TaskFailed, match="failed for good: boom") as caught:
        await call
    assert (caught.value.task_id, caught.value.queue) == (task_id, "default")

    call = asyncio.create_task(client.call(plan(delay="10s"), "20s"))
    other = (await eventually(lambda: desk.ids("scheduled")))[0]  # type: ignore[index]
    await client.cancel("default", other, "enough")
    with pytest.raises(TaskCancelled, match="cancelled: enough") as cancelled:
        await call
    assert cancelled.value.task_id == other


async def test_a_worker_that_stores_no_result_as_many_go_handlers_makes_none(client: Client, desk: Desk) -> None:
    call, task_id = await called(client, desk, plan())
    await desk.broker.admin.execute("HSET", desk.keys.task(task_id), "state", "completed")
    assert await call is None


async def test_a_result_that_cannot_be_read_names_the_task_which_has_run(client: Client, desk: Desk) -> None:
    call, task_id = await called(client, desk, plan())
    await desk.end(task_id, "complete", seconds=60, text=b"not json")
    with pytest.raises(PayloadError, match=rf"Task {task_id} in queue 'default' has succeeded, but"):
        await call
    assert await client.result("default", task_id) == b"not json"


async def test_a_result_is_read_as_the_plan_says_that_a_middleware_sends(any_url: str, desk: Desk) -> None:
    def other(some: Plan[Any]) -> Generator[Plan[Any]]:
        yield some._replace(decode=len)

    async with Broker.from_url(as_role(any_url, "producer")) as broker:
        call, task_id = await called(Client(broker, middlewares=[other]), desk, plan())
        await desk.end(task_id, "complete", seconds=60, text=b"seven")
        assert await call == 5


@pytest.mark.parametrize("words", [{"group": "g"}, {"delay": "1h"}, {"retention": None}])
async def test_what_a_call_needs_holds_for_the_plan_that_a_middleware_sends(
    any_url: str, desk: Desk, words: dict[str, Any]
) -> None:
    def other(some: Plan[Any]) -> Generator[Plan[Any]]:
        yield some.updated(**words)

    async with Broker.from_url(as_role(any_url, "producer")) as broker:
        client = Client(broker, middlewares=[other])
        if "retention" in words:
            call, task_id = await called(client, desk, plan(retention="1h"))
            assert (await desk.message(task_id)).retention == 60
            await desk.end(task_id, "complete", seconds=60, text=b"7")
            assert await call == 7
        else:
            with pytest.raises(OptionError, match=r"call\(\) waits"):
                await client.call(plan(), "20s")
            assert not any([await desk.ids("scheduled"), await desk.groups()])


async def test_a_call_waits_for_the_unique_task_that_exists_already(client: Client, desk: Desk) -> None:
    first = await client.enqueue(plan(unique="10m", retention="1h"))
    call, task_id = await called(client, desk, plan(unique="10m"))
    assert task_id == first.id
    await desk.end(task_id, "complete", seconds=60, text=b"7")
    assert await call == 7


async def test_a_unique_task_that_exists_and_keeps_no_result_is_refused_at_once(
    client: Client, blocking: SyncClient
) -> None:
    first = await client.enqueue(plan(unique="10m"))
    expected = rf"enqueued nothing, because the unique task {first.id} exists already in queue 'default'"
    with pytest.raises(ResultNotKept, match=expected) as caught:
        await client.call(plan(unique="10m"))
    assert caught.value.task_id == first.id
    with pytest.raises(ResultNotKept, match=expected):
        await asyncio.to_thread(blocking.call, plan(unique="10m"))
    with pytest.raises(DuplicateTask):
        await client.call(plan(unique=Unique("10m", on_conflict="raise")))


WRONG: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "group": (lambda: plan(group="g"), "1s", "with group= the task is merged with others"),
    "debounce": (lambda: plan().updated(debounce=debounced()), "1s", "with debounce= several calls become one"),
    "delay": (lambda: plan(delay="5m"), "10s", "starts after a delay of 5m, but call.. waits only 10s"),
    "timeout": (plan, "ten", "timeout"),
    "sooner than now": (plan, -1, "timeout"),
    "a name": (lambda: "report:build", "1s", "'report:build' is not a plan"),
}


def debounced() -> Any:
    from rota.tasks.policy import Debounce

    return Debounce("k", timedelta(seconds=1))


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_call_that_can_have_no_result_is_refused_before_anything_is_written(
    client: Client, blocking: SyncClient, desk: Desk, wrong: str
) -> None:
    make, timeout, reason = WRONG[wrong]
    with pytest.raises(OptionError, match=reason):
        await client.call(make(), timeout)
    with pytest.raises(OptionError, match=reason):
        blocking.call(make(), timeout)
    assert not any([await desk.ids("pending"), await desk.ids("scheduled"), await desk.groups()])
