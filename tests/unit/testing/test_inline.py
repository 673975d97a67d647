"""Handlers that run without a server, with all of their layers."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pytest

from rota import INJECTED, Context, Depends, Plan, RetryLater, Rota, TaskCancelled, current
from rota.errors import OptionError, PayloadError, RotaError, RoutingError
from rota.testing import run_inline, run_inline_sync

ELSEWHERE = "redis://127.0.0.1:1/0"


async def lifespan(app: Rota) -> AsyncIterator[str]:
    yield "state"


app = Rota(ELSEWHERE, lifespan=lifespan)
steps: list[str] = []


@app.middleware
async def around(context: Context) -> AsyncGenerator[None]:
    steps.append(f"> {context.type}")
    try:
        yield
    finally:
        steps.append(f"< {context.type}")


@app.enqueue_middleware
def with_origin(plan: Plan[Any]) -> Iterator[Plan[Any]]:
    yield plan.with_headers({"origin": "web-1"})


def connection(context: Context) -> Iterator[str]:
    steps.append("open")
    yield f"connection of {context.state}"
    steps.append("close")


@app.task("user:welcome", timeout="10m")
async def welcome(context: Context, user_id: int, locale: str = "en") -> list[object]:
    assert current() is context
    return [user_id, locale, context.queue, context.retried, context.last_error, context.max_retry, context.headers]


@app.task("user:store")
def store(user_id: int, connection: Annotated[str, Depends(connection)] = INJECTED) -> str:
    assert threading.current_thread() is not threading.main_thread()
    return f"{connection} for {user_id}, {current().type}"


@app.task("user:fail")
async def fail(error: str) -> None:
    raise RetryLater("5m") if error == "later" else LookupError(error)


@app.task("user:wait")
async def wait() -> None:
    await asyncio.Event().wait()


@app.task("user:watch", timeout="1s")
def watch(context: Context) -> None:
    try:
        while True:
            context.raise_if_cancelled()
            time.sleep(0.001)
    except TaskCancelled:
        ended.set()
        raise


ended = threading.Event()


@app.handler("raw:")
async def raw(context: Context, payload: bytes) -> bytes:
    return payload + context.type.encode()


@pytest.fixture(autouse=True)
def no_steps() -> None:
    steps.clear()


async def test_handler_runs_with_a_sensible_context() -> None:
    plan = welcome.options(queue="low", headers={"trace": "1"}, max_retry=3).plan(7)

    result = await run_inline(app, plan, retried=2, last_error="LookupError: seven")

    headers = {"trace": "1", "origin": "web-1"}
    assert result == [7, "en", "low", 2, "LookupError: seven", 3, headers]
    assert steps == ["> user:welcome", "< user:welcome"]


def test_function_in_a_thread_gets_its_dependencies() -> None:
    assert run_inline_sync(app, store.plan(7)) == "connection of state for 7, user:store"
    assert steps == ["> user:store", "open", "close", "< user:store"]


def test_overrides_apply() -> None:
    app.overrides[connection] = lambda: "a stand-in"
    try:
        assert run_inline_sync(app, store.plan(7)) == "a stand-in for 7, user:store"
    finally:
        app.overrides.clear()


async def test_error_of_the_handler_is_raised() -> None:
    with pytest.raises(LookupError, match="seven"):
        await run_inline(app, fail.plan("seven"))
    with pytest.raises(RetryLater):
        await run_inline(app, fail.plan("later"))


async def test_payload_that_does_not_fit_is_refused_as_in_a_worker() -> None:
    with pytest.raises(PayloadError, match="does not fit"):
        await run_inline(app, Plan("user:welcome", b'{"user_id": "seven"}'))


async def test_time_limit_of_the_plan_ends_a_coroutine() -> None:
    with pytest.raises(TimeoutError, match="the timeout of 1s is over"):
        await run_inline(app, wait.options(timeout="1s").plan())


async def test_time_limit_of_the_function_asks_a_thread_to_stop() -> None:
    with pytest.raises(TimeoutError, match="the timeout of 1s is over"):
        await run_inline(app, watch.plan())

    assert ended.wait(30)


async def test_deadline_that_has_passed_ends_the_run() -> None:
    with pytest.raises(TimeoutError):
        await run_inline(app, wait.options(deadline=datetime.now(UTC) - timedelta(seconds=1)).plan())


async def test_handler_in_the_style_of_asynq_runs_for_a_type_of_its_family() -> None:
    assert await run_inline(app, app.plan("raw:one", b"bytes of ")) == b"bytes of raw:one"


async def test_type_without_a_handler_is_refused_with_a_suggestion() -> None:
    with pytest.raises(RoutingError, match=r"no handler for 'user:welcom'. Did you mean 'user:welcome'\?"):
        await run_inline(app, app.plan("user:welcom", {"user_id": 7}))


async def test_task_without_its_arguments_is_refused_with_the_right_call() -> None:
    with pytest.raises(OptionError, match=r"not Rota and AsyncTask: write run_inline\(app, task\.plan\(\.\.\.\)\)"):
        await run_inline(app, welcome)  # type: ignore[arg-type]


async def test_context_ends_with_the_run() -> None:
    await run_inline(app, welcome.plan(7))

    with pytest.raises(RotaError, match="No task runs here"):
        current()


async def test_blocking_run_in_a_coroutine_names_the_other_one() -> None:
    with pytest.raises(OptionError, match=r"await run_inline\(app, plan\)"):
        run_inline_sync(app, welcome.plan(7))
