"""Functions that fork in a pool process."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rota.tasks.context import Context, blank
from rota.wire.proto import TaskMessage
from rota.worker.run.process_pool import ProcessPool
from tests.unit.worker import forking_functions as forking
from tests.unit.worker import process_functions as functions
from tests.unit.worker.test_process_pool import Recording


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    pool = ProcessPool(1)
    yield pool
    await pool.aclose()


async def test_a_fork_ends_with_the_function_and_answers_nothing(pool: ProcessPool) -> None:
    reporter = Recording()
    for act, code in [("return", 0), ("exit", 7), ("exit with text", 1), ("fail", 1), ("tell", 0)]:
        assert await pool.call(Context(TaskMessage(), reporter), forking.fork_and, (act,)) == code
        assert await pool.call(blank(), functions.add, (1, 1)) == 2
    assert reporter.told == []
    assert pool.statistics().processes == 1


async def test_a_fork_has_the_default_signal_handlers(pool: ProcessPool) -> None:
    for how in ("fork", "forkpty", "multiprocessing", "concurrent.futures", "preexec_fn"):
        found = await pool.call(blank(), forking.signals_in_fork, (how,))
        assert found == ["0", "default_int_handler", -1, []], how


async def test_a_task_that_changes_signal_handlers_changes_them_for_itself(pool: ProcessPool) -> None:
    before = await pool.call(blank(), forking.signals)
    await pool.call(blank(), forking.change_signals)
    assert await pool.call(blank(), forking.signals) == before
    assert pool.statistics().processes == 1


async def test_pools_of_forks_can_be_terminated_while_they_start(pool: ProcessPool) -> None:
    async with asyncio.timeout(45):
        assert await pool.call(blank(), forking.many_pools, (30,)) == 30
