"""Code of the application that forks, each in a program of its own."""

import subprocess
import sys
from collections.abc import Sequence

import pytest

BEGIN = """
import asyncio, multiprocessing, os, signal, sys
from rota import Rota
from rota.core import forks
from rota.tasks.context import blank

app = Rota()


def fork():
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
        print("parent")


async def main():
    forks.guard(asyncio.get_running_loop())
    await run()
    print("end")


"""


def printed(program: str) -> Sequence[str]:
    """Run a program and return the lines that it and its forks print."""
    done = subprocess.run(
        [sys.executable, "-c", f"{BEGIN}{program}\nasyncio.run(main())"], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_fork_ends_with_the_aggregator_that_made_it(kind: str) -> None:
    lines = printed(f"""
@app.task("a:one")
def one(): ...

@app.aggregator("a:many")
{kind} many(group, tasks):
    fork()
    return one.plan()

async def run():
    await app.aggregators.find("a:many", "g").aggregate("g", [])
    print("aggregated")
""")
    assert lines == ["parent", "aggregated", "end"]


def test_a_fork_ends_with_the_hook_that_made_it() -> None:
    lines = printed("""
@app.task("a:one", on_success=[lambda context, value: fork(), lambda context, value: print("second")])
def one(): ...

async def run():
    await app.find_handler("a:one").notify("success", blank(), None)
""")
    assert lines == ["parent", "second", "end"]


def test_a_fork_on_the_event_loop_ends_when_it_awaits_something() -> None:
    lines = printed("""
async def run():
    pid = os.fork()
    if pid:
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        return
    print("fork", flush=True)
    await asyncio.sleep(0)
    print("goes-on", flush=True)
""")
    assert lines == ["fork", "1", "end"]


def test_a_process_of_multiprocessing_that_is_forked_on_the_event_loop_runs_without_a_profile_function() -> None:
    lines = printed("""
def show():
    print(sys.getprofile(), flush=True)

async def run():
    process = multiprocessing.get_context("fork").Process(target=show)
    process.start()
    process.join()
""")
    assert lines == ["None", "end"]


def test_a_fork_keeps_the_handlers_that_are_not_those_of_the_worker() -> None:
    lines = printed("""
def worker(*_): ...
def own(*_): ...

signal.signal(signal.SIGTERM, worker)

async def run():
    signal.signal(signal.SIGHUP, own)
    pid = os.fork()
    if pid == 0:
        handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
        print(handlers == [signal.SIG_DFL, own], flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    print(signal.getsignal(signal.SIGTERM) is worker, sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
""")
    assert lines == ["True", "True", "[]", "end"]
