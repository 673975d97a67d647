"""Fails a test that leaves the process otherwise than it found it: that can fail another test, in another order.

Tests run in random order, thousands in one process. A command that a test ran in its own process had left a module
behind, and in one run of many another test got that module for its own (`tests/modules.py`).
"""

import logging
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path
from tempfile import gettempdir
from types import ModuleType
from typing import Any

import pytest

from rota.broker import dev_server
from rota.events import dispatch
from rota.settings import origin
from rota.tasks import logs

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE)
_LOGGERS = ("", "rota", "asyncio")
_PROJECT = Path(__file__).parent.parent
_before = pytest.StashKey[tuple[dict[str, list[Any]], set[str]]]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    item.stash[_before] = _state(), set(sys.modules)
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    result = yield
    before, known = item.stash[_before]
    changes = [(what, was, now) for (what, was), now in zip(before.items(), _state().values(), strict=True)]
    left = [f"{what} had {_less(was, now)} and has {_less(now, was)}" for what, was, now in changes if was != now]
    left += [f"{name} is still imported" for name in set(sys.modules) - known if _is_temporary(sys.modules[name])]
    assert not left, f"The test leaves something behind: {'; '.join(left)}."
    return result


def _state() -> dict[str, list[Any]]:
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    return {
        "the process": [
            f"the working directory {Path.cwd()}",
            f"the settings of a command: {origin._is_command}",
            f"silence about the server of rota dev: {dev_server._silent}",
            f"log lines in use: {logs._in_use}",
        ],
        "the environment": sorted(f"{name}={os.environ[name]}" for name in {*os.environ} - {"PYTEST_CURRENT_TEST"}),
        "sys.path": [*sys.path],
        "the signals": [(each.name, signal.getsignal(each)) for each in _SIGNALS],
        "logging": [(each.name, each.level, each.propagate, [*each.handlers]) for each in loggers],
        "the list of subscribers": [*dispatch._callbacks],
    }


def _less(some: list[Any], others: list[Any]) -> list[Any]:
    return [each for each in some if each not in others]


def _is_temporary(module: ModuleType) -> bool:
    file = vars(module).get("__file__")
    return bool(file) and Path(file).is_relative_to(gettempdir()) and not Path(file).is_relative_to(_PROJECT)
