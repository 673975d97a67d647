"""Functions that the tests of the process pool run in children."""

import contextvars
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from rota.tasks.context import current


class OwnError(Exception):
    """An error that travels well."""


def add(a: int, b: int) -> int:
    return a + b


def pid() -> int:
    return os.getpid()


def fail() -> None:
    raise OwnError("seven")


def unpicklable() -> object:
    return lambda: None


def tell_progress_and_add(a: int, b: int) -> int:
    current().progress(0.5)
    return a + b


def nap(seconds: float) -> None:
    time.sleep(seconds)


def leave(code: int) -> None:
    os._exit(code)


def segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(started: str) -> None:
    Path(started).write_text(str(os.getpid()))
    time.sleep(600)


def hang_with_child(started: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(started).write_text(str(child.pid))
    time.sleep(600)


def tell() -> tuple[str, str, str]:
    context = current()
    context.progress(1, 2, "half")
    context.log("line")
    return context.id, context.type, context.payload.decode()


colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


def paint(value: str) -> str:
    before = colour.get()
    colour.set(value)
    return before


def forge(number: int) -> None:
    """Answer in the place of another request."""
    frame = sys._getframe()
    while "channel" not in frame.f_locals:
        assert frame.f_back is not None
        frame = frame.f_back
    frame.f_locals["channel"].send(number, "done", b"forged")


def tell_late() -> None:
    """Leave a thread that tells of its progress when this task has ended."""
    context = current()

    def work() -> None:
        late.wait()
        context.progress(1, 1, "late")
        told.set()

    threading.Thread(target=work, daemon=True).start()


def let_tell() -> None:
    late.set()
    told.wait()


late, told = threading.Event(), threading.Event()
