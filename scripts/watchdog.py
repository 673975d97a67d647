"""Runs a command with a time limit that holds from outside of it, whatever state the command is in.

    python3 scripts/watchdog.py --limit 20m make test

A limit inside of a process needs that process: pytest-timeout cannot interrupt an interpreter that spins in C code, and
the servers that fixtures started outlive a run that dies. This program needs nothing of the command. When the time is
over it

1. freezes all processes below it, so that none ends or starts another while it looks;
2. lists them, and has each Python process print the stacks of its threads: SIGABRT makes faulthandler write them, which
   is on in all of them by PYTHONFAULTHANDLER. Stacks that go to a pipe or a file of the test are read there;
3. kills all of them, and exits with 124, as timeout(1) does.

SIGUSR1 to the watchdog ends the time at once. When the command ends by itself, the watchdog kills what it left behind,
names it, and exits with the command's code.

On Linux every process below it is found, also those in other sessions and those whose parent has died: the watchdog is
their subreaper. Elsewhere it finds those whose parents live, by `ps`. It needs only the standard library of Python 3.8.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import re
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator, NamedTuple  # noqa: UP035 - for Python 3.8

TIMED_OUT = 124
_PR_SET_CHILD_SUBREAPER = 36
_STACKS_SECONDS = 5.0  # how long a process may take to write its stacks
_STOP_SECONDS = 30.0  # how long the command may take to end after a SIGTERM that was passed on
_SHOWN_BYTES = 20_000
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_PROC = Path("/proc")


def seconds_of(text: str) -> float:
    """Read a limit: seconds, or numbers with `s`, `m` or `h`, as in `20m+30s`."""
    parts = [re.fullmatch(r"(\d*\.?\d+)([smh]?)", part) for part in text.split("+")]
    limit = sum(float(part[1]) * _UNITS[part[2]] for part in parts if part is not None)
    if None in parts or not limit:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 90, 90s, 20m or 1h+30m")
    return limit


class Process(NamedTuple):
    """A process at the moment of the look."""

    pid: int
    parent: int
    command: str

    @property
    def is_python(self) -> bool:
        with contextlib.suppress(OSError):
            return Path(os.readlink(f"/proc/{self.pid}/exe")).name.startswith("python")
        return "python" in self.command.split(" ", 1)[0].lower()


def descendants() -> list[Process]:
    """Every living process below this one, parents before their children."""
    everything = list(_from_proc() if _PROC.joinpath("self/stat").exists() else _from_ps())
    found: list[Process] = []
    parents = [os.getpid()]
    for parent in parents:  # grows while it is walked through
        children = sorted(each for each in everything if each.parent == parent)
        found += children
        parents += [each.pid for each in children]
    return found


def _from_proc() -> Iterator[Process]:
    for folder in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state not in "ZX":
                words = (folder / "cmdline").read_bytes().split(b"\0")
                yield Process(int(folder.name), int(parent), b" ".join(words).decode(errors="replace").strip())


def _from_ps() -> Iterator[Process]:
    table = subprocess.run(["ps", "-axo", "pid=,ppid=,stat=,command="], stdout=subprocess.PIPE, check=True)
    for line in table.stdout.decode(errors="replace").splitlines():
        pid, parent, state, command = [*line.split(None, 3), ""][:4]
        if not state.startswith("Z") and not command.startswith("ps -axo"):
            yield Process(int(pid), int(parent), command)


class Watchdog:
    """Runs one command."""

    def __init__(self, command: list[str], limit: float) -> None:
        self._command = command
        self._limit = limit
        self._pid = 0
        self._status: int | None = None
        self._until = 0.0
        self._waker, waked = os.pipe()
        os.set_blocking(waked, False)
        self._waked = waked

    def run(self) -> int:
        """Run it and return the exit code."""
        _adopt_orphans()
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # an aborted process need not leave its memory on disk
        self._until = time.monotonic() + self._limit
        self._listen()
        environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
        try:
            # In the same process group: Ctrl-C reaches the command directly, and a debugger may read the terminal.
            # Not by subprocess: its objects take the exit code of a child by themselves, and it would be lost here.
            defaults = [signal.SIGPIPE, signal.SIGXFSZ]  # Python ignores these two; the command shall not
            self._pid = os.posix_spawnp(self._command[0], self._command, environment, setsigdef=defaults)
        except OSError as error:
            print(f"watchdog: {self._command[0]} cannot be run: {error.strerror}", file=sys.stderr)
            return 127
        while self._status is None:
            if time.monotonic() >= self._until:
                self._show_and_kill()
                return TIMED_OUT
            select.select([self._waker], [], [], min(1.0, max(0.0, self._until - time.monotonic())))
            self._reap()
        self._clear_up()
        return self._status if self._status >= 0 else 128 - self._status

    def _listen(self) -> None:
        signal.set_wakeup_fd(self._waked, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, lambda *_: None)  # the command has it too, and ends as it likes
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._pass_on)
        signal.signal(signal.SIGUSR1, self._time_is_over)

    def _time_is_over(self, *_: object) -> None:
        self._until = time.monotonic()

    def _pass_on(self, number: int, _: object) -> None:
        self._until = min(self._until, time.monotonic() + _STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            if self._pid:
                os.kill(self._pid, number)

    def _reap(self) -> None:
        """Take the exit codes of the command and of orphans. Who looks for an orphan must not find a zombie."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._waker, 4096) if select.select([self._waker], [], [], 0)[0] else None
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if pid == self._pid:
                    self._status = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def _show_and_kill(self) -> None:
        processes, waiting = _freeze()
        words = " ".join(self._command)
        _say(f"{words!r} did not end within {self._limit:g} s. Its processes:")
        for each in processes:
            _say(f"  {each.pid} {waiting[each.pid]} {each.command[:150]}")
        for each in processes:
            if each.is_python:
                self._show_stacks(each)
        _kill_all(self._reap)
        _say("All of them were killed.")

    def _show_stacks(self, process: Process) -> None:
        _say(f"Stacks of {process.pid} ({process.command[:80]}):")
        with contextlib.ExitStack() as stack:
            elsewhere = _open_its_stderr(process.pid, stack)
            before = os.lseek(elsewhere, 0, os.SEEK_END) if elsewhere is not None and _is_file(elsewhere) else 0
            _signal(process.pid, signal.SIGABRT)
            _signal(process.pid, signal.SIGCONT)
            deadline = time.monotonic() + _STACKS_SECONDS
            while time.monotonic() < deadline and any(each.pid == process.pid for each in descendants()):
                self._reap()
                time.sleep(0.02)
            if elsewhere is not None:
                if before:
                    os.lseek(elsewhere, before, os.SEEK_SET)
                sys.stderr.write(_read_all(elsewhere)[-_SHOWN_BYTES:])
                sys.stderr.flush()

    def _clear_up(self) -> None:
        """Kill what the command left behind, after a moment for what ends with it."""
        deadline = time.monotonic() + 2
        while (left := descendants()) and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.05)
        if left:
            _say(f"{self._command[0]!r} has ended; what it left running is killed:")
            for each in left:
                _say(f"  {each.pid} {each.command[:150]}")
            _kill_all(self._reap)


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _freeze() -> tuple[list[Process], dict[int, str]]:
    """Stop all processes; look again until no new one is found. Return also what each was waiting for."""
    waiting: dict[int, str] = {}
    while True:
        found = descendants()
        new = [each.pid for each in found if each.pid not in waiting]
        if not new:
            return found, waiting
        for pid in new:
            waiting[pid] = _state(pid)
            _signal(pid, signal.SIGSTOP)


