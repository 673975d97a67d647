"""Code around a call."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from rota import Context, OptionError, Plan, Rota
from rota.tasks.context import blank
from rota.tasks.middleware import check, check_enqueue


def app_with(*middlewares: Any) -> tuple[Rota, list[str]]:
    app = Rota(middleware=middlewares)
    said: list[str] = []

    @app.task("test:say")
    async def say(word: str) -> str:
        said.append(word)
        if word == "fail":
            raise ValueError(word)
        return word

    return app, said


async def run(app: Rota, word: str) -> Any:
    handler = app.find_handler("test:say")
    assert handler is not None
    return await handler.invoke(blank("test:say"), b'{"word":"%s"}' % word.encode(), None)


def noting(name: str, notes: list[str]) -> Any:
    async def middleware(context: Context) -> AsyncGenerator[None]:
        notes.append(f"{name} before {context.type}")
        try:
            yield
        except ValueError as error:
            notes.append(f"{name} saw {error}")
            raise
        notes.append(f"{name} after")

    return middleware


async def test_middlewares_stand_around_a_call_the_first_one_outermost() -> None:
    notes: list[str] = []
    app, said = app_with(noting("a", notes), noting("b", notes))

    assert await run(app, "hello") == "hello"

    assert notes == ["a before test:say", "b before test:say", "b after", "a after"]
    assert said == ["hello"]


async def test_errors_are_thrown_into_middlewares() -> None:
    notes: list[str] = []
    app, _ = app_with(noting("a", notes))

    with pytest.raises(ValueError, match="fail"):
        await run(app, "fail")

    assert notes == ["a before test:say", "a saw fail"]


async def test_a_middleware_that_is_added_later_applies_from_then_on() -> None:
    notes: list[str] = []
    app, _ = app_with()
    await run(app, "hello")

    app.middleware(noting("late", notes))
    await run(app, "hello")

    assert notes == ["late before test:say", "late after"]


async def test_a_middleware_that_swallows_the_error_of_a_task_is_an_error() -> None:
    async def forgiving(context: Context) -> AsyncGenerator[None]:
        with contextlib.suppress(ValueError):
            yield

    app, _ = app_with(forgiving)

    with pytest.raises(RuntimeError, match=r"forgiving swallowed the error of the task \(ValueError\)") as caught:
        await run(app, "fail")
    assert isinstance(caught.value.__cause__, ValueError)


async def test_a_middleware_that_swallows_a_cancel_hides_it_from_nobody() -> None:
    async def forgiving(context: Context) -> AsyncGenerator[None]:
        with contextlib.suppress(asyncio.CancelledError):
            yield

    app = Rota(middleware=[forgiving])

    @app.task("test:say")
    async def wait(word: str) -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(run(app, "x"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_middleware_may_raise_another_error() -> None:
    async def translating(context: Context) -> AsyncGenerator[None]:
        try:
            yield
        except ValueError as error:
            raise LookupError("translated") from error

    app, _ = app_with(translating)

    with pytest.raises(LookupError, match="translated"):
        await run(app, "fail")


def test_what_is_no_async_generator_is_refused() -> None:
    async def plain(context: Context) -> None: ...

    with pytest.raises(OptionError, match="must be an async generator function"):
        check(plain)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="must be a generator function"):
        check_enqueue(plain)  # type: ignore[arg-type]


def test_generators_of_both_kinds_may_stand_around_an_enqueue() -> None:
    async def one(plan: Plan[Any]) -> AsyncGenerator[None]:
        yield

    def other(plan: Plan[Any]) -> Generator[Plan[Any]]:
        yield plan.with_headers({"trace": "1"})

    app = Rota(enqueue_middleware=[one])

    assert app.enqueue_middleware(other) is other
    assert app.enqueue_middlewares == [one, other]


async def test_a_middleware_that_does_not_yield_once_is_named() -> None:
    async def skips(context: Context) -> AsyncGenerator[None]:
        if context.retried:
            yield

    async def repeats(context: Context) -> AsyncGenerator[None]:
        yield
        yield

    for middleware, fault in ((skips, "skips ended without a yield"), (repeats, "repeats yielded a second time")):
        app, _ = app_with(middleware)
        with pytest.raises(RuntimeError, match=rf"^The middleware .*{fault}"):
            await run(app, "hello")
