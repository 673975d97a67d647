"""A pool process: the child process of `process_pool`, which runs one function at a time for its parent.

It is started with `python -m rota.worker.run.process_child FD PARENT_PID`. Both sides send frames over the socket FD:
eight bytes of length, then a pickle. The first frame from the parent is a `ChildSetup`; each further frame is the
number of a request and the `Request`. The child answers with tuples: the number of the request, a kind (ready, broken,
progress, log, done, failed), and the values for this kind. A child whose parent has ended exits at once.
"""

import ctypes
import importlib
import os
import pickle
import runpy
import signal
import socket
import struct
import sys
import threading
import traceback
import types
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from rota.broker import dev_server
from rota.core import forks
from rota.settings.origin import read_project_file
from rota.tasks import logs
from rota.tasks.context import Context, enter
from rota.wire.proto import TaskMessage
from rota.worker.run.process_errors import pack

LENGTH = struct.Struct(">Q")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ChildSetup:
    """The settings with which a child finds the same modules as its parent.

    `main` says how to load the parent's main module. `log` are the log settings of the parent; None if not Rota but the
    program around it has configured logging. `reads_project_file` tells whether the parent reads `pyproject.toml`, so
    that an app has the same settings in the child.
    """

    path: list[str]
    main: tuple[str, str] | None
    modules: list[str] = field(default_factory=list[str])
    log: tuple[logs.LogLevel | None, logs.LogFormat] | None = None
    reads_project_file: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One function to run. `call` is a pickle of (function, args, kwargs), which may refer to the main module."""

    message: bytes
    deadline_at: float
    call: bytes


class Channel:
    """Sends and receives frames over a socket. Any thread may send. A fork of this process sends nothing."""

    def __init__(self, connection: socket.socket) -> None:
        self._stream = connection.makefile("rwb")
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def receive(self) -> Any:
        """Read one frame. Raises EOFError if the parent has ended."""
        head = self._stream.read(LENGTH.size)
        if len(head) < LENGTH.size:
            raise EOFError
        return pickle.loads(self._stream.read(LENGTH.unpack(head)[0]))

    def send(self, *message: Any) -> None:
        """Write one frame."""
        data = pickle.dumps(message)
        if os.getpid() != self._pid:  # this is a fork, whose frames would mix with those of the original process
            return
        with self._lock:
            self._stream.write(LENGTH.pack(len(data)))
            self._stream.write(data)
            self._stream.flush()


class Forwarding:
    """A reporter that sends progress and log lines to the parent."""

    def __init__(self, channel: Channel, number: int) -> None:
        self._channel = channel
        self._number = number

    def progress(self, context: Context, done: float, total: float | None, text: str) -> None:
        """Send the progress to the parent."""
        self._channel.send(self._number, "progress", done, total, text)

    def log(self, context: Context, text: str) -> None:
        """Send a log line to the parent."""
        self._channel.send(self._number, "log", text)


def main() -> None:
    """Run functions for the parent until it ends."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    channel = Channel(socket.socket(fileno=descriptor))
    requests: SimpleQueue[tuple[int, Request]] = SimpleQueue()
    setup: ChildSetup = channel.receive()
    sys.path[:] = setup.path
    dev_server.silence()
    if setup.reads_project_file:
        read_project_file()
    load_main = _main_loader(setup)
    try:
        for name in setup.modules:
            importlib.import_module(name)
    except BaseException as error:
        channel.send(0, "broken", traceback.format_exc() or repr(error))
        sys.exit(1)
    if setup.log is not None:
        logs.set_up(*setup.log)  # after the imports, whose own configuration of logging counts
    channel.send(0, "ready")
    threading.Thread(target=_listen, args=(channel, requests), daemon=True).start()
    while True:
        number, request = requests.get()
        _take_signals()  # an imported module or an earlier task may have set its own handlers
        # In a copied context, so that a context variable that one task sets is not visible to the next task.
        copy_context().run(_serve, channel, number, request, load_main)


def die_with(parent: int) -> None:
    """Make this process end when the parent ends. Only on Linux that works while a function holds the interpreter."""
    _take_signals()
    forks.guard()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended before the call of prctl
            os._exit(1)


def _take_signals() -> None:
    """Take no action on INT (Ctrl-C) and TERM (systemd sends it to every process of a service): the parent decides.

    An empty handler is set instead of SIG_IGN, because programs that the function starts would inherit SIG_IGN. A
    handler is reset to the default by exec, and for a fork by `forks`.
    """
    signal.signal(signal.SIGINT, _leave_to_parent)
    signal.signal(signal.SIGTERM, _leave_to_parent)


def _leave_to_parent(number: int, frame: object) -> None: ...


def _listen(channel: Channel, requests: "SimpleQueue[tuple[int, Request]]") -> None:
    try:
        while True:
            requests.put(channel.receive())
    finally:  # after any error, because without this thread no request can arrive
        os._exit(1)


def _serve(channel: Channel, number: int, request: Request, load_main: Callable[[bytes], None]) -> None:
    enter(Context(TaskMessage.FromString(request.message), Forwarding(channel, number), request.deadline_at))
    try:
        load_main(request.call)
        function, args, kwargs = pickle.loads(request.call)
        answer: tuple[Any, ...] = ("done", _pickled_value(forks.call(function, args, kwargs), function))
    except BaseException as error:
        answer = ("failed", pack(error))
    channel.send(number, *answer)


def _pickled_value(value: Any, function: Any) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception as error:
        raise TypeError(
            f"The result of {function} cannot be sent back from its process ({error}): return plain values."
        ) from error


def _main_loader(setup: ChildSetup) -> Callable[[bytes], None]:
    loaded: list[bool] = []

    def load(call: bytes) -> None:
        """Load the parent's main module, without running its code under `if __name__ == "__main__"`.

        Only if the call refers to it, or if it has such functions or has included their routers.
        """
        needed = b"__main__" in call or "__main__" in setup.modules
        if loaded or setup.main is None or not needed:
            return
        loaded.append(True)  # only once, because a second run would make other classes of the same names
        how, what = setup.main
        run = runpy.run_module if how == "module" else runpy.run_path
        module = types.ModuleType("__mp_main__")
        module.__dict__.update(run(what, run_name="__mp_main__"))
        # Both names, as in multiprocessing: pickles of the parent say `__main__`, and those of this process
        # `__mp_main__`, which is the name that its classes were made under.
        sys.modules["__mp_main__"] = sys.modules["__main__"] = module

    return load


if __name__ == "__main__":
    main()
