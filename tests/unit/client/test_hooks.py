"""Middleware around an enqueue."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from rota.client.hooks import enter
from rota.core.sync_bridge import finish
from rota.errors import OptionError
from rota.tasks.job import Plan

PLAN: Plan[Any] = Plan("t", b"")


class Recorder:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def plain(self, name: str):  # type: ignore[no-untyped-def]
        def middleware(plan: Plan[Any]) -> Generator[Plan[Any] | None]:
            self.seen.append(f"{name} before {dict(plan.options.headers)}")
            try:
                yield plan.with_headers({name: "1"})
            except ValueError as error:
                self.seen.append(f"{name} failed {error}")
                raise
            self.seen.append(f"{name} after")

        return middleware

    def looking(self, name: str):  # type: ignore[no-untyped-def]
        async def middleware(plan: Plan[Any]) -> AsyncGenerator[Plan[Any] | None]:
            self.seen.append(f"{name} before {dict(plan.options.headers)}")
            yield None
            self.seen.append(f"{name} after")

        return middleware


async def test_middlewares_of_both_kinds_wrap_each_other_and_may_change_the_plan() -> None:
    recorder = Recorder()
    async with AsyncExitStack() as stack:
        plan = await enter(stack, [recorder.plain("a"), recorder.looking("b"), recorder.plain("c")], PLAN)
        recorder.seen.append("sent")
    assert dict(plan.options.headers) == {"a": "1", "c": "1"}
    assert recorder.seen == [
        "a before {}",
        "b before {'a': '1'}",
        "c before {'a': '1'}",
        "sent",
        "c after",
        "b after",
        "a after",
    ]


async def entered(*middlewares: Any, error: Exception | None = None) -> None:
    async with AsyncExitStack() as stack:
        await enter(stack, middlewares, PLAN, blocking=True)
        if error is not None:
            raise error


def test_an_error_passes_through_them_in_blocking_code() -> None:
    recorder = Recorder()
    with pytest.raises(ValueError, match="broken"):
        finish(entered(recorder.plain("a"), recorder.plain("b"), error=ValueError("broken")))
    assert recorder.seen[2:] == ["b failed broken", "a failed broken"]


def test_blocking_code_refuses_an_async_one_by_name() -> None:
    with pytest.raises(OptionError, match="middleware is an async generator"):
        finish(entered(Recorder().looking("a")))


def test_blocking_code_refuses_a_coroutine_that_waits() -> None:
    with pytest.raises(RuntimeError, match="waits, so blocking code cannot run it"):
        finish(asyncio.sleep(0))
