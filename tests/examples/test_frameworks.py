"""The examples for web frameworks: each serves requests for real, and a worker runs what they enqueue."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from examples import fastapi_orders, flask_orders
from scripts.tree import ROOT
from tests.servers.process import free_port, wait_until

Start = Callable[..., None]


@pytest.fixture
def start(redis_url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts `python -m ...` on a database of its own, and ends it after the test."""
    started: list[subprocess.Popen[bytes]] = []
    environment = {
        **os.environ,
        "ROTA_URL": redis_url,
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "examples.django_orders.settings",
        "ORDERS_DATABASE": str(tmp_path / "orders.sqlite3"),
    }

    def run(*words: str, wait: bool = False) -> None:
        process = subprocess.Popen([sys.executable, "-m", *words], cwd=tmp_path, env=environment)
        started.append(process)
        if wait:
            assert process.wait(60) == 0

    yield run
    for process in started:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(port: int, path: str, method: str = "GET") -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def is_up(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_fastapi_enqueues_and_the_worker_inside_runs_the_task(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastapi_orders.app, "settings", fastapi_orders.app.settings.updated(url=redis_url))

    with TestClient(fastapi_orders.web) as client:  # runs the lifespan, and so the worker
        answer = client.post("/orders/7/ship")
        path = f"/tasks/{answer.json()['task']}"
        wait_until(lambda: client.get(path).json()["state"] == "completed")

        assert answer.status_code == 202
        assert client.get(path).json()["result"] == '"order 7 is on its way"'
        assert client.get("/tasks/unknown").status_code == 404


@pytest.mark.slow
def test_fastapi_enqueues_and_a_worker_beside_it_runs_the_task(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    monkeypatch.setattr(fastapi_orders.app, "settings", fastapi_orders.app.settings.updated(url=redis_url))
    monkeypatch.setenv("WORKER_INSIDE", "no")

    with TestClient(fastapi_orders.web) as client:
        path = f"/tasks/{client.post('/orders/8/ship').json()['task']}"
        assert client.get(path).json()["state"] == "pending"
        start("rota.cli", "worker", "examples.fastapi_orders:app")

        wait_until(lambda: client.get(path).json()["state"] == "completed")


@pytest.mark.slow
def test_flask_serves_requests_beside_a_worker(start: Start) -> None:
    port = free_port()
    start("flask", "--app", "examples.flask_orders:web", "run", "--port", str(port))
    start("rota.cli", "worker", "examples.flask_orders:app")
    wait_until(lambda: is_up(port))

    task = ask(port, "orders/7/ship", "POST")["task"]
    wait_until(lambda: ask(port, f"tasks/{task}")["state"] == "completed")

    assert ask(port, f"tasks/{task}")["result"] == '"order 7 is on its way"'
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask(port, "tasks/unknown")


def test_flask_enqueues_in_a_request(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flask_orders.app, "settings", flask_orders.app.settings.updated(url=redis_url))

    with flask_orders.app:  # closes the connections at the end
        answer = flask_orders.web.test_client().post("/orders/7/ship")

        info = flask_orders.app.sync_client.info("default", answer.json["task"])
        assert (info.type, json.loads(info.payload)) == ("order:ship", {"order": 7})
    assert flask_orders.ship(7) == "order 7 is on its way"  # the function itself, without a queue


@pytest.mark.slow
def test_django_serves_requests_beside_a_worker(start: Start) -> None:
    port = free_port()
    start("django", "migrate", "--run-syncdb", "--verbosity", "0", wait=True)
    start("django", "runserver", "--noreload", f"127.0.0.1:{port}")
    start("rota.cli", "worker", "examples.django_orders.queue:app", "examples.django_orders.tasks")
    wait_until(lambda: is_up(port))

    task = ask(port, "orders/tea", "POST")["task"]
    wait_until(lambda: ask(port, f"tasks/{task}")["state"] == "completed")

    assert ask(port, f"tasks/{task}")["result"] == '"tea is on its way"'
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask(port, "tasks/unknown")
