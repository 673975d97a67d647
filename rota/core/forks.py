"""Prevents a forked child of a worker, or of a pool process, from acting as a second worker.

A function of the application may fork: `os.fork`, `os.forkpty`, multiprocessing and `ProcessPoolExecutor` with the
start method "fork", `subprocess` with `preexec_fn`. The child inherits the sockets, the signal handlers, and the
descriptor into which Python writes each signal for the event loop. So:

1. `guard` blocks all signals while the process forks. In the child, the worker's handlers of INT, TERM and the other
   stop signals are replaced by the defaults, and the descriptor is removed. Then the signals are unblocked. Handlers
   that a task has installed itself stay.
2. `call`, `wait_for` and `end_if_forked` end the child when it returns from a function that began in the parent, or
   raises out of it. They compare the `generation`, which is one higher in each child, because a system call for the
   process ID costs more.
3. In a guarded event loop, the child ends when its asyncio task gives control back to the loop.

A child ends like a process of multiprocessing: output is flushed, `atexit` functions are not called, and the exit
code is 0 after a return, the code of `sys.exit`, or 1 after an error, whose traceback goes to standard error.
"""

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn
from weakref import WeakSet

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)
_ALL_SIGNALS = signal.valid_signals()

_handlers: list[Any] = []
_loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
_forking = threading.local()  # two threads may fork at once
_guards = 0
generation: int = 0
"""Number of forks between the first process and this one."""


@contextmanager
def guarded(loop: asyncio.AbstractEventLoop) -> Generator[None]:
    """Guard the forks of this process, and its event loop in them, while the block runs."""
    guard(loop)
    try:
        yield
    finally:
        _unguard(loop)


def guard(loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Guard the forks of this process from now on. Call this after the worker has installed its signal handlers."""
    global _guards
    _guards += 1
    _handlers.extend(handler for number in _STOP_SIGNALS if _is_own(handler := signal.getsignal(number)))
    if loop is not None:
        _loops.add(loop)


def _unguard(loop: asyncio.AbstractEventLoop) -> None:
    global _guards
    _loops.discard(loop)
    _guards -= 1
    if not _guards:
        _handlers.clear()


def call(function: Callable[..., Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] = {}) -> Any:
    """Call a function. A child that was forked by it ends when it returns or raises."""
    began_in = generation
    try:
        value = function(*args, **kwargs)
    except BaseException as error:
        end_if_forked(began_in, error)
        raise
    end_if_forked(began_in)
    return value


async def wait_for(run: Awaitable[Any]) -> Any:
    """Await something. A child that was forked by it ends when it returns or raises."""
    began_in = generation
    try:
        value = await run
    except BaseException as error:
        end_if_forked(began_in, error)
        raise
    end_if_forked(began_in)
    return value


def end_if_forked(since: int, error: BaseException | None = None) -> None:
    """End this process if it was forked since `generation` had this value. `error` is what the function raised."""
    if generation != since:
        end(error)


def _is_own(handler: Any) -> bool:
    return callable(handler) and handler is not signal.default_int_handler and not isinstance(handler, signal.Handlers)


def _before() -> None:
    if not _guards:
        return
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    _forking.frame = _frame_of_task()
    signal.pthread_sigmask(signal.SIG_BLOCK, _ALL_SIGNALS)


def _after_in_parent() -> None:
    _let_in_signals()


def _after_in_child() -> None:
    global generation, _guards
    generation += 1
    if getattr(_forking, "mask", None) is None:
        return
    signal.set_wakeup_fd(-1)
    for number in _ALL_SIGNALS:
        handler = signal.getsignal(number)
        if any(handler is own for own in _handlers):  # not `==`, which could call code of the application
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
    if _forking.frame is not None:
        _end_after(_forking.frame)
    _guards = 0  # children of this child inherit nothing from the worker that needs a guard
    _handlers.clear()
    _loops.clear()
    _let_in_signals()


def _let_in_signals() -> None:
    mask = getattr(_forking, "mask", None)
    _forking.mask = _forking.frame = None
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _frame_of_task() -> FrameType | None:
    """Return the outermost frame of the asyncio task that forks; None if its loop is not guarded."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    task = asyncio.current_task(loop) if loop in _loops else None
    return None if task is None else getattr(task.get_coro(), "cr_frame", None)


def _end_after(outermost: FrameType) -> None:
    """End this process when the frame returns or awaits, because the event loop would go on with the worker's work."""

    def look(frame: FrameType, event: str, _: Any) -> None:
        if frame is outermost and event == "return":
            sys.stderr.write(
                f"Process {os.getpid()} was forked by a task on the event loop of a worker. The loop cannot be used "
                "in a fork, so the process ends. Run code that forks in a thread or with run='process'.\n"
            )
            end(SystemExit(1))

    sys.setprofile(look)
    util = sys.modules.get("multiprocessing.util")
    if util is not None:  # a child of multiprocessing never returns to this frame, so it need not pay for profiling
        register: Callable[..., None] = util.register_after_fork
        register(look, _stop_looking)


def _stop_looking(_: object) -> None:
    sys.setprofile(None)


def end(error: BaseException | None = None) -> NoReturn:
    """End this process as `multiprocessing` ends a child: after a return, or after an error that a function raised."""
    code = 0
    if isinstance(error, SystemExit):
        code = _exit_code(error.code)
    elif error is not None:
        code = 1
        traceback.print_exception(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)


def _exit_code(code: Any) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
