"""The watchdog, as a program of its own, over commands that hang in every way that a limit inside of them misses."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.tree import ROOT
from tests.servers.process import wait_until

WATCHDOG = ROOT / "scripts" / "watchdog.py"

# What pytest-timeout, a gentle stop and the end of a process group all miss.
DEAF = """
import os, signal, subprocess, sys, time
for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
def note_ready():
    if len(sys.argv) > 1:
        open(sys.argv[1], "w").close()
def spins_for_ever():
    note_ready()
    while True:
        pass
def sleeps_for_ever():
    note_ready()
    while True:
        time.sleep(60)
"""


def watch(limit: str, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(WATCHDOG), "--limit", limit, *command], capture_output=True, text=True, timeout=55
    )


def watch_until(ready: Callable[[], bool], *command: str) -> tuple[int, str]:
    """Let the time be over when the processes have come to where they hang. Return exit code and errors."""
    words = [sys.executable, str(WATCHDOG), "--limit", "50", *command]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as watchdog:
        wait_until(ready)
        watchdog.send_signal(signal.SIGUSR1)
        _, errors = watchdog.communicate(timeout=40)
        return watchdog.returncode, errors


def program(folder: Path, text: str) -> str:
    path = folder / "program.py"
    path.write_text(DEAF + text)
    return str(path)


def lives(pid: int) -> bool:
    """Whether a process runs; one that waits for its parent to take its exit code does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(("code", "expected"), [("0", 0), ("7", 7), ("os.kill(os.getpid(), 9)", 128 + 9)])
def test_command_that_ends_in_time_keeps_its_exit_code_and_output(code: str, expected: int) -> None:
    done = watch("40", sys.executable, "-c", f"import os, sys; print('out', flush=True); sys.exit({code})")

    assert done.returncode == expected
    assert (done.stdout, done.stderr) == ("out\n", "")


def test_exit_code_of_a_command_that_ends_at_once_is_never_missed() -> None:
    assert [watch("40", "sh", "-c", "exit 3").returncode for _ in range(10)] == [3] * 10


def test_command_that_takes_too_long_is_ended() -> None:
    done = watch("1", "sleep", "60")

    assert done.returncode == 124
    assert "'sleep 60' did not end within 1 s" in done.stderr


def test_command_that_hangs_shows_where(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    code, errors = watch_until(ready.exists, sys.executable, program(tmp_path, "spins_for_ever()"), str(ready))

    assert code == 124
    assert "in spins_for_ever" in errors


def test_children_that_hang_show_where_although_their_output_is_captured(tmp_path: Path) -> None:
    child, log = program(tmp_path, "sleeps_for_ever()"), tmp_path / "log"
    parent = tmp_path / "parent.py"
    parent.write_text(
        DEAF
        + f"""
log = open({str(log)!r}, "w")
print("what was there before", file=log, flush=True)
command = [sys.executable, {child!r}]
children = [
    subprocess.Popen([*command, {str(tmp_path / "one")!r}], stderr=subprocess.PIPE),
    subprocess.Popen([*command, {str(tmp_path / "two")!r}], stderr=log, start_new_session=True),
]
spins_for_ever()
"""
    )
    ready = [tmp_path / name for name in ("one", "two", "parent")]

    code, errors = watch_until(
        lambda: all(path.exists() for path in ready), sys.executable, str(parent), str(tmp_path / "parent")
    )

    assert code == 124
    assert errors.count("in spins_for_ever") == 1
    assert errors.count("in sleeps_for_ever") == 2
    assert "what was there before" not in errors


def test_processes_in_other_sessions_and_orphans_are_ended_too(tmp_path: Path) -> None:
    pids, ready = tmp_path / "pids", tmp_path / "ready"
    text = f"""
def note():
    with open({str(pids)!r}, "a") as file:
        print(os.getpid(), file=file, flush=True)
note()
if os.fork() == 0:
    os.setsid()
    note()
    if os.fork() == 0:
        os.setsid()
        note()
        sys.argv.clear()  # only the first process says that all is ready
        sleeps_for_ever()
    os._exit(0)  # leaves its child without a parent
os.wait()
while len(open({str(pids)!r}).read().split()) < 3:
    time.sleep(0.01)
spins_for_ever()
"""
    code, _ = watch_until(ready.exists, sys.executable, program(tmp_path, text), str(ready))

    assert code == 124
    started = [int(line) for line in pids.read_text().split()]
    assert len(started) == 3
    assert [pid for pid in started if lives(pid)] == []


def test_what_a_command_leaves_behind_is_ended_and_named(tmp_path: Path) -> None:
    left = program(tmp_path, "sleeps_for_ever()")
    starts = f"import subprocess; print(subprocess.Popen([{sys.executable!r}, {left!r}], start_new_session=True).pid)"
    done = watch("40", sys.executable, "-W", "ignore", "-c", starts)

    assert done.returncode == 0
    assert "what it left running is killed" in done.stderr
    assert left in done.stderr
    assert not lives(int(done.stdout))


def test_orphan_that_ends_leaves_no_zombie_while_the_command_runs(tmp_path: Path) -> None:
    text = """
reading, writing = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.write(writing, str(os.getpid()).encode())
        os._exit(0)
    os._exit(0)
os.wait()
orphan = int(os.read(reading, 20))
deadline = time.monotonic() + 30
while os.path.exists(f"/proc/{orphan}") and time.monotonic() < deadline:
    time.sleep(0.01)
print(os.path.exists(f"/proc/{orphan}"))
"""
    done = watch("45", sys.executable, program(tmp_path, text))

    assert done.stdout == "False\n"


def test_stop_of_the_watchdog_is_passed_on() -> None:
    body = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); print(1, flush=True)"
    command = [sys.executable, str(WATCHDOG), "--limit", "50", sys.executable, "-c", f"{body}; time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watchdog:
        assert watchdog.stdout is not None
        watchdog.stdout.readline()
        watchdog.terminate()
        assert watchdog.wait(40) == 5


def test_limit_with_a_unit_is_read_and_nonsense_is_refused() -> None:
    assert watch(".5m+40s", sys.executable, "-c", "").returncode == 0
    refused = watch("soon", sys.executable, "-c", "")
    assert refused.returncode == 2
    assert "'soon' is not a time like 90, 90s, 20m or 1h+30m" in refused.stderr


def test_command_that_does_not_exist_is_said_in_one_line() -> None:
    done = watch("9", "no-such-command")

    assert done.returncode == 127
    assert done.stderr == "watchdog: no-such-command cannot be run: No such file or directory\n"
