"""Functions that fork in a pool process, and tell what signals do in the fork."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from rota.tasks.context import current
from tests.unit.worker.process_functions import OwnError


def fork_and(act: str) -> int:
    """Fork. The fork does what is said; this process waits for it and returns its exit code."""
    pid = os.fork()
    if pid == 0:
        return FORKED[act]()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _fail() -> int:
    raise OwnError("in the fork")


def _tell() -> int:
    current().progress(99, 100, "from the fork")
    return 5


FORKED: dict[str, Callable[[], int]] = {
    "return": lambda: 5,
    "exit": lambda: sys.exit(7),
    "exit with text": lambda: sys.exit("because"),
    "fail": _fail,
    "tell": _tell,
}


def signals(_: object = None) -> list[Any]:
    """What signals do here."""
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    blocked = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    return [*(str(getattr(handler, "__name__", handler)) for handler in handlers), signal.set_wakeup_fd(-1), blocked]


def signals_in_fork(how: str) -> list[Any]:
    """What signals do in a fork of this process."""
    fork = multiprocessing.get_context("fork")
    if how == "multiprocessing":
        with fork.Pool(1) as pool:
            return pool.map(signals, [None])[0]
    if how == "concurrent.futures":
        with ProcessPoolExecutor(1, mp_context=fork) as executor:
            return executor.submit(signals).result()
    reading, writing = os.pipe()
    if how == "preexec_fn":
        write = [sys.executable, "-c", ""]
        subprocess.run(write, preexec_fn=lambda: os.write(writing, repr(signals()).encode()), check=True)
    else:
        pid = os.fork() if how == "fork" else os.forkpty()[0]
        if pid == 0:
            os.write(writing, repr(signals()).encode())
            os._exit(0)
        os.waitpid(pid, 0)
    found: list[Any] = eval(os.read(reading, 1000))
    return found


def change_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def many_pools(count: int) -> int:
    """Make pools of forks and terminate them at once, so that TERM reaches some before they have begun."""
    for _ in range(count):
        with multiprocessing.get_context("fork").Pool(2):
            pass
    return count
