"""The command line: `rota worker`, `rota dev`, `rota enqueue`, `rota health`, `rota doctor` and more."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager


def main() -> None:
    """Run the command line."""
    with ended_by_interrupt():
        from rota.cli import program
    program.main()


@contextmanager
def ended_by_interrupt() -> Generator[None]:
    """Let a Ctrl-C during imports end the process by the signal, instead of printing a traceback.

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


__all__ = ["main"]
