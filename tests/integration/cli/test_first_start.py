"""The first start of a worker where the server is away or refuses it: waited for, or told once."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.process import Server, wait_until

APP = """
from rota import Rota

app = Rota()

@app.task("note:write")
async def write() -> str:
    return "written"
"""

Start = Callable[..., "Program"]
SUPERVISED, ALONE = ("--processes", "2"), ("--no-supervisor",)
MODES = pytest.mark.parametrize("mode", [SUPERVISED, ALONE], ids=["supervised", "alone"])


class Program:
    """`rota worker` in a folder with an app, and what it says."""

    def __init__(self, folder: Path, url: str, *words: str) -> None:
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rota.cli", "worker", "notes:app", "--url", url, *words],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def says(self, words: str, count: int = 1) -> None:
        wait_until(lambda: self.said.count(words) >= count)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "notes.py").write_text(APP)
    programs: list[Program] = []

    def start(url: str, *words: str) -> Program:
        programs.append(Program(tmp_path, url, *words))
        return programs[-1]

    yield start
    for program in programs:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait()


@MODES
def test_a_worker_waits_for_a_server_that_is_not_there_yet_and_says_so_once(
    start: Start, mode: tuple[str, ...]
) -> None:
    server = Server()
    worker = start(server.url, *mode, "--set", "retry_for=10m")  # it is told at the first failure
    worker.says("does not answer yet")
    server.start()
    try:
        worker.says("is ready", 2 if mode == SUPERVISED else 1)
        worker.process.send_signal(signal.SIGTERM)

        assert worker.process.wait(20) == 0
        assert worker.said.count("does not answer yet") == 1
        assert worker.said.count("The server answers") == 1
        assert "exit code" not in worker.said
        assert "Giving back" not in worker.said
    finally:
        server.stop()


@MODES
def test_a_worker_that_waits_for_its_server_tells_of_a_misspelt_variable_and_stops_when_it_is_asked(
    start: Start, mode: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROTA_CONCURENCY", "3")
    worker = start("redis://localhost:1/0", "--no-banner", *mode)
    worker.says("does not answer yet")

    worker.process.send_signal(signal.SIGINT)

    assert worker.process.wait(20) == 0
    assert "Traceback" not in worker.said
    assert worker.said.count("ROTA_CONCURENCY is set, but there is no such setting") == 1
    assert "Did you mean ROTA_CONCURRENCY?" in worker.said


@pytest.mark.parametrize(
    ("mode", "user"), [(SUPERVISED, ""), (ALONE, "nobody")], ids=["supervised, without a user", "alone, with a user"]
)
def test_a_login_that_is_refused_ends_the_command_with_one_line_and_code_2(
    start: Start, mode: tuple[str, ...], user: str
) -> None:
    server = Server(lines="requirepass right\n").start()
    try:
        worker = start(f"redis://{user}:wrong@127.0.0.1:{server.port}/0", *mode)

        assert worker.process.wait(30) == 2
        [line] = worker.said.splitlines()
        assert line.startswith("error The server refused the login")
        assert "wrong@" not in worker.said
    finally:
        server.stop()


def test_a_supervised_worker_that_cannot_set_up_tls_says_it_once(start: Start) -> None:
    worker = start("rediss://localhost:1", "--set", "tls_ca=/nowhere", "--processes", "2")

    assert worker.process.wait(30) == 2
    assert len(worker.said.splitlines()) == 1


@MODES
@pytest.mark.parametrize("banner", [(), ("--no-banner",)], ids=["banner", "no banner"])
def test_a_warning_of_the_server_is_told_once_for_the_whole_command(
    start: Start, mode: tuple[str, ...], banner: tuple[str, ...]
) -> None:
    server = Server().start()
    try:
        worker = start(server.url, *mode, *banner, "--set", "process_max_age=1s" if mode == SUPERVISED else "lease=20s")
        worker.says("is ready", 3 if mode == SUPERVISED else 1)  # two and one that replaced one, or one alone
        worker.process.send_signal(signal.SIGTERM)

        assert worker.process.wait(30) == 0
        assert worker.said.count("keep nothing on disk") == 1
    finally:
        server.stop()


LIFESPAN = """
from rota import Rota

def connect():
    try:
        int("x")
    except ValueError as error:
        raise LookupError("no pool") from error

async def resources(app):
{body}

app = Rota(lifespan=resources)

@app.task("note:write")
async def write() -> str:
    return "written"
"""


@MODES
@pytest.mark.parametrize("body", ["    connect()\n    yield\n", "    yield\n    connect()\n"], ids=["open", "close"])
def test_an_error_of_the_lifespan_is_told_with_the_frames_of_the_app_alone(
    start: Start, mode: tuple[str, ...], body: str, tmp_path: Path
) -> None:
    server = Server().start()
    (tmp_path / "notes.py").write_text(LIFESPAN.format(body=body))
    try:
        worker = start(server.url, *mode)
        if body.startswith("    yield"):
            worker.says("is ready")
            worker.process.send_signal(signal.SIGTERM)
        worker.says("error The lifespan of notes:app failed: LookupError: no pool\nTraceback")
        if worker.process.poll() is None:
            worker.process.send_signal(signal.SIGTERM)
        worker.process.wait(30)

        told = worker.said.partition("error The lifespan of notes:app failed")[2].partition("LookupError: no pool\n")[2]
        assert "in resources" in told
        assert "in connect" in told
        assert "ValueError: invalid literal" in told
        for frame in ("rota/worker", "rota/cli", "contextlib.py", "asyncio", "typer"):
            assert frame not in worker.said
    finally:
        server.stop()
