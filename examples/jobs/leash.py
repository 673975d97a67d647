"""Runs a command so that nothing of it is left over: `python leash.py <seconds> <program> <argument>...`.

`command:run` starts this small program, and this program starts the command. It ends the command with all processes
that the command has started, in three cases:

- the time is over: exit code 124, as that of timeout(1);
- its standard input closes, because the worker has died or gives the command up: exit code 125;
- the command has ended, and has left processes behind: the exit code of the command.

On Linux, it adopts the processes that leave their parent or their session (PR_SET_CHILD_SUBREAPER), so they do not
escape. Elsewhere it can end only the process group of the command.

This file uses the standard library alone and is run with `-I -S`, so that it starts in a few milliseconds.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time

TIME_IS_OVER, GIVEN_UP, NOT_STARTED = 124, 125, 127
_GRACE_SECONDS = 2.0
_PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code; 128 and the number of a signal that ended it."""
    seconds, *command = arguments
    _adopt_orphans()
    wake_up, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr)
        return NOT_STARTED
    code = _watch(process, wake_up, time.monotonic() + float(seconds))
    _end_all(process.pid)
    return code


def _watch(process: "subprocess.Popen[bytes]", wake_up: int, until: float) -> int:
    while True:
        if (code := process.poll()) is not None:
            return code if code >= 0 else 128 - code
        left = until - time.monotonic()
        if left <= 0:
            return TIME_IS_OVER
        ready, _, _ = select.select([0, wake_up], [], [], left)
        if 0 in ready and not os.read(0, 100):
            return GIVEN_UP
        if wake_up in ready and signal.SIGTERM in os.read(wake_up, 100):
            return GIVEN_UP


def _end_all(group: int) -> None:
    """Ask all that is left to end, and kill what does not within the time of grace."""
    until = time.monotonic() + _GRACE_SECONDS
    _signal(group, signal.SIGTERM)
    while _is_left() and time.monotonic() < until:
        time.sleep(0.02)
    while _is_left():
        _signal(group, signal.SIGKILL)
        time.sleep(0.005)


def _signal(group: int, number: int) -> None:
    for target in (-group, *_descendants()):
        try:
            os.kill(target, number)
        except (ProcessLookupError, PermissionError):
            continue


def _is_left() -> bool:
    """Whether a child is left, also one that was adopted. Takes the exit codes of those that ended."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if not pid:
            return True


def _descendants() -> list[int]:
    """The processes below this one. An orphan is among them, because it was adopted."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # The name of the program is in parentheses, and may hold any character.
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue  # it has ended
    found, level = list[int](), {os.getpid()}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level}
        found += level
    return found


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