def _kill_all(reap: object) -> None:
    assert callable(reap)
    deadline = time.monotonic() + 10
    while (left := descendants()) and time.monotonic() < deadline:
        for each in left:
            _signal(each.pid, signal.SIGKILL)
        reap()
        time.sleep(0.02)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _state(pid: int) -> str:
    """What the kernel says of where a process waits, as far as it says anything."""
    with contextlib.suppress(OSError):
        wait = (_PROC / str(pid) / "wchan").read_text()
        return "[runs]" if wait in ("", "0") else f"[{wait}]"
    return ""


def _open_its_stderr(pid: int, stack: contextlib.ExitStack) -> int | None:
    """Open what a process writes its errors to, unless that is where ours go."""
    theirs = f"/proc/{pid}/fd/2"
    with contextlib.suppress(OSError):
        target = os.readlink(theirs)
        ours = {os.readlink(f"/proc/self/fd/{number}") for number in (1, 2)}
        if target not in ours and (target.startswith("pipe:") or os.path.isfile(theirs)):
            opened = os.open(theirs, os.O_RDONLY | os.O_NONBLOCK)
            stack.callback(os.close, opened)
            return opened
    return None


def _is_file(descriptor: int) -> bool:
    return os.path.isfile(f"/proc/self/fd/{descriptor}")


def _read_all(descriptor: int) -> str:
    parts: list[bytes] = []
    with contextlib.suppress(BlockingIOError):
        while part := os.read(descriptor, 65_536):
            parts.append(part)
    return b"".join(parts).decode(errors="replace")


def _say(text: str) -> None:
    print(f"watchdog: {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limit", type=seconds_of, required=True, help="such as 90, 90s, 20m or 1h+30m")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("name the command to run")
    return Watchdog(command, options.limit).run()


if __name__ == "__main__":
    sys.exit(main())
