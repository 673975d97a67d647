"""An app whose tasks say when they start and end, and die in every way there is.

They say it in the file that `SHIFT_EVENTS` names, because the import of a Redis client would cost each process 70 ms.
"""

import asyncio
import contextlib
import ctypes
import logging
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time

from rota import Context, Rota, current

app = Rota()
if "SHIFT_STUCK" in os.environ:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(2, b"stuck\n")
    time.sleep(600)
if "SHIFT_IGNORES_CHILDREN" in os.environ:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if "SHIFT_BREAKS_LOGGING" in os.environ:

    def refuse(record: logging.LogRecord) -> bool:
        raise ValueError("a filter of the application that fails")

    for name in ("rota", "rota.worker"):
        logging.getLogger(name).addFilter(refuse)
if "SHIFT_LOADS_UNTIL" in os.environ:
    os.write(2, b"loading until it is told\n")
    while not os.path.exists(os.environ["SHIFT_LOADS_UNTIL"]):
        time.sleep(0.01)
if os.path.exists(os.environ.get("SHIFT_LOADS_FOR_EVER_IF", "")):
    os.write(2, b"loading for ever\n")
    time.sleep(600)


def note(kind: str) -> None:
    """Add a line to the file of events. The tasks of all processes append to it, each line with one write."""
    file = os.open(os.environ["SHIFT_EVENTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{kind} {current().id} {os.getpid()} {time.time()}\n".encode())
    os.close(file)


@app.task("shift:wait")
async def wait(seconds: float) -> None:
    note("start")
    await asyncio.sleep(seconds)
    note("end")


@app.task("shift:stop_loop")
async def stop_loop() -> None:
    asyncio.get_running_loop().stop()
    note("end")


@app.task("shift:apart", run="process")
def apart(seconds: float) -> None:
    note("start")
    time.sleep(seconds)
    note("end")


@app.task("shift:die")
def die(how: str) -> None:
    note("start")
    if how == "exit":
        os._exit(0)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "memory":
        run_out_of_memory()
    os.kill(os.getpid(), signal.SIGKILL)


@app.task("shift:hold")
def hold(seconds: int) -> None:
    """A call into C that never releases the interpreter."""
    note("start")
    ctypes.PyDLL(None).sleep(seconds)
    note("end")


@app.task("shift:count")
async def count(context: Context) -> None:
    note("end")


@app.task("shift:pool")
def pool() -> None:
    """Processes that are forked from a thread of the worker, and ended by TERM."""
    with multiprocessing.get_context("fork").Pool(2) as forks:
        note(f"sum-{sum(forks.map(abs, range(10)))}")
    note("end")


@app.task("shift:fork_in_thread")
def fork_in_thread(act: str) -> None:
    pid = os.fork()
    if pid == 0:
        end_fork(act)
    else:
        wait_for_fork(pid)


@app.task("shift:fork_in_process", run="process")
def fork_in_process(act: str) -> None:
    fork_in_thread.function(act)


@app.task("shift:fork_on_loop")
async def fork_on_loop(act: str) -> None:
    pid = os.fork()
    if pid == 0:
        if act == "await":
            await asyncio.sleep(0.01)
        end_fork(act)
    else:
        wait_for_fork(pid)


def end_fork(act: str) -> None:
    if act == "fail":
        raise LookupError("in the fork")
    if act == "exit":
        sys.exit(0)


def wait_for_fork(pid: int) -> None:
    """Wait until the fork has ended; a fork that goes on as a second worker is killed after ten seconds."""
    until = time.monotonic() + 10
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            note("goes-on")
        time.sleep(0.01)
    note("end")


@app.task("shift:ignore_children")
async def ignore_children() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    note("start")


@app.task("shift:thread")
async def leave_thread() -> None:
    """Leave a thread that keeps the interpreter from its exit."""
    threading.Thread(target=time.sleep, args=(600,)).start()
    note("start")


@app.task("shift:pool_thread")
async def leave_pool_thread() -> None:
    """Leave a function in the thread pool of asyncio."""
    running.append(asyncio.ensure_future(asyncio.to_thread(time.sleep, 600)))
    note("start")


@app.task("shift:stubborn")
async def stubborn() -> None:
    """A coroutine that cannot be cancelled."""
    note("start")
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(600)


@app.task("shift:eat")
def eat(mib: int) -> int:
    hoard.append(b"x" * (mib << 20))
    note("end")
    return mib


running: list[asyncio.Future[None]] = []
hoard: list[bytes] = []


def run_out_of_memory() -> None:
    """Die as by the kernel's killer, at a limit of our own: 64 MiB more than the process has."""
    with open("/proc/self/statm", encoding="ascii") as sizes:
        limit = int(sizes.read().split()[0]) * resource.getpagesize() + (64 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        while True:
            hoard.append(b"x" * (16 << 20))
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)
