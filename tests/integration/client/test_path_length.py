"""How long the way of one awaited enqueue is: Python calls of ours from the call to the socket and back."""

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import rota
from rota import Rota
from rota.broker.busy_poll import BusyPoll
from rota.wire import enqueue

OURS = str(Path(rota.__file__).parent)
MOST_CALLS = 25
"""A coroutine that is resumed counts once more."""
MOST_MODULES = 15
WAITING = BusyPoll._turn.__code__
"""Runs again and again instead of a sleep, so how often says nothing."""


async def test_one_enqueue_takes_few_calls_in_few_modules(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enqueue, "_ascending", 0)  # a sandbox of another test makes each ID by itself
    enqueue._ready.clear()  # so that the first enqueue makes the IDs of a whole batch
    async with Rota(redis_url) as app:

        @app.task("path:length")
        async def task(number: int) -> None: ...

        await task.enqueue(1)  # connects, registers the queue, sends the source of the script
        await task.enqueue(2)
        calls: list[str] = []

        def count(frame: FrameType, event: str, argument: Any) -> None:
            if event == "call" and frame.f_code is not WAITING and frame.f_code.co_filename.startswith(OURS):
                calls.append(f"{frame.f_code.co_filename.removeprefix(OURS)}:{frame.f_code.co_qualname}")

        sys.setprofile(count)
        try:
            await task.enqueue(7)
        finally:
            sys.setprofile(None)

    assert len(calls) <= MOST_CALLS, calls
    assert len({call.partition(":")[0] for call in calls}) <= MOST_MODULES, calls
