"""The other side of `process_pool`: a process that runs one function at a time for its parent.

`python -m rota.worker.run.process_child FD PARENT_PID`. Over the socket FD go frames: eight bytes of length, then a
pickle. The first frame from the parent is a `Setup`, each further one the number of a request and the request. The
child answers with tuples: the number of the request, a kind (ready, broken, progress, log, done, failed), and what
belongs to it. A child that has lost its parent ends at once.
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
from rota.tasks import logs
from rota.tasks.context import Context, enter
from rota.wire.proto import TaskMessage
from rota.worker.run.process_errors import pack

LENGTH = struct.Struct(">Q")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ChildSetup:
    """What makes a child see the same modules as its parent. `main` is how to load the parent's main module.

    `log` is how the parent has set up its log, None where the program around it did.
    """

    path: list[str]
    main: tuple[str, str] | None
    modules: list[str] = field(default_factory=list[str])
    log: tuple[logs.LogLevel | None] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One function to run. `call` is a pickle of (function, args, kwargs); it may name things of the main module."""

    message: bytes
    deadline_at: float
    call: bytes


class Channel:
    """Frames over a socket, both ways. Sending is safe from any thread. A fork of this process sends nothing."""

    def __init__(self, connection: socket.socket) -> None:
        self._stream = connection.makefile("rwb")
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def receive(self) -> Any:
        """Read one frame; EOFError when the parent is gone."""
        head = self._stream.read(LENGTH.size)
        if len(head) < LENGTH.size:
            raise EOFError
        return pickle.loads(self._stream.read(LENGTH.unpack(head)[0]))

    def send(self, *message: Any) -> None:
        """Write one frame."""
        data = pickle.dumps(message)
        if os.getpid() != self._pid:  # its frames would mix with ours
            return
        with self._lock:
            self._stream.write(LENGTH.pack(len(data)))
            self._stream.write(data)
            self._stream.flush()


class Forwarding:
    """A reporter that hands everything to the parent."""

    def __init__(self, channel: Channel, number: int) -> None:
        self._channel = channel
        self._number = number

    def progress(self, context: Context, done: float, total: float | None, text: str) -> None:
        """Pass it on."""
        self._channel.send(self._number, "progress", done, total, text)

    def log(self, context: Context, text: str) -> None:
        """Pass it on."""
        self._channel.send(self._number, "log", text)


def main() -> None:
    """Serve the parent until it goes."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    channel = Channel(socket.socket(fileno=descriptor))
    requests: SimpleQueue[tuple[int, Request]] = SimpleQueue()
    setup: ChildSetup = channel.receive()
    sys.path[:] = setup.path
    dev_server.silence()
    load_main = _main_loader(setup)
    try:
        for name in setup.modules:
            importlib.import_module(name)
    except BaseException as error:
        channel.send(0, "broken", traceback.format_exc() or repr(error))
        sys.exit(1)
    if setup.log is not None:
        logs.set_up(*setup.log)
    channel.send(0, "ready")
    threading.Thread(target=_listen, args=(channel, requests), daemon=True).start()
    while True:
        number, request = requests.get()
        _take_signals()  # a module or a task before may have set its own handlers
        # A copy, so that no context variable goes from one task to the next.
        copy_context().run(_serve, channel, number, request, load_main)


def die_with(parent: int) -> None:
    """End when the parent ends. Only Linux sees to it even while a function holds the interpreter."""
    _take_signals()
    forks.guard()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it went before we could ask
            os._exit(1)


def _take_signals() -> None:
    """Leave INT (Ctrl-C) and TERM (systemd sends it to every process of a service) for the parent to act on.

    They are not ignored but handled: whatever the function itself starts gets the default back, by exec or by a fork.
    """
    signal.signal(signal.SIGINT, _leave_to_parent)
    signal.signal(signal.SIGTERM, _leave_to_parent)


def _leave_to_parent(number: int, frame: object) -> None: ...


def _listen(channel: Channel, requests: "SimpleQueue[tuple[int, Request]]") -> None:
    try:
        while True:
            requests.put(channel.receive())
    finally:  # whatever it was, nobody can ask any more
        os._exit(1)


def _serve(channel: Channel, number: int, request: Request, load_main: Callable[[], None]) -> None:
    enter(Context(TaskMessage.FromString(request.message), Forwarding(channel, number), request.deadline_at))
    try:
        if b"__main__" in request.call:
            load_main()
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


def _main_loader(setup: ChildSetup) -> Callable[[], None]:
    loaded: list[bool] = []

    def load() -> None:
        """Make the parent's main module known under its name, without running what it guards for `__main__`."""
        if loaded or setup.main is None:
            return
        loaded.append(True)
        how, what = setup.main
        run = runpy.run_module if how == "module" else runpy.run_path
        module = types.ModuleType("__mp_main__")
        module.__dict__.update(run(what, run_name="__mp_main__"))
        sys.modules["__mp_main__"] = sys.modules["__main__"] = module

    return load


if __name__ == "__main__":
    main()
