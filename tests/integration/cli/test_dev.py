"""`rota dev`: its server is found by what is started in the same folder, and it runs a second program."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from redis import Redis

from tests.integration.cli.conftest import Run
from tests.integration.cli.shell import QuickShell, Shell

PROGRAM = """
import os, signal, sys
from pathlib import Path

def end(number, frame):
    Path("program.signal").write_text(signal.Signals(number).name)
    sys.exit(0)

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, end)
from notes import app, write
write.enqueue_sync("by-program.txt")
Path("program.url").write_text(app.settings.broker.url)
if "ends" in sys.argv:
    sys.exit(3)
while True:
    signal.pause()
"""


@pytest.fixture
def shell(tmp_path: Path, command: Run) -> Iterator[Shell]:
    shell = QuickShell(tmp_path, None, command)
    (tmp_path / "program.py").write_text(PROGRAM)
    yield shell
    for dev in shell.programs:
        if dev.poll() is None:
            dev.send_signal(signal.SIGINT)
            try:
                dev.wait(30)
            except subprocess.TimeoutExpired:
                continue
    shell.close()


def said_until(dev: "subprocess.Popen[str]", words: str) -> str:
    """Read what it says until the words come."""
    assert dev.stderr is not None
    said = ""
    while words not in said:
        line = dev.stderr.readline()
        assert line, f"it ended without {words!r}: {said}"
        said += line
    return said


def test_dev_brings_its_own_server_and_reloads_on_change(shell: Shell) -> None:
    server = shell.folder / "server"
    dev = shell.start("dev", "notes:app", "--data", str(server))
    said = said_until(dev, "is ready")
    shell.environment["ROTA_URL"] = (server / "url").read_text()
    shell.run("enqueue", "note:write", '{"name": "one.txt"}', "--wait", "20s")
    assert (shell.folder / "one.txt").read_text() == "first"
    # The line that other folders need.
    [line] = [line for line in said.splitlines() if "export ROTA_URL=" in line]
    export = line[line.index("export") :]
    done = subprocess.run(["sh", "-c", f"{export}; echo $ROTA_URL"], capture_output=True, text=True, timeout=20)
    assert done.stdout.startswith("unix://")
    assert str(server) in done.stdout

    shell.write_app("second")
    said_until(dev, "changed; starting anew")
    said_until(dev, "is ready")
    shell.run("enqueue", "note:write", '{"name": "two.txt"}', "--wait", "20s")

    assert (shell.folder / "two.txt").read_text() == "second"
    dev.send_signal(signal.SIGINT)
    dev.communicate(timeout=30)
    assert dev.returncode == 0


def test_commands_in_the_folder_of_rota_dev_find_its_server_and_say_so(shell: Shell) -> None:
    dev = shell.start("dev", "notes:app", "--no-reload")
    said_until(dev, "is ready")

    run = partial(Shell.run, shell)  # only a program looks for the server in its folder
    enqueued = run("enqueue", "note:write", '{"name": "one.txt"}', "--app", "notes", "--wait", "20s")
    config = json.loads(run("config", "--json").stdout)
    doctor = run("doctor")

    assert json.loads(enqueued.stdout or "0"), enqueued.stderr
    assert "Using the server of `rota dev` in this folder" in enqueued.stderr
    assert next(row["source"] for row in config if row["name"] == "url") == "rota dev"
    assert "1 queue and 1 server looked at" in doctor.stdout
    said = said_until(dev, "note:write started") + said_until(dev, " ms (")
    assert "INFO" in said
    dev.send_signal(signal.SIGINT)
    dev.communicate(timeout=30)
    assert "localhost:6379" in shell.run("config", "--changed", "--json").stdout + shell.run("config").stdout


def test_dev_runs_a_second_program_on_the_same_server_and_ends_it_at_ctrl_c(shell: Shell) -> None:
    dev = shell.start("dev", "notes:app", "--no-reload", "--", sys.executable, "program.py")
    shell.wait_for((shell.folder / "by-program.txt").exists, "the task of the program")

    dev.send_signal(signal.SIGINT)
    dev.communicate(timeout=30)

    assert dev.returncode == 0
    assert (shell.folder / "program.url").read_text().startswith("unix://")
    assert (shell.folder / "program.signal").read_text() == "SIGINT"


def test_a_closed_terminal_ends_worker_server_and_program(shell: Shell) -> None:
    dev = shell.start("dev", "notes:app", "--no-reload", "--", sys.executable, "program.py")
    shell.wait_for((shell.folder / "by-program.txt").exists, "the task of the program")

    dev.send_signal(signal.SIGHUP)
    dev.communicate(timeout=30)

    assert (shell.folder / "program.signal").exists()
    assert not (shell.folder / ".rota/server/url").exists()


def test_dev_passes_its_options_on_to_the_worker_which_goes_on_when_the_second_program_ends(shell: Shell) -> None:
    words = ("--concurrency", "3", "--queues", "default=2,high=5", "--set", "client_name=mine", "--log-level", "debug")
    dev = shell.start("dev", "notes:app", "--no-reload", *words, "--", sys.executable, "program.py", "ends")

    said = said_until(dev, "ended with code 3; the worker goes on")
    if "is ready" not in said:
        said += said_until(dev, "is ready")

    assert "3 at once" in said
    assert "default=2, high=5" in said
    with Redis.from_url((shell.folder / ".rota/server/url").read_text()) as server:
        names = {each["name"] for each in server.client_list()}
    assert any(name.startswith("mine") for name in names), names
    job = '{"name": "after.txt"}'
    assert shell.run("enqueue", "note:write", job, "--queue", "high", "--wait", "20s").returncode == 0
    assert (shell.folder / "after.txt").exists()
    more = said_until(dev, "note:write")
    assert " DEBUG " in said + more, said + more


def test_a_module_that_does_not_import_is_told_and_started_again_when_it_is_mended(shell: Shell) -> None:
    (shell.folder / "notes.py").write_text("app = Rota()\n")
    dev = shell.start("dev", "notes:app")
    said = said_until(dev, "it starts again after a change")
    assert said.count("NameError: name 'Rota' is not defined") == 1
    assert "Traceback" not in said

    shell.write_app("mended")

    said_until(dev, "is ready")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--data", "/dev/null/server"), "cannot keep its data in /dev/null/server"),
        (("--data", "/sys/rota"), "cannot keep its data in /sys/rota"),  # there even root has no right to write
        (("--watch", "nowhere"), "no folder nowhere to watch"),
        (("--set", "concurency=3"), "Did you mean 'concurrency'"),
        (("--set", "concurrency"), "--set needs name=value"),
        (("--queues", "a=x"), "setting queues"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(
    tmp_path: Path, command: Run, words: tuple[str, ...], said: str
) -> None:
    QuickShell(tmp_path, None, command)  # writes the app

    done = command("dev", "notes:app", *words)

    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--", "no-such-program-here"), "no program 'no-such-program-here'"),
        (("--",), "Name the program after the --"),
    ],
)
def test_a_second_program_that_is_missing_is_told_before_anything_starts(
    shell: Shell, words: tuple[str, ...], said: str
) -> None:
    done = shell.run("dev", "notes:app", *words)

    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
