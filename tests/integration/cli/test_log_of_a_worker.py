"""The log of `rota worker` beside an app that logs, and that may have configured logging itself."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rota import Rota
from tests.servers.process import wait_until

APP = """
import logging, logging.config
from rota import Rota

app = Rota()
log = logging.getLogger("shop")

@app.task("say:loop")
async def on_the_loop() -> None:
    log.info("on the loop")

@app.task("say:thread")
def in_a_thread() -> None:
    log.info("in a thread")

@app.task("say:process", run="process")
def in_a_process() -> None:
    log.info("in a process")

"""
TASKS = ("say:loop", "say:thread", "say:process")
WHERE_IT_RUNS = ("on the loop", "in a thread", "in a process")
BASIC = 'logging.basicConfig(level="INFO", format="MINE %(name)s [%(task_type)s|%(queue)s|%(attempt)s] %(message)s")'
DICTIONARY = """
logging.config.dictConfig({
    "version": 1,
    "filters": {"task": {"()": "rota.TaskLogFilter"}},
    "formatters": {"mine": {"format": "MINE %(name)s [%(task_type)s|%(queue)s|%(attempt)s] %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "mine", "filters": ["task"]}},
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {"shop": {"level": "INFO"}},
})
"""
LATE = (
    "async def start(app):\n"
    + "".join(f"    {line}\n" for line in DICTIONARY.strip().splitlines())
    + "    yield\n\nfrom rota.tasks.lifespan import Lifespan\napp._lifespan = Lifespan(app, start)\n"
)

Say = Callable[..., str]


@pytest.fixture
def say(tmp_path: Path, redis_url: str) -> Iterator[Say]:
    """Run the three tasks in a worker of the app; return its log."""
    processes: list[subprocess.Popen[bytes]] = []

    def say(configuration: str, *words: str) -> str:
        (tmp_path / "shop.py").write_text(APP + configuration)
        path = tmp_path / "log"
        with path.open("wb") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "rota.cli", "worker", "shop:app", "--url", redis_url, *words],
                    cwd=tmp_path,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )
        app = Rota(redis_url)
        for type in TASKS:
            app.enqueue_sync(type)
        app.close()
        wait_until(lambda: sum(where in path.read_text() for where in WHERE_IT_RUNS) == len(WHERE_IT_RUNS))
        processes[-1].send_signal(signal.SIGTERM)
        processes[-1].wait(30)
        return path.read_text()

    yield say
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


MODES = pytest.mark.parametrize("mode", ["--supervisor", "--no-supervisor"])


@MODES
@pytest.mark.parametrize("configuration", [BASIC, DICTIONARY, LATE], ids=["basicConfig", "dictConfig", "in a lifespan"])
def test_the_format_of_the_app_is_used_and_rota_is_not_silenced(say: Say, mode: str, configuration: str) -> None:
    told = say(configuration, mode)

    lines = told.splitlines()
    assert any(line.startswith("MINE rota.worker [||] Worker") and "has stopped" in line for line in lines)
    for type, where in zip(TASKS, WHERE_IT_RUNS, strict=True):
        if configuration == LATE and type == "say:process":
            continue  # a child process imports the app and enters no lifespan
        assert lines.count(f"MINE shop [{type}|default|1] {where}") == 1


@MODES
def test_an_app_that_configures_nothing_has_its_lines_in_rotas_format(say: Say, mode: str) -> None:
    told = say("", mode)

    lines = [line.split(" ", 2)[2] for line in told.splitlines() if line.startswith("20")]
    for where in WHERE_IT_RUNS:
        [line] = [line for line in lines if line.endswith(where)]
        assert line.startswith("INFO [")
    assert any("rota.worker: Worker" in line for line in lines)
    assert "rota.task" not in told


@MODES
def test_each_task_shows_its_begin_and_end_at_the_level_debug(say: Say, mode: str) -> None:
    told = say("", mode, "--log-level", "debug")

    for type in TASKS:
        started = re.findall(rf"DEBUG \[.*\] rota\.task: {type} started \((\S+)\)$", told, re.MULTILINE)
        ended = re.findall(rf"DEBUG \[.*\] rota\.task: {type} [0-9.]+ m?s \((\S+)\)$", told, re.MULTILINE)
        assert len(started) == 1, told
        assert ended == started


# The lines are made into JSON in the process that runs the tasks, in both modes by the same call.
@pytest.mark.parametrize(
    ("mode", "configuration"),
    [("--supervisor", ""), ("--no-supervisor", ""), ("--supervisor", BASIC), ("--no-supervisor", LATE)],
    ids=["supervised", "alone", "supervised with basicConfig", "alone and in a lifespan"],
)
def test_each_line_is_one_json_object_if_the_environment_asks_for_it(
    say: Say, monkeypatch: pytest.MonkeyPatch, mode: str, configuration: str
) -> None:
    monkeypatch.setenv("ROTA_LOG", "json")

    lines = [json.loads(line) for line in say(configuration, mode, "--no-banner").splitlines()]

    said = {line["message"]: line for line in lines}
    assert {said[where]["task_type"] for where in WHERE_IT_RUNS} == set(TASKS)
    assert {said[where]["attempt"] for where in WHERE_IT_RUNS} == {1}
    names = {line.get("event") for line in lines}
    assert {"WorkerReady", "WorkerStopped"} < names
    assert ("ChildProcessEnded" in names) == (mode == "--supervisor")
