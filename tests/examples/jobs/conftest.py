"""Settings for the jobs, and the servers that their tests use."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.examples.jobs.killing import Killing
from tests.examples.jobs.smtp_sink import SmtpSink
from tests.examples.jobs.web_server import WebServer


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Set settings of the jobs: `configure(folders={"logs": tmp_path})`. Returns them as environment variables."""
    monkeypatch.setenv("JOBS_STATE", f"sqlite:///{tmp_path}/state.sqlite3")

    def put(**values: object) -> dict[str, str]:
        environment = {}
        for name, value in values.items():
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            environment[f"JOBS_{name.upper()}"] = text
            monkeypatch.setenv(f"JOBS_{name.upper()}", text)
        return environment

    return put


@pytest.fixture
def killer(tmp_path: Path) -> Iterator[Callable[..., Killing]]:
    """Start a `Killing`: `killer(code, environment)`."""
    made: list[Killing] = []

    def start(code: str, environment: dict[str, str]) -> Killing:
        made.append(Killing(code, environment, tmp_path))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture
def smtp() -> Iterator[SmtpSink]:
    sink = SmtpSink()
    sink.start()
    yield sink
    sink.stop()


@pytest.fixture
def web(configure: Callable[..., dict[str, str]]) -> Iterator[WebServer]:
    """A web server that the settings allow."""
    server = WebServer()
    configure(http_hosts=[server.host], http_networks=["127.0.0.1/32"])
    yield server
    server.close()
