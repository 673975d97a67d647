"""A scene for each scenario, and a report of all of them at the end of the run."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.crash import page
from tests.crash.plant import Plant
from tests.crash.proxy import Proxy
from tests.crash.scene import REPORT, Scene
from tests.servers.process import Server, Store

SceneMaker = Callable[..., Scene]

# The scenarios that take minutes are run by hand, alone.
LONG = bool(os.environ.get("CRASH_LONG"))
collect_ignore_glob = ["test_[!l]*.py"] if LONG else ["test_long.py"]


def server_of(**config: object) -> Server:
    """Start one server with this configuration."""
    return Server(config={name.replace("_", "-"): value for name, value in config.items()}).start()


def open_scene(
    stack: ExitStack, title: str, folder: Path, store_of: Callable[..., Store] = server_of, **config: object
) -> Scene:
    """Make a scene on a store of its own, until the stack is closed."""
    store = store_of(**config)
    stack.callback(store.stop)
    scene = Scene(title, folder, store)
    stack.callback(scene.close)
    return scene


@pytest.fixture
def plant(tmp_path: Path, redis_server: Server, redis_url: str) -> Iterator[Plant]:
    plant = Plant(tmp_path / "ledger", redis_url)
    plant.accepted("done", "waits", "failed")
    plant.run("done", 1, 2)
    plant.run("failed", 1, 2, how="fail")
    plant.store("waits", "pending")
    plant.store("failed", "archived")
    plant.count(processed=2, failed=1)
    yield plant
    plant.redis.close()
    plant.write.close()


@pytest.fixture
def scene_of(tmp_path: Path) -> Iterator[SceneMaker]:
    """Make a scene on a store of its own: `scene_of("1: a title", appendonly="yes")`, `scene_of("2", ClusterFleet)`."""
    with ExitStack() as stack:

        def make(title: str, store_of: Callable[..., Store] = server_of, **config: object) -> Scene:
            return open_scene(stack, title, tmp_path, store_of, **config)

        yield make


@pytest.fixture
def wired(scene_of: SceneMaker) -> Iterator[tuple[Scene, Proxy]]:
    """A scene with a wire to its server."""
    scene = scene_of("")
    proxy = Proxy(scene.server.port)
    yield scene, proxy
    proxy.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if REPORT:
        terminalreporter.section("scenarios")
        lines = sorted(REPORT, key=_number)
        for line in lines:
            terminalreporter.write_line(line)
        if os.environ.get("CRASH_REPORT"):  # the page of the docs shows this run from now on
            page.write(
                "long" if LONG else "scenarios", ["```text", time.strftime("%Y-%m-%d", time.gmtime()), *lines, "```"]
            )


def _number(line: str) -> tuple[int, str]:
    first = re.search(r"\d+", line)
    return int(first[0]) if first else 0, line
