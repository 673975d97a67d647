import asyncio
import os
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from rota.errors import ProcessDied
from rota.tasks.callback import ImportedFunction
from rota.tasks.context import Context, blank
from rota.wire.proto import TaskMessage
from rota.worker.run.process_pool import ProcessPool, _spawn
from tests.unit.worker import process_functions as functions

DEADLINE = 20.0


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    pool = ProcessPool(2, modules=["tests.unit.worker.process_functions"])
    yield pool
    await pool.aclose()


class Recording:
    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def progress(self, context: Context, done: float, total: float | None, text: str) -> None:
        self.told.append((done, total, text))

    def log(self, context: Context, text: str) -> None:
        self.told.append((text,))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


async def test_a_function_runs_in_another_process(pool: ProcessPool) -> None:
    assert await pool.call(blank(), functions.add, (1,), {"b": 2}) == 3
    assert await pool.call(blank(), functions.pid) != os.getpid()


async def test_a_child_whose_end_no_thread_can_wait_for_does_not_stay(
    pool: ProcessPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def spawn(descriptor: int) -> subprocess.Popen[bytes]:
        started.append(_spawn(descriptor))
        return started[0]

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("rota.worker.run.process_pool._spawn", spawn)
    with monkeypatch.context() as refusing:
        refusing.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await pool.call(blank(), functions.pid)
    assert started[0].returncode is not None


async def test_a_child_that_was_warmed_while_a_call_started_another_one_does_not_stay() -> None:
    pool = ProcessPool(1, modules=["tests.unit.worker.process_functions"])
    try:
        warming = asyncio.create_task(pool.warm())
        await asyncio.sleep(0)
        assert await pool.call(blank(), functions.add, (1,), {"b": 2}) == 3
        await warming
        assert pool.statistics().processes == 1
    finally:
        await pool.aclose()


async def test_a_child_is_used_again(pool: ProcessPool) -> None:
    first = await pool.call(blank(), functions.pid)
    assert await pool.call(blank(), functions.pid) == first
    assert pool.statistics().processes == 1


async def test_an_error_comes_back_as_itself_with_the_trace_of_the_child(pool: ProcessPool) -> None:
    with pytest.raises(functions.OwnError, match="seven") as caught:
        await pool.call(blank(), functions.fail)
    assert "in fail" in "".join(caught.value.__notes__)
    assert await pool.call(blank(), functions.add, (1, 1)) == 2


async def test_a_child_that_still_works_when_its_call_fails_here_is_not_asked_again() -> None:
    class Strict(Recording):
        def progress(self, context: Context, done: float, total: float | None, text: str) -> None:
            raise TypeError(f"{done!r} is refused here")

    pool = ProcessPool(1, modules=["tests.unit.worker.process_functions"])
    try:
        with pytest.raises(TypeError, match="is refused here"):
            await pool.call(Context(TaskMessage(), Strict()), functions.tell_progress_and_add, (1, 1))
        assert await pool.call(blank(), functions.add, (2, 2)) == 4
    finally:
        await pool.aclose()


async def test_a_context_variable_does_not_reach_the_next_task(pool: ProcessPool) -> None:
    assert await pool.call(blank(), functions.paint, ("red",)) == "none"
    assert await pool.call(blank(), functions.paint, ("blue",)) == "none"
    assert pool.statistics().processes == 1


async def test_an_answer_to_another_request_ends_the_process(pool: ProcessPool) -> None:
    pid = await pool.call(blank(), functions.pid)
    with pytest.raises(ProcessDied, match="answered another request"):
        await pool.call(blank(), functions.forge, (1,))
    assert gone(pid)
    assert await pool.call(blank(), functions.add, (1, 1)) == 2


async def test_what_a_task_tells_after_its_end_is_not_taken_for_the_next_one(pool: ProcessPool) -> None:
    reporter = Recording()
    await pool.call(blank(), functions.tell_late)
    await pool.call(Context(TaskMessage(), reporter), functions.let_tell)
    assert reporter.told == []


async def test_a_result_that_does_not_travel_is_a_clear_error(pool: ProcessPool) -> None:
    function = ImportedFunction(functions.__name__, "unpicklable")

    with pytest.raises(TypeError, match=rf"^The result of {functions.__name__}.unpicklable cannot .* plain values"):
        await pool.call(blank(), function)


async def test_a_function_knows_its_task_and_tells_of_its_progress(pool: ProcessPool) -> None:
    reporter = Recording()
    context = Context(TaskMessage(id="i1", type="a:b", payload=b"{}"), reporter)
    assert await pool.call(context, functions.tell) == ("i1", "a:b", "{}")
    assert reporter.told == [(1, 2, "half"), ("line",)]


@pytest.mark.parametrize(
    ("function", "args", "says"),
    [
        (functions.leave, (3,), "exit code 3"),
        (functions.segfault, (), "SIGSEGV"),
        (functions.killed, (), "memory runs out"),
    ],
)
async def test_a_child_that_dies_names_the_reason_and_is_replaced(
    pool: ProcessPool, function: Callable[..., Any], args: tuple[Any, ...], says: str
) -> None:
    with pytest.raises(ProcessDied, match=says):
        await pool.call(blank(), function, args)
    assert await pool.call(blank(), functions.add, (2, 2)) == 4
    assert pool.statistics().died == 1


async def test_a_cancelled_call_kills_its_child_and_ends_when_it_is_gone(pool: ProcessPool, tmp_path: Path) -> None:
    started = tmp_path / "started"
    running = asyncio.create_task(pool.call(blank(), functions.hang, (str(started),)))
    await until(lambda: started.exists() and started.read_text() != "")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert gone(int(started.read_text()))
    assert pool.statistics().killed == 1
    assert await pool.call(blank(), functions.add, (2, 2)) == 4


async def test_what_a_killed_function_had_started_goes_with_it(pool: ProcessPool, tmp_path: Path) -> None:
    started = tmp_path / "started"
    running = asyncio.create_task(pool.call(blank(), functions.hang_with_child, (str(started),)))
    await until(lambda: started.exists() and started.read_text() != "")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: gone(int(started.read_text())))


