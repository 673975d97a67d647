"""Runs one server for as long as its parent lives, then stops it in good order. Needs the standard library only.

    python server_runner.py <lock descriptor> <log file> <command> ...

The parent holds the other end of our standard input. However the parent ends, by SIGKILL too, the kernel closes it;
and where a forked child of the parent still holds it, we see that our own parent has changed. The lock is handed down
to the server, so it is held for exactly as long as the server lives.
"""

import os
import select
import signal
import subprocess
import sys

_LOOK_EVERY_SECONDS = 1.0
_STOP_SECONDS = 15.0


def keep(lock: int, log: str, command: list[str]) -> int:
    """Start the command, wait for its end or the parent's, and return an exit code."""
    parent = os.getppid()
    os.umask(0o077)  # the log and what the server writes hold payloads
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A Ctrl-C reaches the whole group; when to stop is the parent's choice alone.
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
