"""`rota task list`, `inspect`, `log` and `enqueue` on a real server, with tasks that a real worker ran."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Run
from tests.integration.cli.shell import QuickShell, Shell

LOGS = """
from rota import Retry, current

@app.task("note:log")
async def log(name: str) -> int:
    current().log(f"line of {name}")
    return 7

@app.task("note:fail", retry=Retry(max=0))
async def fail() -> None:
    raise ValueError("no paper")

@app.task("note:slow")
async def slow(name: str) -> None:
    current().log("first line")
    while not Path(name).exists():
        await asyncio.sleep(0.01)
    current().log("last line")
"""


@pytest.fixture
def shell(tmp_path: Path, redis_url: str, command: Run) -> Iterator[Shell]:
    shell = QuickShell(tmp_path, redis_url, command)
    shell.write_app("first", LOGS)
    yield shell
    shell.close()


def enqueue(shell: Shell, *words: str) -> str:
    done = shell.run("task", "enqueue", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def state_of(shell: Shell, task_id: str) -> str:
    done = shell.run("task", "inspect", task_id, "--json")
    return str(json.loads(done.stdout)["state"]) if done.returncode == 0 else "gone"


def test_tasks_of_all_queues_are_listed_by_state(shell: Shell) -> None:
    enqueue(shell, "a:b", '{"n": 1}', "--task-id", "one")
    enqueue(shell, "a:b", "{}", "--task-id", "two", "--queue", "邮件", "--delay", "1h")

    listed = shell.run("task", "list")

    heads, first, second = (line.split() for line in listed.stdout.splitlines())
    assert heads == ["id", "queue", "state", "type", "when", "tries", "error", "payload"]
    assert (first[:4], first[-1]) == (["one", "default", "pending", "a:b"], '{"n":1}')
    assert second[:5] == ["two", "邮件", "scheduled", "a:b", "in"]
    assert listed.stderr == ""


def test_pages_go_on_by_number_and_by_cursor(shell: Shell) -> None:
    for number in range(5):
        enqueue(shell, "a:b", "{}", "--task-id", f"t{number}")
    words = ("task", "list", "--queue", "default", "--state", "pending", "--size", "2", "--json")

    first = json.loads(shell.run(*words).stdout)
    by_number = json.loads(shell.run(*words, "--page", "2").stdout)
    by_cursor = json.loads(shell.run(*words, "--cursor", first["next"]).stdout)

    assert [each["id"] for each in first["tasks"]] == ["t0", "t1"]
    assert first["total"] == 5
    for page in (by_number, by_cursor):
        assert [each["id"] for each in page["tasks"]] == ["t2", "t3"]


def test_list_says_how_many_more_there_are(shell: Shell) -> None:
    for number in range(3):
        enqueue(shell, "a:b", "{}", "--task-id", f"t{number}")

    listed = shell.run("task", "list", "--size", "1")

    assert len(listed.stdout.splitlines()) == 2
    assert listed.stderr.startswith("2 more.")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--state", "pendin"], "Did you mean 'pending'?"),
        (["--page", "2"], "Give --queue and --state too"),
        (["--state", "aggregating"], "give --queue and --group"),
        (["--queue", "nowhere", "--state", "pending"], "There is no queue 'nowhere'"),
    ],
)
def test_wrong_list_is_refused_with_its_reason(shell: Shell, words: list[str], reason: str) -> None:
    done = shell.run("task", "list", *words)
    assert done.returncode in (1, 2)
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_task_is_found_in_its_queue_and_shown_in_full(shell: Shell) -> None:
    enqueue(shell, "a:b", '{"n": 1}', "--task-id", "one", "--queue", "low", "--header", "trace=x")

    shown = shell.run("task", "inspect", "one").stdout

    fields = dict(line.split(None, 1) for line in shown.splitlines()[:4])
    assert fields == {"id": "one", "queue": "low", "type": "a:b", "state": "pending"}
    assert "headers      trace=x" in shown
    assert '  {"n":1}' in shown


def test_task_in_several_queues_needs_its_queue(shell: Shell) -> None:
    for queue in ("low", "high"):
        enqueue(shell, "a:b", "{}", "--task-id", "one", "--queue", queue)

    refused = shell.run("task", "inspect", "one")

    assert refused.returncode == 2
    assert "high, low" in refused.stderr
    assert shell.run("task", "inspect", "one", "--queue", "low").returncode == 0


def test_task_that_does_not_exist_is_answered_with_exit_code_1(shell: Shell) -> None:
    done = shell.run("task", "inspect", "nope")
    assert done.returncode == 1
    assert "No queue has a task 'nope'" in done.stderr


def test_log_of_a_task_that_has_ended_is_printed(shell: Shell) -> None:
    task = enqueue(shell, "note:log", '{"name": "x"}', "--retention", "1h")
    shell.start("worker", "notes:app")
    shell.wait_for(lambda: state_of(shell, task) == "completed", "the task to complete")

    printed = shell.run("task", "log", task)

    assert "line of x" in printed.stdout
    for words in (["--json"], ["--json", "--follow"]):
        lines = shell.run("task", "log", task, *words).stdout.splitlines()
        assert [json.loads(line)["line"] for line in lines] == printed.stdout.splitlines()
    assert printed.returncode == 0
    assert '"result": "7"' in shell.run("task", "inspect", task, "--json").stdout


def test_log_is_followed_until_the_task_has_ended(shell: Shell) -> None:
    task = enqueue(shell, "note:slow", '{"name": "go"}', "--retention", "1h")
    shell.start("worker", "notes:app")
    command = [sys.executable, "-m", "rota.cli", "task", "log", task, "--follow"]
    follow = subprocess.Popen(command, cwd=shell.folder, env=shell.environment, stdout=subprocess.PIPE, text=True)
    shell.programs.append(follow)
    assert follow.stdout is not None
    assert "first line" in follow.stdout.readline()

    (shell.folder / "go").touch()

    rest = follow.stdout.read()
    assert "last line" in rest
    assert "first line" not in rest
    assert follow.wait(60) == 0


def test_exit_code_of_follow_says_that_the_task_has_failed(shell: Shell) -> None:
    task = enqueue(shell, "note:fail", "{}", "--max-retry", "0")
    shell.start("worker", "notes:app")

    followed = shell.run("task", "log", task, "--follow")

    assert followed.returncode == 1
    assert "The task is archived." in followed.stderr
    shown = shell.run("task", "inspect", task).stdout
    assert "ValueError: no paper" in shown


def test_words_of_asynq_list_the_same_tasks(shell: Shell, redis_url: str) -> None:
    enqueue(shell, "-t", "a:b", "-l", '{"n": 1}', "--id", "one", "--retry", "3", "--queue", "low")

    theirs = shell.run("task", "ls", "-q", "low", "-s", "pending")

    ours = shell.run("task", "list", "--queue", "low", "--state", "pending")
    assert [line.split()[0] for line in theirs.stdout.splitlines()] == ["id", "one"]
    assert [line.split()[0] for line in ours.stdout.splitlines()] == ["id", "one"]
    assert shell.run("task", "inspect", "-q", "low", "-i", "one").returncode == 0
    assert "0/3" in theirs.stdout


def test_shell_reads_lines_from_a_pipe(shell: Shell) -> None:
    enqueue(shell, "a:b", "{}", "--queue", "low")

    typed = "names = await inspector.queues()\nprint(names)\n1 / 0\nprint('on', app.settings.broker.url[:8])\n"
    done = shell.run("shell", text=typed)

    assert "['low']" in done.stdout
    assert "ZeroDivisionError" in done.stderr
    assert "on redis://" in done.stdout or "on unix://" in done.stdout


def completed(shell: Shell, *words: str) -> list[str]:
    """Return what the shell would offer for the last word."""
    shell.environment |= {"_ROTA_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(["rota", *words])}
    shell.environment["COMP_CWORD"] = str(len(words))
    try:
        return shell.run().stdout.split()
    finally:
        for name in ("_ROTA_COMPLETE", "COMP_WORDS", "COMP_CWORD"):
            del shell.environment[name]


def test_queues_are_completed_from_the_server(shell: Shell) -> None:
    for queue in ("low", "later", "high"):
        enqueue(shell, "a:b", "{}", "--queue", queue)

    assert completed(shell, "task", "list", "--queue", "l") == ["later", "low"]
    assert completed(shell, "queue", "inspect", "h") == ["high"]
    assert completed(shell, "task", "move", "x", "--to", "h") == ["high"]


def test_types_are_completed_from_live_workers(shell: Shell) -> None:
    shell.start("worker", "notes:app")
    shell.wait_for(lambda: "note:log" in shell.run("types").stdout, "the worker to publish its types")

    assert completed(shell, "enqueue", "note:l") == ["note:log"]


def test_completion_is_silent_and_fast_if_the_server_is_away(shell: Shell) -> None:
    shell.environment["ROTA_URL"] = "redis://127.0.0.1:1/0"
    began = time.monotonic()

    assert completed(shell, "task", "list", "--queue", "l") == []

    assert time.monotonic() - began < 60
