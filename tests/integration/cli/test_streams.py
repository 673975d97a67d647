"""Commands whose standard streams are closed, or whose locale is ASCII."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rota.wire.keys import QueueKeys
from tests.integration.cli.test_commands import Shell
from tests.servers.clients import client

ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

NOTE = """
@app.task("note:say")
async def say(note: str) -> None:
    Path("out").write_text(ascii(note))
"""


@pytest.fixture
def shell(tmp_path: Path, redis_url: str) -> Iterator[Shell]:
    shell = Shell(tmp_path, redis_url)
    yield shell
    for program in shell.programs:
        if program.poll() is None:
            program.kill()
        program.wait()
        if program.stderr is not None:
            program.stderr.close()


@pytest.mark.parametrize("supervised", ["--supervisor", "--no-supervisor"])
def test_worker_works_when_all_its_standard_streams_are_closed(shell: Shell, supervised: str) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "rota.cli", "worker", "notes:app", supervised],
        cwd=shell.folder,
        env=shell.environment,
        preexec_fn=lambda: os.closerange(0, 3),
        start_new_session=True,
        text=True,
    )
    shell.programs.append(worker)
    assert shell.run("enqueue", "note:write", '{"name": "out"}').returncode == 0
    shell.wait_for((shell.folder / "out").exists, "the task")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(40) == 0


def test_doctor_ends_as_usual_when_its_output_is_closed(shell: Shell) -> None:
    closed = subprocess.run(
        [sys.executable, "-m", "rota.cli", "doctor"],
        cwd=shell.folder,
        env=shell.environment,
        preexec_fn=lambda: os.close(1),
        stderr=subprocess.PIPE,
        text=True,
        timeout=40,
    )
    assert (closed.returncode, closed.stderr) == (shell.run("doctor").returncode, "")


@pytest.mark.parametrize(("by", "supervised"), [("argument", "--supervisor"), ("environment", "--no-supervisor")])
def test_worker_serves_a_queue_that_is_not_ascii_where_the_locale_is(shell: Shell, by: str, supervised: str) -> None:
    shell.write_app("first", extra=NOTE)
    shell.environment |= ASCII | ({"ROTA_QUEUES": "grün"} if by == "environment" else {})
    worker = shell.start("worker", "notes:app", supervised, *(["--queues", "grün"] if by == "argument" else []))
    assert shell.run("enqueue", "note:say", '{"note": "ö"}', "--queue", "grün").returncode == 0
    out = shell.folder / "out"
    shell.wait_for(lambda: out.exists() and out.read_text() == "'\\xf6'", "the task")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(40) == 0


def test_output_escapes_what_an_ascii_locale_cannot_show(shell: Shell, redis_url: str) -> None:
    with client(redis_url) as raw:
        raw.sadd("asynq:queues", "grün")
        raw.lpush(QueueKeys("grün").pending, "x")
    shell.environment |= ASCII
    done = shell.run("doctor")
    assert (done.returncode, done.stderr) == (1, "")
    assert "'gr\\xfcn'" in done.stdout
