"""The task `command:run` with real commands: what may run, what it prints, and that nothing of it is left over."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.jobs import app, leash
from examples.jobs.command import CommandFailed, CommandResult, run
from examples.jobs.settings import JobRefused, JobSettings
from rota import ConfigError, SkipRetry
from rota.testing import run_inline
from tests.servers.process import wait_until

Configure = Callable[..., dict[str, str]]
SHELL = "/bin/sh"


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def start(name: str, arguments: dict[str, str] | None = None) -> CommandResult:
    return await run_inline(app, run.options(task_id="one").plan(name, arguments))


async def test_no_command_runs_without_settings() -> None:
    with pytest.raises(JobRefused, match="no command 'df'"):
        await start("df")


async def test_command_runs_with_values_in_its_arguments(configure: Configure) -> None:
    echo = {"argv": ["/bin/echo", "{word}", "--at={place}", "{{x"], "arguments": {"word": ".*", "place": "[a-z/]+"}}
    configure(commands={"echo": echo})

    result = await start("echo", {"word": "a b; $(id) 'x' > y", "place": "a/b"})

    assert result == CommandResult("a b; $(id) 'x' > y --at=a/b {{x\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "b c"}, "has to match"),
        ({"name": "a\n"}, "has to match"),
        ({"name": ""}, "has to match"),
        ({"name": "-rf"}, "has to match"),
        ({}, "needs the argument 'name'"),
        ({"name": "a", "other": "b"}, "takes no argument 'other'. It takes: name"),
    ],
)
async def test_value_that_the_settings_do_not_allow_is_refused(
    configure: Configure, arguments: dict[str, str], message: str
) -> None:
    configure(commands={"echo": {"argv": ["/bin/echo", "{name}"], "arguments": {"name": "[-a-z]+"}}})

    with pytest.raises(JobRefused, match=message):
        await start("echo", arguments)


async def test_value_with_a_control_character_is_refused_whatever_the_pattern_says(configure: Configure) -> None:
    configure(commands={"echo": {"argv": ["/bin/echo", "{name}"], "arguments": {"name": "(?s).*"}}})

    for value in ("a\0b", "a\nb"):
        with pytest.raises(JobRefused):
            await start("echo", {"name": value})


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ({"argv": ["echo"]}, "absolute path"),
        ({"argv": ["/bin/{x}"], "arguments": {"x": ".*"}}, "absolute path"),
        ({"argv": ["/bin/echo", "{x}"]}, "has no pattern in arguments"),
        ({"argv": ["/bin/echo"], "arguments": {"x": ".*"}}, "stands nowhere in argv"),
        ({"argv": ["/bin/echo"], "shell": True}, "Extra inputs"),
    ],
)
def test_setting_of_a_command_is_checked(command: dict[str, object], message: str) -> None:
    import json

    with pytest.raises(ConfigError, match=message):
        JobSettings.read({"JOBS_COMMANDS": json.dumps({"x": command})})


async def test_command_does_not_get_the_secrets_of_the_worker(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROTA_URL", "redis://:secret@host")
    configure(commands={"env": {"argv": ["/usr/bin/env"], "environment": {"MODE": "quick"}}})

    lines = (await start("env")).output.splitlines()

    assert {"ROTA_TASK_ID=one", "MODE=quick"} <= set(lines)
    assert not any("secret" in line or line.startswith("JOBS_") for line in lines)


async def test_output_is_bounded_and_errors_are_part_of_it(configure: Configure) -> None:
    script = "echo to stderr >&2; head -c 500000 /dev/zero | tr '\\0' x"
    configure(commands={"much": {"argv": [SHELL, "-c", script], "output_bytes": 100}})

    result = await start("much")

    assert result.output == ("to stderr\n" + "x" * 90)
    assert result.dropped == 500_010 - 100


async def test_exit_code_is_a_failure_without_retry_unless_the_settings_allow_it(configure: Configure) -> None:
    command = {"argv": [SHELL, "-c", "echo went wrong; exit 3"]}
    configure(commands={"once": command, "again": {**command, "retry": True}})

    with pytest.raises(SkipRetry, match="once ended with exit code 3: went wrong"):
        await start("once")
    with pytest.raises(CommandFailed, match="again ended with exit code 3"):
        await start("again")


async def test_program_that_is_not_there_is_not_retried(configure: Configure) -> None:
    configure(commands={"none": {"argv": ["/usr/bin/none"], "retry": True}})

    with pytest.raises(SkipRetry, match="/usr/bin/none cannot be started: No such file"):
        await start("none")


async def test_exit_code_of_the_time_limit_by_the_command_itself_is_told_as_it_is(configure: Configure) -> None:
    configure(commands={"odd": {"argv": [SHELL, "-c", f"exit {leash.TIME_IS_OVER}"]}})

    with pytest.raises(SkipRetry, match="ended with exit code 124"):
        await start("odd")


ESCAPE = """
echo $$ >> pids
trap '' TERM
(trap '' TERM; echo $(sh -c 'echo $PPID') >> pids; sleep 1000) &
setsid sh -c 'trap "" TERM; echo $$ >> pids; sleep 1000' &
(setsid sh -c 'trap "" TERM; echo $$ >> pids; sleep 1000; true' &)
echo ready > ready.new; mv ready.new ready
"""


def escaping(folder: Path, last: str = "sleep 1000", limit: str = "1000s") -> dict[str, object]:
    """A command whose processes ignore SIGTERM, leave their session, and leave their parent."""
    return {"argv": [SHELL, "-c", ESCAPE + last], "folder": str(folder), "time_limit": limit}


def pids(folder: Path) -> list[int]:
    wait_until(lambda: (folder / "ready").exists() and len((folder / "pids").read_text().split()) == 4)
    return [int(word) for word in (folder / "pids").read_text().split()]


async def test_command_ends_at_its_time_limit(configure: Configure) -> None:
    configure(commands={"long": {"argv": ["/bin/sleep", "1000"], "time_limit": "300ms"}})

    with pytest.raises(SkipRetry, match=r"long did not end within 0\.3 s and was killed"):
        await start("long")


@pytest.mark.slow
async def test_command_is_killed_with_all_of_its_processes_at_the_time_limit(
    configure: Configure, tmp_path: Path
) -> None:
    configure(commands={"long": escaping(tmp_path, limit="4s")})

    with pytest.raises(SkipRetry, match="long did not end within 4 s and was killed"):
        await start("long")

    # On a machine that is too busy for the command to start its processes within the limit, there are fewer.
    started = (tmp_path / "pids").read_text().split() if (tmp_path / "pids").exists() else []
    assert not any(is_alive(int(pid)) for pid in started)


@pytest.mark.slow
async def test_processes_that_a_command_leaves_behind_are_ended(configure: Configure, tmp_path: Path) -> None:
    wait = "while [ $(wc -w < pids) -lt 4 ]; do sleep 0.01; done; exit 0"
    configure(commands={"daemon": escaping(tmp_path, last=wait)})

    await start("daemon")

    assert not any(map(is_alive, pids(tmp_path)))


@pytest.mark.slow
async def test_cancelled_task_ends_its_command(configure: Configure, tmp_path: Path) -> None:
    configure(commands={"long": escaping(tmp_path)})
    task = asyncio.create_task(start("long"))
    started = await asyncio.to_thread(pids, tmp_path)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await asyncio.to_thread(wait_until, lambda: not any(map(is_alive, started)))


@pytest.mark.slow
def test_command_ends_with_the_worker_that_is_killed(tmp_path: Path) -> None:
    """The worker is played by a process that holds the input of the leash and is killed."""
    script = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen([sys.executable, '-I', '-S', {leash.__file__!r}, '1000', '/bin/sh', '-c', sys.argv[1]],"
        " stdin=subprocess.PIPE, start_new_session=True)\np.wait()"
    )
    worker = subprocess.Popen([sys.executable, "-c", script, ESCAPE + "sleep 1000"], cwd=tmp_path)
    started = pids(tmp_path)
    assert all(map(is_alive, started))

    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()

    wait_until(lambda: not any(map(is_alive, started)))