async def test_a_child_is_replaced_after_its_share_of_calls() -> None:
    pool = ProcessPool(1, max_tasks=2)
    pids = [await pool.call(blank(), functions.pid) for _ in range(4)]
    await pool.aclose()
    assert pids[0] == pids[1] != pids[2] == pids[3]
    assert pool.statistics().recycled == 2


async def test_an_application_that_cannot_be_imported_is_named() -> None:
    pool = ProcessPool(1, modules=["no_such_module_anywhere"])
    with pytest.raises(ProcessDied, match="no_such_module_anywhere"):
        await pool.warm()
    await pool.aclose()


async def test_a_closed_pool_leaves_no_process(pool: ProcessPool) -> None:
    pids = [await pool.call(blank(), functions.pid)]
    await pool.aclose()
    assert all(gone(pid) for pid in pids)


PARENT = """
import asyncio, sys
from rota.tasks.context import blank
from rota.worker.run.process_pool import ProcessPool
from tests.unit.worker import process_functions as functions

async def main():
    await ProcessPool(1).call(blank(), functions.hang, (sys.argv[1],))

asyncio.run(main())
"""


async def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    import sys

    started = tmp_path / "started"
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, str(started))
    await until(lambda: started.exists() and started.read_text() != "")
    parent.kill()
    await parent.wait()
    await until(lambda: gone(int(started.read_text())))


MAIN = """
import asyncio, sys
from rota.tasks.context import blank
from rota.tasks.callback import ImportedFunction
from rota.worker.run.process_pool import ProcessPool

class Point:
    def __init__(self, x):
        self.x = x

class Own(Exception):
    def __init__(self, *, code):
        super().__init__("own")
        self.code = code

def fail():
    raise Own(code=9)

def shifted(point):
    return point.x + 1

async def main():
    pool = ProcessPool(1)
    print(await pool.call(blank(), ImportedFunction("__main__", "shifted"), (Point(4),)))
    print((await pool.call(blank(), ImportedFunction("__main__", "Point"), (7,))).x)
    try:
        await pool.call(blank(), ImportedFunction("__main__", "fail"))
    except Own as error:
        print(error.code)
    await pool.aclose()

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_functions_and_values_of_a_script_reach_the_child(tmp_path: Path) -> None:
    import sys

    script = tmp_path / "script.py"
    script.write_text(MAIN)
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.split() == [b"5", b"7", b"9"]
