"""The executor at moments that a whole worker meets by chance only."""

import asyncio
from datetime import timedelta

from rota.app import Rota
from rota.wire.keys import QueueKeys
from rota.wire.message import pack
from rota.wire.record import Outcome
from rota.worker.attempt import Attempt
from rota.worker.clock import BrokerClock
from rota.worker.executor import Executor
from rota.worker.slots import Slots


async def test_a_task_that_is_stopped_before_its_first_step_frees_its_slot_and_is_recorded() -> None:
    app, slots, ended = Rota(), Slots(1), asyncio.Queue[tuple[Attempt, Outcome | None]]()

    @app.task("never:begun", concurrency=1)
    async def never() -> None:
        raise AssertionError("it ran")

    executor = Executor(
        app.find_handler,
        slots,
        BrokerClock(),
        lambda attempt, outcome: ended.put_nowait((attempt, outcome)),
        places={},
        unknown_task_delay=timedelta(seconds=1),
    )
    attempt = Attempt(QueueKeys("q"), "token", "x", pack("never:begun", b"", "x", queue="q"), 0.0)
    slots.take(1)

    executor.start(attempt)
    executor.stop(attempt, "cancelled", "too late")

    async with asyncio.timeout(5):
        _, outcome = await ended.get()
    assert outcome is not None
    assert (outcome.kind, outcome.ending, outcome.text) == ("archive", "cancelled", b"cancelled: too late")
    assert (slots.used, executor.running()) == (0, [])
