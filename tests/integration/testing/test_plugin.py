"""The pytest plugin in projects of its users: plain, asyncio, anyio and unittest tests, at random and in parallel.

Each test writes a project, and runs pytest in it as a program of its own.
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

DEADLINE_SECONDS = 100

TASKS = """
from rota import Rota

app = Rota("redis://127.0.0.1:1/0")


@app.task("email:welcome")
async def welcome(user_id: int) -> str:
    return f"user {user_id}"
"""

CONFTEST = """
import pytest
from tasks import app


@pytest.fixture
def rota_apps():
    return app
"""

PLAIN = """
import pytest
from tasks import app, welcome


@pytest.mark.parametrize("number", range(5))
def test_plain(rota_sandbox, number):
    assert rota_sandbox.enqueued() == []
    welcome.enqueue_sync(number)
    rota_sandbox.assert_enqueued(welcome, number, count=1)
    assert [run.result for run in rota_sandbox.drain_sync()] == [f"user {number}"]


def test_the_app_is_released_between_tests():
    assert app.settings.broker.url == "redis://127.0.0.1:1/0"
"""

ASYNCIO = """
import pytest
from tasks import welcome


@pytest.mark.asyncio
async def test_in_a_loop_of_its_own(rota_sandbox):
    await welcome.enqueue(7)
    assert [run.result for run in await rota_sandbox.drain()] == ["user 7"]


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("number", range(5))
async def test_in_a_loop_that_tests_share(rota_sandbox, number):
    assert rota_sandbox.enqueued() == []
    await welcome.enqueue(number)
    assert [run.result for run in await rota_sandbox.drain()] == [f"user {number}"]
"""

ANYIO = """
import pytest
from tasks import welcome

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.parametrize("number", range(5))
async def test_with_anyio(rota_sandbox, number):
    assert rota_sandbox.enqueued() == []
    await welcome.enqueue(number)
    assert [run.result for run in await rota_sandbox.drain()] == [f"user {number}"]
"""

UNITTEST = """
import unittest

from rota.testing import Sandbox
from tasks import app, welcome


class PlainTest(unittest.TestCase):
    def setUp(self):
        self.sandbox = self.enterContext(Sandbox(app))

    def test_plain(self):
        welcome.enqueue_sync(7)
        self.assertEqual(self.sandbox.drain_sync()[0].result, "user 7")

    def test_empty(self):
        self.assertEqual(self.sandbox.enqueued(), [])


class AsyncTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.sandbox = await self.enterAsyncContext(Sandbox(app))

    async def test_async(self):
        await welcome.enqueue(7)
        self.assertEqual((await self.sandbox.drain())[0].result, "user 7")


if __name__ == "__main__":
    unittest.main()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    return tmp_path


def run(project: Path, *words: str) -> str:
    command = [sys.executable, "-W", "error", "-m", *words]
    done = subprocess.run(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_SECONDS
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def passed(output: str) -> int:
    found = re.search(r"(\d+) passed", output)
    assert found is not None, output
    return int(found[1])


def test_plain_asyncio_anyio_and_unittest_tests_run_side_by_side_in_random_order(project: Path) -> None:
    for name, text in {"plain": PLAIN, "asyncio": ASYNCIO, "anyio": ANYIO, "unittest": UNITTEST}.items():
        (project / f"test_{name}.py").write_text(text)

    output = run(project, "pytest", "-q", "-p", "randomly", "-W", "error", "-n", "0")

    assert passed(output) == 6 + 6 + 5 + 3


def test_processes_of_xdist_have_a_server_each(project: Path) -> None:
    (project / "test_plain.py").write_text(PLAIN)
    (project / "test_server.py").write_text(
        "import os, pathlib, pytest\n"
        "@pytest.mark.parametrize('number', range(5))\n"
        "def test_server(rota_sandbox, number):\n"
        "    line = f'{os.getpid()} {rota_sandbox.url.partition(\"?\")[0]}'\n"
        "    pathlib.Path(f'seen-{os.getpid()}-{number}').write_text(line)\n"
    )

    # Each process runs all tests. Otherwise one process could run all of them while the other one starts.
    assert passed(run(project, "pytest", "-q", "--dist", "each", "--tx", "2*popen", "-W", "error")) == 2 * 11

    pairs = {tuple(path.read_text().split()) for path in project.glob("seen-*")}
    assert len(pairs) == len({process for process, _ in pairs}) == len({server for _, server in pairs}) == 2
    for _, url in pairs:
        assert not Path(url.removeprefix("unix://")).parent.exists()  # the servers have ended, and their data is gone


def test_unittest_needs_no_pytest(project: Path) -> None:
    (project / "test_unittest.py").write_text(UNITTEST)

    assert "OK" in run(project, "unittest", "-q")


WORKER = """
import subprocess, sys

import pytest


@pytest.fixture
def rota_apps():
    from tasks import app

    return app


def test_worker_program_sees_the_clock_of_the_sandbox(rota_sandbox, monkeypatch):
    from tasks import welcome

    job = welcome.options(delay="1h", retention="10d").enqueue_sync(7)
    monkeypatch.setenv("ROTA_URL", rota_sandbox.url)
    rota_sandbox.clock.travel("1h")
    command = [sys.executable, "-m", "rota.cli", "worker", "worker_program:app", "--burst", "--no-supervisor"]
    subprocess.run(command, check=True, timeout=60)
    info = job.info()
    assert info.state == "completed"
    assert abs((info.completed_at - rota_sandbox.clock.now()).total_seconds()) < 1800
"""

WORKER_PROGRAM = """
from rota import Rota

app = Rota()  # finds the server by ROTA_URL


@app.task("email:welcome")
async def welcome(user_id: int) -> str:
    return f"user {user_id}"
"""


UNUSED = """
import sys


def test_a_run_that_has_not_used_the_fixtures_has_not_imported_rota():
    assert "pytest_rota" in sys.modules
    assert "rota" not in sys.modules
"""

WITHOUT_APPS = """
import pytest


def test_sandbox_without_apps_tells_what_to_override(rota_sandbox):
    from rota.errors import ConfigError

    with pytest.raises(ConfigError, match="rota_apps"):
        rota_sandbox.drain_sync()
"""


def test_fixtures_import_rota_late_need_apps_and_give_a_program_with_the_url_their_clock(project: Path) -> None:
    (project / "conftest.py").unlink()
    # In this order: a module of tests is imported when it is collected, so each imports Rota in its tests alone.
    (project / "test_1_unused.py").write_text(UNUSED)
    (project / "test_2_without_apps.py").write_text(WITHOUT_APPS)
    (project / "test_3_worker.py").write_text(WORKER)
    (project / "worker_program.py").write_text(WORKER_PROGRAM)

    assert passed(run(project, "pytest", "-q", "-p", "no:randomly")) == 3


def test_fixtures_are_listed_with_what_they_do(project: Path) -> None:
    (project / "conftest.py").unlink()

    output = run(project, "pytest", "--fixtures", "-q")

    assert Counter(re.findall(r"^rota_\w+", output, re.MULTILINE)) == {
        "rota_server": 1,
        "rota_apps": 1,
        "rota_sandbox": 1,
    }
