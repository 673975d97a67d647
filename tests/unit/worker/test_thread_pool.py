import asyncio
import contextvars
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator

import pytest

from rota.errors import TimeLimitExceeded
from rota.tasks.context import blank
from rota.worker.run.thread_pool import ThreadPool

DEADLINE = 10.0
colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


@pytest.fixture
async def pool() -> AsyncIterator[ThreadPool]:
    pool = ThreadPool(2)
    yield pool
    pool.abandon()
    await pool.aclose()


async def reached(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, DEADLINE)


async def test_a_function_runs_in_a_thread_and_returns_its_value(pool: ThreadPool) -> None:
    def add(a: int, b: int) -> tuple[int, int]:
        return a + b, threading.get_ident()

    value, thread = await pool.call(blank(), add, (1,), {"b": 2})
    assert value == 3
    assert thread != threading.get_ident()


async def test_a_thread_that_the_system_refuses_to_start_is_tried_again_by_the_next_call(
    pool: ThreadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            await pool.call(blank(), int, ("1",))
    async with asyncio.timeout(DEADLINE):
        assert await pool.call(blank(), int, ("2",)) == 2


async def test_an_error_comes_back_with_its_traceback(pool: ThreadPool) -> None:
    def fail() -> None:
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing") as caught:
        await pool.call(blank(), fail)
    assert caught.traceback[-1].name == "fail"


async def test_a_thread_sees_the_context_variables_of_its_caller(pool: ThreadPool) -> None:
    colour.set("green")
    assert await pool.call(blank(), colour.get) == "green"


async def test_threads_are_used_again(pool: ThreadPool) -> None:
    for _ in range(5):
        await pool.call(blank(), lambda: None)
    assert pool.statistics().threads == 1


async def test_a_function_in_python_code_is_interrupted_and_told(pool: ThreadPool) -> None:
    context, started = blank(), threading.Event()
    seen: list[str] = []

    def spin() -> None:
        started.set()
        try:
            while True:
                time.sleep(0.001)
        except TimeLimitExceeded:
            seen.append(f"interrupted, cancelled={context.cancelled}")
            raise

    running = asyncio.create_task(pool.call(context, spin))
    await reached(started)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert seen == ["interrupted, cancelled=True"]


async def test_the_slot_is_held_until_the_function_has_really_returned(pool: ThreadPool) -> None:
    started, let_go = threading.Event(), threading.Event()

    def stubborn() -> None:
        started.set()
        while not let_go.is_set():
            try:
                let_go.wait(0.01)
            except TimeLimitExceeded:
                continue

    running = asyncio.create_task(pool.call(blank(), stubborn))
    await reached(started)
    running.cancel()
    await asyncio.wait([running], timeout=0.05)
    running.cancel()
    await asyncio.wait([running], timeout=0.05)
    assert not running.done()
    assert pool.statistics().running == 1
    let_go.set()
    await running
    assert pool.statistics().running == 0


async def test_a_pool_can_give_up_on_a_function_that_hangs(pool: ThreadPool) -> None:
    started, let_go = threading.Event(), threading.Event()

    def hang() -> None:
        started.set()
        let_go.wait(DEADLINE)

    running = asyncio.create_task(pool.call(blank(), hang))
    await reached(started)
    running.cancel()
    pool.abandon()
    with pytest.raises(asyncio.CancelledError):
        await running
    let_go.set()


async def test_an_interruption_never_hits_the_next_function() -> None:
    pool = ThreadPool(1)
    for turn in range(300):
        first = asyncio.create_task(pool.call(blank(), time.sleep, (turn % 7 / 10_000,)))
        await asyncio.sleep(turn % 5 / 10_000)
        first.cancel()
        await asyncio.wait([first])
        assert await pool.call(blank(), sum, (range(100),)) == 4950
    await pool.aclose()


async def test_no_more_functions_run_at_once_than_the_pool_is_large(pool: ThreadPool) -> None:
    now, most = 0, 0
    lock, two = threading.Lock(), threading.Barrier(2, timeout=DEADLINE)

    def work() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        two.wait()
        with lock:
            now -= 1

    await asyncio.gather(*(pool.call(blank(), work) for _ in range(10)))
    assert most == 2


TRACED_CALL = """
import asyncio, sys, threading, time
from rota.tasks.context import blank
from rota.worker.run.thread_pool import ThreadPool


def traced() -> None:
    before = sys.gettrace()
    sys.settrace(lambda *event: None)
    (lambda: None)()
    sys.settrace(before)


def work(started: threading.Event) -> None:
    started.set()
    {work}


async def main() -> None:
    pool = ThreadPool(6)
    events = [threading.Event() for _ in range(6)]
    calls = [asyncio.create_task(pool.call(blank(), work, (event,))) for event in events]
    for event in events:
        await asyncio.to_thread(event.wait)
    for call in calls:
        call.cancel()
    {then}
    traced()
    print("traced")


asyncio.run(main())
"""


def run_traced(work: str, then: str) -> str:
    """Run the program in a process of its own, because the fault is a call that never returns."""
    program = TRACED_CALL.format(work=work, then=then)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_traced_code_goes_on_after_functions_were_interrupted() -> None:
    assert run_traced("time.sleep(0.5)", "await asyncio.wait(calls)") == "traced\n"


def test_traced_code_goes_on_while_an_interrupted_function_hangs_outside_of_python() -> None:
    assert run_traced("time.sleep(3600)", "pool.abandon(); await asyncio.wait(calls)") == "traced\n"


async def test_what_a_function_returns_after_its_interruption_is_kept(pool: ThreadPool) -> None:
    started = threading.Event()

    def partial() -> str:
        try:
            started.set()
            while True:
                time.sleep(0.001)
        except TimeLimitExceeded:
            return "as far as it came"

    running = asyncio.create_task(pool.call(blank(), partial))
    await reached(started)
    running.cancel()
    assert await running == "as far as it came"


async def test_what_a_function_raises_after_its_interruption_is_kept(pool: ThreadPool) -> None:
    started = threading.Event()

    def translate() -> None:
        try:
            started.set()
            while True:
                time.sleep(0.001)
        except TimeLimitExceeded as error:
            raise LookupError("no answer in time") from error

    running = asyncio.create_task(pool.call(blank(), translate))
    await reached(started)
    running.cancel()
    with pytest.raises(LookupError, match="no answer in time"):
        await running


async def test_a_function_that_swallowed_an_interruption_is_interrupted_again_by_a_further_cancel(
    pool: ThreadPool,
) -> None:
    started, swallowed = threading.Event(), threading.Event()

    def stubborn_once() -> None:
        try:
            started.set()
            while True:
                time.sleep(0.001)
        except TimeLimitExceeded:
            swallowed.set()
        while True:
            time.sleep(0.001)

    running = asyncio.create_task(pool.call(blank(), stubborn_once))
    await reached(started)
    running.cancel()
    await reached(swallowed)
    running.cancel()
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_interruptions_at_the_end_of_functions_never_reach_the_thread_itself() -> None:
    pool = ThreadPool(1)
    ended = 0
    for turn in range(2000):
        call = asyncio.create_task(pool.call(blank(), sum, (range(turn % 400),)))
        for _ in range(turn % 4):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        ended += not call.cancelled()
        assert await pool.call(blank(), sum, (range(10),)) == 45
    assert pool.statistics().threads == 1
    assert ended < 2000
    await pool.aclose()
