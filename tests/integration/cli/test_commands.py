"""The commands as people run them, on a real server: what runs on or stays is a program of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from rota import Settings
from tests.integration.cli.conftest import Run
from tests.integration.cli.shell import QuickShell, Shell


@pytest.fixture
def shell(tmp_path: Path, redis_url: str, command: Run) -> Iterator[Shell]:
    shell = QuickShell(tmp_path, redis_url, command)
    yield shell
    shell.close()


RESULTS = """
from datetime import UTC, datetime

@app.task("result:time")
def at() -> datetime:
    return datetime(2030, 1, 1, tzinfo=UTC)

@app.task("result:bytes")
def picture() -> bytes:
    return b"no JSON"

@app.task("result:none")
def nothing() -> None: ...
"""
MORE = """
from notes import app

@app.task("more:say")
async def say() -> str:
    return "said"
"""


def test_a_worker_runs_what_the_shell_enqueues_and_the_first_ctrl_c_lets_a_running_task_end(shell: Shell) -> None:
    shell.write_app("first", RESULTS)
    (shell.folder / "more.py").write_text(MORE)
    worker = shell.start("worker", "notes:app", "more")

    enqueued = shell.run("enqueue", "note:write", '{"name": "a.txt"}', "--app", "notes", "--wait", "20s")
    assert (shell.folder / "a.txt").read_text() == "first"
    assert json.loads(enqueued.stdout).startswith("a.txt by")
    # A result of any type is printed as it is stored.
    for name, printed in {"time": '"2030-01-01T00:00:00Z"', "bytes": "no JSON", "none": "null"}.items():
        done = shell.run("enqueue", f"result:{name}", "--app", "notes", "--wait", "20s")
        assert (done.stdout, done.stderr) == (f"{printed}\n", "")
    assert shell.run("enqueue", "more:say", "--wait", "20s").stdout.strip() == '"said"'

    shell.run("enqueue", "note:write", '{"name": "slow.txt", "wait": 1.5}')
    shell.wait_for((shell.folder / "slow.txt.started").exists, "the task to start")
    worker.send_signal(signal.SIGINT)
    _, told = worker.communicate(timeout=20)
    assert worker.returncode == 0
    assert (shell.folder / "slow.txt").exists()
    for fact in ("Rota", "notes:app", "server   ", "default=1", "note:write", "tracking", "Ctrl-C once"):
        assert fact in told


def test_the_second_ctrl_c_stops_at_once(shell: Shell) -> None:
    worker = shell.start("worker", "notes:app", "--shutdown-timeout", "60s")
    shell.run("enqueue", "note:write", '{"name": "endless.txt", "wait": 600}')
    shell.wait_for((shell.folder / "endless.txt.started").exists, "the task to start")

    worker.send_signal(signal.SIGINT)
    assert worker.stderr is not None
    shell.wait_for(lambda: "Stopping:" in (worker.stderr.readline() if worker.stderr else ""), "the first answer")
    worker.send_signal(signal.SIGINT)
    worker.communicate(timeout=30)

    assert not (shell.folder / "endless.txt").exists()


def test_two_processes_start_and_stop_as_one(shell: Shell) -> None:
    worker = shell.start("worker", "notes:app", "--processes", "2", "--concurrency", "1")
    shell.wait_for(lambda: len(json.loads(shell.run("worker", "list", "--json").stdout or "[]")) == 2, "both processes")
    jobs = [json.dumps({"name": f"{number}.txt", "wait": 0.5}) for number in range(4)]
    for job in jobs:
        shell.run("enqueue", "note:write", job)
    shell.wait_for(lambda: all((shell.folder / f"{number}.txt").exists() for number in range(4)), "all tasks")

    worker.send_signal(signal.SIGTERM)
    _, told = worker.communicate(timeout=20)

    assert worker.returncode == 0
    assert "in each of 2 processes" in told
    assert told.count("has stopped") == 2


def test_no_worker_process_outlives_its_killed_parent(shell: Shell) -> None:
    pids = shell.folder / "pids"
    shell.write_app("first", extra=f"Path({str(pids)!r}).open('a').write(f'{{os.getpid()}}\\n')")
    worker = shell.start("worker", "notes:app", "--processes", "2")
    shell.wait_for(lambda: pids.exists() and len(pids.read_text().split()) == 2, "two processes")

    worker.kill()
    worker.communicate(timeout=20)

    shell.wait_for(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()), "their end")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_enqueue_reads_standard_input_and_prints_the_id(shell: Shell) -> None:
    done = shell.run("enqueue", "note:write", "-", "--task-id", "mine", "--queue", "low", text='{"name": "b.txt"}')

    assert done.stdout.strip() == "mine"


def test_a_second_task_with_the_same_id_is_one_line_of_error(shell: Shell) -> None:
    words = ("enqueue", "note:write", '{"name": "b.txt"}', "--task-id", "mine")
    shell.run(*words)

    again = shell.run(*words)

    assert again.returncode == 1
    assert again.stderr.startswith("error")
    assert len(again.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("worker",), "Which application?"),
        (("worker", "nowhere:app"), "no module 'nowhere'"),
        (("worker", "notes:app", "--no-supervisor", "--set", "concurency=3"), "Did you mean 'concurrency'"),
        (("worker", "notes:app", "--no-supervisor", "--set", "lease=30"), "The setting lease (from --set)"),
        (("worker", "notes:app", "--processes", "8..1"), "8..1 is no range"),
        (("worker", "notes:app", "--no-supervisor", "--queues", "a=x"), "The setting queues (from --queues)"),
        (("dev", "notes:app", "--queues", "a=x"), "The setting queues (from --queues)"),
        (("enqueue", "note:write", "{}", "--delay", "-5s"), "--delay is '-5s', but a duration cannot be negative"),
        (("enqueue", "note:write", "{}", "--url", ""), "it is empty"),
        (("enqueue", "note:write", "{no json"), "is not JSON"),
        (("enqueue", "note:write", "[" * 50_000), "recursion limit exceeded"),
        (("enqueue", "note:write", "{}", "--wait", "abc"), "--wait is 'abc'"),
        (("enqueue", "note:write", "{}", "--delay", "\u00b2"), "--delay is"),
        (("enqueue", "note:write", "{}", "--url", "redis://a..b"), "a host is not a valid name"),
        (("health", "--address", "a b:80"), "nothing answers at a b:80"),
        (("health", "--address", "a..b:80"), "nothing answers at a..b:80"),
        (("health", "--address", "localhost:99999"), "host:port"),
        (("doctor", ":app"), "does not name a module"),
        (("enqueue", "note:write", '{"number": NaN}'), "is not JSON"),
        (("enqueue", "note:write", json.dumps({"name": "x" * 99_000})), "more than the 90000 allowed"),
        (("enqueue", "note:write", '{"number": -Infinity}'), "is not JSON"),
        (("enqueue", "note:write", '{"name": 7}', "--app", "notes"), "name"),
        (("enqueue", "note:write", "{}", "--url", "http://localhost"), "scheme"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(shell: Shell, words: tuple[str, ...], said: str) -> None:
    shell.environment["ROTA_PAYLOAD_LIMIT_BYTES"] = "90000"
    done = shell.run(*words)

    assert done.returncode == (1 if "nothing answers" in said else 2)
    assert said in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert len((done.stderr + done.stdout).splitlines()) == 1


def test_a_wrong_wait_enqueues_nothing(shell: Shell) -> None:
    shell.run("enqueue", "note:write", '{"name": "b.txt"}', "--task-id", "mine", "--wait", "abc")

    assert shell.run("enqueue", "note:write", '{"name": "b.txt"}', "--task-id", "mine").stdout.strip() == "mine"


def test_url_wins_over_the_server_of_the_app_and_rota_app_names_the_app(shell: Shell) -> None:
    here = shell.environment["ROTA_URL"]
    shell.write_app("first", extra="app = Rota('redis://localhost:1/0')")
    shell.environment["ROTA_APP"] = "notes:app"

    wrong = shell.run("enqueue", "note:write", '{"name": 7}', "--url", here)
    right = shell.run("enqueue", "note:write", '{"name": "b.txt"}', "--url", here, "--task-id", "mine")

    assert "name" in wrong.stderr
    assert right.stdout.strip() == "mine"


@pytest.mark.parametrize(
    ("type", "warning"),
    [
        ("note:writ", "does not handle the type 'note:writ', so its checks do not apply. Did you mean 'note:write'?\n"),
        ("go:sum\n", r"does not handle the type 'go:sum\n', so its checks do not apply. Another program has to handle"),
        ("note:write", ""),
    ],
)
def test_a_type_that_the_app_does_not_handle_is_told_and_sent(shell: Shell, type: str, warning: str) -> None:
    sent = shell.run("enqueue", type, '{"name": "b.txt"}', "--app", "notes:app", "--task-id", "mine")
    blind = shell.run("enqueue", type, '{"name": "b.txt"}')

    assert sent.stdout == "mine\n"
    assert warning in sent.stderr
    assert sent.stderr.count("\n") == bool(warning)
    assert blind.stderr == ""


def test_a_raw_payload_keeps_its_bytes(shell: Shell) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rota.cli", "enqueue", "bytes:keep", "-", "--raw", "--task-id", "mine"],
        cwd=shell.folder,
        env=shell.environment,
        input=b"\xff\x00\xfe",
        capture_output=True,
        timeout=40,
    )

    assert done.stdout.strip() == b"mine"


def test_config_shows_where_a_value_comes_from(shell: Shell) -> None:
    shell.environment["ROTA_CONCURRENCY"] = "7"
    (shell.folder / "pyproject.toml").write_text('[tool.rota]\nqueues = "critical=6,default"\n')

    rows = json.loads(shell.run("config", "--json").stdout)

    found = {row["name"]: (row["value"], row["source"]) for row in rows}
    assert found["concurrency"] == ("7", "environment")
    assert found["queues"] == ("critical=6,default=1", "pyproject.toml")
    assert found["processes"] == ("1", "default")


def test_workers_and_their_pool_processes_read_the_project_file_and_other_programs_do_not(shell: Shell) -> None:
    (shell.folder / "pyproject.toml").write_text('[tool.rota]\nclient_name = "from-the-file"\nqueues = "pool"\n')
    (shell.folder / "pooled.py").write_text(
        "from rota import Rota\n\napp = Rota()\n\n"
        "@app.task('name', queue='pool', run='process')\n"
        "def name() -> str:\n    return app.settings.broker.client_name\n\n"
        "if __name__ == '__main__':\n    print(app.settings.broker.client_name)\n"
    )
    worker = shell.start("worker", "pooled:app")

    assert shell.run("enqueue", "name", "--app", "pooled:app", "--wait", "20s").stdout.strip() == '"from-the-file"'

    words = [sys.executable, "pooled.py"]
    program = subprocess.run(words, cwd=shell.folder, env=shell.environment, capture_output=True, text=True, timeout=40)
    assert program.stdout == "rota\n"
    worker.send_signal(signal.SIGINT)
    _, told = worker.communicate(timeout=20)
    assert "pyproject.toml gives client_name, but only the commands of rota read that file" in " ".join(told.split())


def test_config_says_that_nothing_was_changed(shell: Shell) -> None:
    del shell.environment["ROTA_URL"]

    done = shell.run("config", "--changed")

    assert done.stderr == "Every setting has its default.\n"


def test_config_warns_of_a_variable_that_is_no_setting(shell: Shell) -> None:
    shell.environment["ROTA_CONCURENCY"] = "7"

    assert "ROTA_CONCURENCY is set, but there is no such setting" in shell.run("config", "--changed").stderr


def test_config_in_a_pipe_prints_each_setting_in_one_uncut_line(shell: Shell) -> None:
    queues = ",".join(f"queue-with-a-long-name-{number}=1" for number in range(20))
    shell.environment["ROTA_QUEUES"] = queues

    lines = shell.run("config").stdout.splitlines()

    [line] = [line for line in lines if line.split()[:2] == ["worker", "queues"]]
    assert line.split()[2:4] == [queues, "environment"]
    assert line.endswith("`mail:*`.")
    assert [line.split()[1] for line in lines[1:]] == list(Settings().values())


def test_the_version_is_one_line(shell: Shell) -> None:
    done = shell.run("--version")

    assert (done.returncode, done.stdout) == (0, f"rota {version('rota')}\n")


def test_version_names_the_parts() -> None:
    done = subprocess.run([sys.executable, "-m", "rota.cli", "version"], capture_output=True, text=True, timeout=40)

    for part in ("rota", "python", "asynq wire", "redis", "protobuf"):
        assert part in done.stdout
