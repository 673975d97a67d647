"""A scene for each scenario, and a report of all of them at the end of the run."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.crash import page
from tests.crash.scene import REPORT, Scene
from tests.servers.process import Server

SceneMaker = Callable[..., Scene]


@pytest.fixture
def scene_of(tmp_path: Path) -> Iterator[SceneMaker]:
    """Make a scene on a server of its own: `scene_of("1: a title", appendonly="yes")`."""
    with ExitStack() as stack:

        def make(title: str, *, url: Callable[[Server], str] | None = None, **config: object) -> Scene:
            server = Server(config={name.replace("_", "-"): value for name, value in config.items()}).start()
            stack.callback(server.stop)
            scene = Scene(title, tmp_path, server, None if url is None else url(server))
            stack.callback(scene.close)
            return scene

        yield make


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if REPORT:
        terminalreporter.section("scenarios")
        lines = sorted(REPORT, key=_number)
        for line in lines:
            terminalreporter.write_line(line)
        if os.environ.get("CRASH_REPORT"):  # the page of the docs shows this run from now on
            page.write("scenarios", ["```text", time.strftime("%Y-%m-%d", time.gmtime()), *lines, "```"])


def _number(line: str) -> tuple[int, str]:
    digits = "".join(each for each in line[4:].split(":")[0] if each.isdigit())
    return int(digits or 0), line
