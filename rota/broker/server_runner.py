"""Runs one server until its parent ends, then shuts the server down. Imports only the standard library.

    python server_runner.py <lock descriptor> <log file> <command> ...

The parent holds the other end of this process's standard input. However the parent ends, even by SIGKILL, the kernel
closes that end. If a forked child of the parent still holds it, `getppid` shows that the parent has ended. The server
inherits the lock, so the lock is held for exactly as long as the server runs.
"""

import os
import select
import signal
import subprocess
import sys

_LOOK_EVERY_SECONDS = 1.0
_STOP_SECONDS = 15.0


def keep(lock: int, log: str, command: list[str]) -> int:
    """Start the command, wait until it or the parent ends, and return an exit code."""
    parent = os.getppid()
    os.umask(0o077)  # the log and the files of the server hold payloads
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Ctrl-C sends SIGINT to the whole process group, but only the parent decides when to stop.
        signal.signal(name, signal.SIG_IGN)
    with open(log, "ab") as sink:
        server = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True, pass_fds=(lock,)
        )
    while server.poll() is None:
        readable, _, _ = select.select([sys.stdin], [], [], _LOOK_EVERY_SECONDS)
        if readable or os.getppid() != parent:
            return _stop(server)
    return server.returncode


def _stop(server: "subprocess.Popen[bytes]") -> int:
    server.terminate()
    try:
        return server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        return server.wait()


if __name__ == "__main__":
    sys.exit(keep(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
