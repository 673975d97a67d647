"""Raises an exception in a thread from outside, and takes back one that has come too late.

CPython has one slot for such an exception in each thread, and one flag in the interpreter that says that some slot is
filled. The thread looks into its slot between two steps of Python code, and only a thread that receives an exception
clears the flag. Emptying the slot with `PyThreadState_SetAsyncExc(thread, NULL)` leaves the flag set. While the flag is
set, CPython 3.11 repeats the first step of every traced call (coverage, a debugger) without end. So:

1. `interrupt` fills the slot of the other thread. Then it sends an exception to its own thread and receives it, which
   clears the flag. The other thread sets the flag again as soon as it runs Python code.
2. `receive_what_was_sent` replaces the content of the own slot by another exception and receives that one at once.
"""

import ctypes
import threading

_send = ctypes.pythonapi.PyThreadState_SetAsyncExc
_send.argtypes = (ctypes.c_ulong, ctypes.py_object)


class _Received(BaseException):
    """Raised and caught in `receive_what_was_sent` only."""


def interrupt(thread: int, error: type[BaseException]) -> None:
    """Raise `error` in the thread with this `get_ident()`, as soon as it runs Python code."""
    _send(thread, error)
    receive_what_was_sent()


def receive_what_was_sent() -> None:
    """Receive an exception that was sent to the calling thread and has not arrived, so that it never will.

    An exception that arrives while this begins is raised from here, and then no other one is left.
    """
    try:
        while True:  # it arrives within the first turn, unless a debugger's trace function swallows it
            _send(threading.get_ident(), _Received)
    except _Received:
        return
    except BaseException:  # what was sent, or Ctrl-C, came first: ours still has to arrive
        receive_what_was_sent()
        raise
