"""An app whose tasks say when they start and end, and die in every way there is."""

import asyncio
import ctypes
import os
import resource
import signal
import time

from rota import Context, Rota, current
from tests.servers.clients import client

app = Rota()
_events = client(os.environ.get("ROTA_URL", "redis://localhost"))
if "SHIFT_BROKEN" in os.environ:
    raise RuntimeError("this module does not import")
if "SHIFT_STUCK" in os.environ:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(2, b"stuck\n")
    time.sleep(600)
if os.path.exists(os.environ.get("SHIFT_LOADS_FOR_EVER_IF", "")):
    os.write(2, b"loading for ever\n")
    time.sleep(600)


def note(kind: str) -> None:
    _events.rpush("events", f"{kind} {current().id} {os.getpid()} {time.time()}")


@app.task("shift:wait")
async def wait(seconds: float) -> None:
    note("start")
    await asyncio.sleep(seconds)
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


@app.task("shift:eat")
def eat(mib: int) -> int:
    hoard.append(b"x" * (mib << 20))
    note("end")
    return mib


hoard: list[bytes] = []


def run_out_of_memory() -> None:
    """What the kernel's killer does, at a limit of our own."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    try:
        while True:
            hoard.append(b"x" * (16 << 20))
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)
