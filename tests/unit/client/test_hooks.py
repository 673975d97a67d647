"""Middleware around an enqueue."""

from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest

from rota.client.hooks import enter, enter_sync
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


def test_an_error_passes_through_them() -> None:
    recorder = Recorder()

    def send() -> None:
        with ExitStack() as stack:
            enter_sync(stack, [recorder.plain("a"), recorder.plain("b")], PLAN)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        send()
    assert recorder.seen[2:] == ["b failed broken", "a failed broken"]


def test_blocking_code_refuses_an_async_one_by_name() -> None:
    with pytest.raises(OptionError, match="middleware is an async generator"), ExitStack() as stack:
        enter_sync(stack, [Recorder().looking("a")], PLAN)
