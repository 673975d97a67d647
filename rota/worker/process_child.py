"""The other side of `process_pool`: a process that runs one function at a time for its parent.

`python -m rota.worker.process_child FD PARENT_PID`. Over the socket FD go frames: eight bytes of length, then a pickle.
The first frame from the parent is a `Setup`, each further one a request; the child answers with a message that is a
tuple: ready, progress, log, done, failed. A child that has lost its parent ends at once.
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
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from rota.context import Context, enter, leave
from rota.wire.proto import TaskMessage

LENGTH = struct.Struct(">Q")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Setup:
    """What makes a child see the same modules as its parent. `main` is how to load the parent's main module."""

    path: list[str]
    main: tuple[str, str] | None
    modules: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Request:
    """One function to run. `call` is a pickle of (function, args, kwargs); it may name things of the main module."""

    message: bytes
    deadline_at: float
    call: bytes


class Channel:
    """Frames over a socket, both ways. Sending is safe from any thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._stream = connection.makefile("rwb")
        self._lock = threading.Lock()

    def receive(self) -> Any:
        """Read one frame; EOFError when the parent is gone."""
        head = self._stream.read(LENGTH.size)
        if len(head) < LENGTH.size:
            raise EOFError
        return pickle.loads(self._stream.read(LENGTH.unpack(head)[0]))

    def send(self, *message: Any) -> None:
        """Write one frame."""
        data = pickle.dumps(message)
        with self._lock:
            self._stream.write(LENGTH.pack(len(data)))
            self._stream.write(data)
            self._stream.flush()


class Forwarding:
    """A reporter that hands everything to the parent."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def progress(self, context: Context, done: float, total: float | None, text: str) -> None:
        """Pass it on."""
        self._channel.send("progress", done, total, text)

    def log(self, context: Context, text: str) -> None:
        """Pass it on."""
        self._channel.send("log", text)


def main() -> None:
    """Serve the parent until it goes."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    channel = Channel(socket.socket(fileno=descriptor))
    requests: SimpleQueue[Request] = SimpleQueue()
    setup: Setup = channel.receive()
    sys.path[:] = setup.path
    load_main = _main_loader(setup)
    try:
        for name in setup.modules:
            importlib.import_module(name)
    except BaseException as error:
        channel.send("broken", traceback.format_exc() or repr(error))
        sys.exit(1)
    channel.send("ready")
    threading.Thread(target=_listen, args=(channel, requests), daemon=True).start()
    while True:
        _serve(channel, requests.get(), load_main)


def die_with(parent: int) -> None:
    """End when the parent ends. Only Linux sees to it even while a function holds the interpreter."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to act on
    # So is TERM, which systemd sends to every process of a service. Not ignored but handled: what the function itself
    # starts must still be ended by it, so it gets the default back, by exec or here.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it went before we could ask
            os._exit(1)


def _listen(channel: Channel, requests: "SimpleQueue[Request]") -> None:
    try:
        while True:
            requests.put(channel.receive())
    finally:  # whatever it was, nobody can ask any more
        os._exit(1)


def _serve(channel: Channel, request: Request, load_main: Callable[[], None]) -> None:
    context = Context(TaskMessage.FromString(request.message), Forwarding(channel), request.deadline_at)
    token = enter(context)
    try:
        if b"__main__" in request.call:
            load_main()
        function, args, kwargs = pickle.loads(request.call)
        value = function(*args, **kwargs)
        answer: tuple[Any, ...] = ("done", _pickled_value(value, function))
    except BaseException as error:
        answer = ("failed", _pickled_error(error), f"{type(error).__name__}: {error}", traceback.format_exc())
    finally:
        leave(token)
    channel.send(*answer)


def _pickled_value(value: Any, function: Any) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception as error:
        raise TypeError(
            f"the result of {function} cannot be sent back from its process ({error}): return plain values"
        ) from error


def _pickled_error(error: BaseException) -> bytes:
    """Return the error for the parent to raise again; empty where it would not survive the trip."""
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:
        return b""
    return data


def _main_loader(setup: Setup) -> Callable[[], None]:
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
