"""Functions that the tests of the process pool run in children."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from rota.context import current


class Peculiar(Exception):
    """An error that cannot be made again from its arguments."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


class OwnError(Exception):
    """An error that travels well."""


def add(a: int, b: int) -> int:
    return a + b


def pid() -> int:
    return os.getpid()


def fail() -> None:
    raise OwnError("seven")


def fail_peculiarly() -> None:
    raise Peculiar(1, 2)


def unpicklable() -> object:
    return lambda: None


def tell_nonsense_and_add(a: int, b: int) -> int:
    current().progress("half")  # type: ignore[arg-type]
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
