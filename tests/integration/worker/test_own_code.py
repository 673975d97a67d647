"""Code of the user around a run that fails itself: the task must neither hang nor take its slot along."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

import pytest

from rota.app import Rota
from rota.errors import RetryLater
from rota.policy import Retry
from rota.worker.worker import Worker
from tests.integration.worker.conftest import Bench, eventually


class Speechless(Exception):
    def __str__(self) -> str:
        raise LookupError("no words")


def broken(*args: object) -> NoReturn:
    raise KeyError("own code")


async def all_slots_are_free(worker: Worker) -> None:
    """Wait for it: a fetch that is under way reserves slots too."""

    async def free() -> bool:
        return worker.slots.used == 0

    await eventually(free)


@pytest.mark.parametrize(
    ("raised", "policy", "said"),
    [
        (lambda: RetryLater("30"), Retry(), "could not be decided: OptionError: the delay of RetryLater"),
        (lambda: ValueError("x"), Retry(delay=broken), "ValueError: x (and how to retry it could not be decided"),
        (lambda: ValueError("x"), Retry(delay=lambda retried, error: "soon"), "could not be decided: OptionError"),
        (lambda: ValueError("x"), Retry(is_failure=broken), "could not be decided: KeyError: 'own code'"),
        (Speechless, Retry(), "Speechless: its text cannot be read"),
    ],
)
async def test_a_fault_in_a_retry_policy_is_told_and_the_task_is_retried_by_default(
    app: Rota, bench: Bench, raised: Callable[[], Exception], policy: Retry, said: str
) -> None:
    @app.task("own:policy", retry=policy)
    async def fail() -> None:
        raise raised()

    async with app.worker() as worker:
        task = await bench.in_state((await fail.enqueue()).id, "retry")
        await all_slots_are_free(worker)
    assert said in task.last_error
    assert task.retried == 1


async def test_a_hook_that_outlives_the_time_limit_is_stopped_and_the_outcome_stands(app: Rota, bench: Bench) -> None:
    async def endless(context: object, result: object) -> None:
        await asyncio.Event().wait()

    @app.task("own:hook", timeout="1s", retention="1h", on_success=endless)
    async def succeed() -> int:
        return 7

    async with app.worker() as worker:
        job = await succeed.enqueue()
        assert await job.result("10s") == 7
        await all_slots_are_free(worker)
    assert (await job.info()).state == "completed"
