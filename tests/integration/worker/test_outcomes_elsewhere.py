"""How runs in threads and processes end: as they would on the loop."""

import time

from rota.app import Rota
from rota.errors import SkipRetry, TimeLimitExceeded
from rota.tasks.policy import Retry
from tests.integration.worker.conftest import Bench
from tests.unit.worker import failing_functions as failing


async def test_a_function_in_a_thread_that_finishes_in_spite_of_its_time_limit_has_succeeded(app: Rota) -> None:
    @app.task("thread:stubborn", timeout="1s", retention="1h")
    def stubborn() -> int:
        try:
            while True:
                time.sleep(0.001)
        except TimeLimitExceeded:
            return 7

    async with app.worker():
        assert await (await stubborn.enqueue()).result("20s") == 7


async def test_a_function_in_a_thread_that_translates_its_time_limit_is_judged_by_its_own_error(
    app: Rota, bench: Bench
) -> None:
    @app.task("thread:translates", timeout="1s", retry=3)
    def translates() -> None:
        try:
            while True:
                time.sleep(0.001)
        except TimeLimitExceeded as error:
            raise SkipRetry("half is written") from error

    async with app.worker():
        task = await bench.in_state((await translates.enqueue()).id, "archived")
    assert task.last_error == "SkipRetry: half is written"
    assert task.retried == 0


async def test_errors_of_a_process_are_judged_by_their_class(app: Rota, bench: Bench) -> None:
    policy = Retry(max=3, delay="1h", never=failing.KeywordOnly)
    for name in ("fail_for_ever", "fail_without_retry", "fail_quietly", "fail_for_now"):
        app.task(f"process:{name}", run="process", retry=policy)(getattr(failing, name))

    async with app.worker():
        forever = await bench.in_state((await app.enqueue("process:fail_for_ever", {})).id, "archived")
        without = await bench.in_state((await app.enqueue("process:fail_without_retry", {})).id, "archived")
        await bench.gone((await app.enqueue("process:fail_quietly", {})).id)
        later = await bench.in_state((await app.enqueue("process:fail_for_now", {})).id, "retry")
    assert (forever.retried, without.retried, later.retried) == (0, 0, 0)
    assert forever.last_error == "KeywordOnly: code 1"
    assert without.last_error == "Missing: no row 7 in users"
    assert later.last_error == "TooEarly: night"


async def test_the_traceback_of_an_error_in_a_process_shows_the_function_and_no_frame_of_rota(
    app: Rota, bench: Bench
) -> None:
    task = app.task("trace:process", run="process", retry=0)(fails_there)
    async with app.worker(pool_size=1):
        job = await task.enqueue()
        await bench.in_state(job.id, "archived")
    trace = (await job.info()).traceback
    assert 'raise LookupError("not here")' in trace
    assert "/rota/worker/" not in trace
    assert trace.rstrip().endswith("LookupError: not here")


def fails_there() -> None:
    raise LookupError("not here")
