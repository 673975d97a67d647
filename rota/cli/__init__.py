"""The command line: `rota worker`, `rota dev`, `rota enqueue`, `rota health`, `rota doctor` and more."""

import gc
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module


def main() -> None:
    """Run the command line."""
    with importing():
        from rota.cli import program
    program.main()


def start() -> None:
    """Run the `main` of the module that the first argument names, as a supervisor does (`rota.supervisor.kind`)."""
    with importing():
        program = import_module(sys.argv[1])
    program.main()


@contextmanager
def importing() -> Generator[None]:
    """Import modules in a block, with the garbage collector off. A Ctrl-C ends the process by the signal.

    Imported modules live as long as the process. The collector walked them 119 times during the imports of a worker,
    which took a seventh of the time. It leaves them out from then on, also at the end of the process, where looking at
    them once more took 0.1 s.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        with _ended_by_interrupt():
            yield
        gc.freeze()
    finally:
        if collects:
            gc.enable()


@contextmanager
def _ended_by_interrupt() -> Generator[None]:
    """Let a Ctrl-C end the process by the signal, instead of printing a traceback.

    The imports of a command take up to a second on a busy machine.
    """
    handler = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or handler is not signal.default_int_handler:  # a shell may have told the process to ignore Ctrl-C
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


__all__ = ["main", "start"]
